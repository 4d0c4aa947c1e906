"""What two processes compute for `test_parallel.py`, started by torchrun with a folder for results.

The same functions, called with one process, give what these are compared with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.trainers.learning.batches import Batch, epoch_batches
from drrpack.trainers.learning.network import new_network, running_moments_kept
from drrpack.trainers.learning.parallel import moments_of_all
from drrpack.trainers.learning.recipes import Recipe, get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import Loss, Terms, Trained, train_network
from drrpack.trainers.ranks import ALONE, Ranks, ranks, shares, sharing

COUNT, CLASSES, SEEN = 45, 6, 5  # three batches of 15: shares of 7 and 8
RECIPE: Recipe = replace(get_recipe("fast", epochs=2, width=4), batch_size=16, peak_lr=0.05)
CPU = torch.device("cpu")


def data(count: int = COUNT) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(5)
    images = torch.randint(256, (count, 8, 8, 3), generator=chance).byte()
    return images, torch.randint(SEEN, (count,), generator=chance)


def two_looks(network: ResNet18, batch: Batch) -> Terms:
    """Several passes, one of them without running moments; a term that not all batches have, and
    few of their images; and a draw for each image. The head takes no part in the second epoch."""
    draws = torch.Generator().manual_seed(int(batch.all_indices.sum()))
    noise = batch.own(torch.randn(batch.count, 1, generator=draws, dtype=torch.float32))
    features = network.features(batch.images)
    with running_moments_kept(network):
        turned = network.features(batch.images.flip(2))
    terms = {"alike": 0.01 * (features - turned + 0.1 * noise).square().sum(1).mean()}
    if bool((batch.all_indices < 40).all()):
        return terms
    few, all_few = batch.labels == 0, batch.all_labels == 0
    of_few = F.cross_entropy(network.classify(features[few]), batch.labels[few], reduction="sum")
    mean = of_few / max(1, int(few.sum()))
    return {**terms, "few": mean * batch.weight(int(few.sum()), int(all_few.sum()))}


def trained(loss: Loss[ResNet18] | None, processes: Ranks, count: int = COUNT) -> Trained[ResNet18]:
    def of_blocks(network: ResNet18) -> list[nn.Parameter]:
        return [*network.blocks.parameters(), *network.head.parameters()]

    return train_network(
        new_network(lambda: ResNet18(CLASSES, 4), 3), *data(count), seen=SEEN, recipe=RECIPE,
        seed=11, device=CPU, loss=loss, parameters=None if loss is None else of_blocks,
        processes=processes,
    )  # fmt: skip


TRAININGS: dict[str, Callable[[Ranks], Trained[ResNet18]]] = {
    "cross-entropy": lambda processes: trained(None, processes),
    "two looks": lambda processes: trained(two_looks, processes),
    "one image": lambda processes: trained(None, processes, 1),
}


def shares_seen(processes: Ranks) -> list[list[int]]:
    """The images of each batch of an epoch that this process gets."""
    return [batch.indices.tolist() for batch in epoch_batches(*data(), RECIPE, 11, 0, processes)]


def normalised(norm: nn.Module, x: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """One pass through a batch norm and back; ``wanted`` is a gradient of what comes out."""
    x = x.clone().requires_grad_(True)
    found = norm(x)
    (found * wanted).sum().backward()
    assert x.grad is not None
    return {"out": found.detach(), "gradient": x.grad}


def batch_norms(processes: Ranks) -> dict[str, dict[str, Tensor]]:
    """For each case the rows of this process: what comes out, gradients, running moments."""
    found = {}
    for name, momentum, cut in (("plain", 0.1, 3), ("no momentum", None, 5), ("empty", 0.1, 9)):
        chance = torch.Generator().manual_seed(1)
        x, wanted = 3 + torch.randn(2, 9, 4, 2, 2, generator=chance, dtype=torch.float32)
        layers = nn.Sequential(nn.BatchNorm2d(4, momentum=momentum))
        rows = [slice(0, cut), slice(cut, 9)][processes.rank] if processes.size > 1 else slice(9)
        results = {}
        if processes.size > 1:
            with moments_of_all(layers, processes.group(CPU, "tested")):
                for _ in range(2):
                    results = normalised(layers, x[rows], wanted[rows])
        else:
            for _ in range(2):
                results = normalised(layers, x, wanted)
        assert type(layers[0]) is nn.BatchNorm2d
        weights = {f"gradient of {name}": p.grad for name, p in layers.named_parameters()}
        found[name] = {**results, **layers.state_dict(), **weights}
    return found


if __name__ == "__main__":
    with sharing():
        ours = ranks()
        assert (ours.size, ALONE.size) == (2, 1) and shares([1, 1], 2) == [[0], [1]]
        made = {name: train(ours) for name, train in TRAININGS.items()}
        content = {
            "weights": {name: one.network.state_dict() for name, one in made.items()},
            "losses": {name: [one.log.losses, one.log.terms] for name, one in made.items()},
            "shares": shares_seen(ours),
            "norms": batch_norms(ours),
        }
        torch.save(content, Path(sys.argv[1]) / f"{ours.rank}.pt")
        refused = ""
        images, labels = data()
        try:  # what the processes have is not the same
            train_network(
                new_network(lambda: ResNet18(CLASSES, 4), 3), images + ours.rank, labels,
                seen=SEEN, recipe=RECIPE, seed=11, device=CPU, processes=ours,
            )  # fmt: skip
        except Exception as error:
            refused = f"{type(error).__name__}: {error}"
        (Path(sys.argv[1]) / f"{ours.rank}.txt").write_text(refused)
