"""The integrations on twenty classes of CIFAR-100, learned in two tasks of ten.

    python benchmarks/integrations.py mem.drr FOLDER -o benchmarks/results/integrations.json

``mem.drr`` holds CIFAR-100, FOLDER is where it was encoded from (for test images, and for the raw
images of the second task). One small convolutional network learns the first ten classes from raw
images, then the other ten beside a memory of the first, as each library feeds it. Accuracies are
those of raw test images of all twenty classes, after the second task. An integration whose library
is not installed has no row. ``--only datasets lightning`` measures the rows whose names begin so,
and keeps the others of an earlier run.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from made_by import made_by
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import drrpack
from drrpack.formats.sources.source import Source, open_source

CLASSES, TASK, EPOCHS, BATCH = 20, 10, 5, 128

Batches = Iterable[tuple[Tensor, Tensor]]  # images (B, 3, 32, 32) uint8 and labels (B,)
Feed = Callable[[nn.Module], None]  # trains a network


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME")
    given = parser.parse_args()
    torch.manual_seed(0)
    names = drrpack.DRRDataset(given.memory).classes[:CLASSES]
    source = open_source(given.folder)
    old, new = raw(source, names[:TASK]), raw(source, names[TASK:], TASK)
    test = raw(source, names, split="test")
    start = network()
    fit(start, loader(old))
    rows: dict[str, dict[str, float]] = {}
    if given.only != [""]:
        rows = json.loads(given.output.read_text())["accuracy, %"]
    feeds = ways(given.memory, names, new)
    for name, feed in feeds.items():
        if not name.startswith(tuple(given.only)):
            continue
        torch.manual_seed(1)
        learner, began = copy.deepcopy(start), time.process_time()
        feed(learner)
        rows[name] = {
            **accuracies(learner, test),
            "cpu_seconds": round(time.process_time() - began),
        }
        print(name, rows[name], flush=True)
        text = json.dumps({"accuracy, %": rows, **made_by()}, indent=1)
        given.output.write_text(text + "\n")


def ways(memory: Path, names: list[str], new: TensorDataset) -> dict[str, Feed]:
    """How each library mixes the new images with the memory, by its name."""
    first = drrpack.DRRDataset(memory, classes=names[:TASK])
    found: dict[str, Feed] = {
        "the new images alone": lambda net: fit(net, loader(new)),
        "drrpack.replay": lambda net: fit(
            net, drrpack.replay(first, new, batch_size=BATCH, label_offset=0)
        ),
        "torchvision: DRRVision, concatenated": lambda net: fit(
            net, by_torchvision(memory, names, new)
        ),
    }
    try:
        from drrpack.integrations.huggingface import to_hf
    except drrpack.DrrError:
        pass
    else:
        of_hub = to_hf(first).with_format("numpy")
        found["datasets: to_hf, concatenated"] = lambda net: fit(net, concatenated(of_hub[:], new))
    if find_spec("lightning"):
        found["lightning: DRRDataModule"] = lambda net: by_lightning(net, first, new)
    if find_spec("avalanche"):
        found["avalanche: DRRStoragePolicy"] = lambda net: by_avalanche(net, memory, names)
    return found


def by_torchvision(memory: Path, names: list[str], new: TensorDataset) -> Batches:
    from drrpack.integrations.torchvision import DRRVision

    past = DRRVision(str(memory), train=True)
    keep = np.isin(past.targets, [past.class_to_idx[name] for name in names[:TASK]])
    order = {past.class_to_idx[name]: n for n, name in enumerate(names)}
    labels = np.array([order.get(label, -1) for label in past.targets])[keep]
    return concatenated({"image": past.data[keep], "label": labels}, new)


def concatenated(past: dict[str, np.ndarray], new: TensorDataset) -> Batches:
    """Shuffled batches of arrays (N, 32, 32, 3) and of the new images."""
    images = torch.from_numpy(np.ascontiguousarray(past["image"])).permute(0, 3, 1, 2)
    both = [
        torch.cat([images, new.tensors[0]]),
        torch.cat([torch.from_numpy(past["label"]), new.tensors[1]]),
    ]
    return loader(TensorDataset(*both))


def by_lightning(net: nn.Module, past: drrpack.DRRDataset, new: TensorDataset) -> None:
    import lightning.pytorch as pl

    from drrpack.integrations.lightning import DRRDataModule

    class Learner(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            return loss(self.net, *batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimiser(self.net)

    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(Learner(), datamodule=DRRDataModule(past, new, batch_size=BATCH, label_offset=0))


def by_avalanche(net: nn.Module, memory: Path, names: list[str]) -> None:
    """The second experience, whose images are reconstructions as well, beside a buffer of the
    first."""
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.supervised import Naive

    from drrpack.integrations.avalanche import DRRStoragePolicy, avalanche_benchmark

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: Tensor) -> Tensor:
            return logits(self.net, images * 255)

    first, second = avalanche_benchmark(memory, 2, classes=names).train_stream
    buffer = DRRStoragePolicy(memory, classes=names)
    buffer.post_adapt(None, first)
    half = BATCH // 2
    plugin = ReplayPlugin(buffer.max_size, half, half, storage_policy=buffer)
    Naive(
        model=Scaled(), optimizer=optimiser(net), criterion=nn.CrossEntropyLoss(),
        train_mb_size=half, train_epochs=EPOCHS, plugins=[plugin], evaluator=None,
    ).train(second)  # fmt: skip


# --- a training loop as anybody writes it ---


def network() -> nn.Module:
    layers: list[nn.Module] = []
    for channels, before in ((32, 3), (64, 32), (128, 64)):
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))


def optimiser(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)


def loss(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits(net, images), labels)


def logits(net: nn.Module, images: Tensor) -> Tensor:
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images, images.flip(3))
    out: Tensor = net(flipped.float() / 127.5 - 1)
    return out


def fit(net: nn.Module, batches: Batches) -> None:
    steps = optimiser(net)
    net.train()
    for _ in range(EPOCHS):
        for images, labels in batches:
            steps.zero_grad()
            loss(net, images, labels).backward()
            steps.step()


def accuracies(net: nn.Module, test: TensorDataset) -> dict[str, float]:
    """Of all classes, of those of the first task and of those of the second, in percent."""
    net.eval()
    images, labels = test.tensors
    with torch.inference_mode():
        right = (net(images.float() / 127.5 - 1).argmax(1) == labels).float()
    old = labels < TASK
    parts = {"all": right, "first task": right[old], "second task": right[~old]}
    return {name: round(100 * float(part.mean()), 1) for name, part in parts.items()}


def raw(source: Source, names: list[str], first: int = 0, split: str = "train") -> TensorDataset:
    """The raw images of some classes, whose labels count from ``first``."""
    images, labels = [], []
    for number, name in enumerate(names, first):
        of_class = source.load(source.classes.index(name), split)
        images.append(torch.from_numpy(of_class).permute(0, 3, 1, 2))
        labels.append(torch.full((len(of_class),), number))
    return TensorDataset(torch.cat(images), torch.cat(labels))


def loader(data: TensorDataset) -> Batches:
    return DataLoader(data, BATCH, shuffle=True)


if __name__ == "__main__":
    main()
