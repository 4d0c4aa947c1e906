"""Training a network: on a copy, of some parameters, with a loss of named terms."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.errors import MethodError
from drrpack.trainers.learning import network as network_module
from drrpack.trainers.learning.batches import Batch, epoch_batches, normalise
from drrpack.trainers.learning.network import Network, new_network, snapshot
from drrpack.trainers.learning.recipes import Recipe, get_recipe, learning_rate
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import Trained, train_network
from drrpack.trainers.learning.watch import TrainProgress

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = torch.randint(256, (12, 8, 8, 3), generator=torch.Generator().manual_seed(0)).byte()
LABELS = torch.arange(12) % 3
RECIPE = get_recipe("fast", 2)


def small(seed: int = 0) -> ResNet18:
    return new_network(lambda: ResNet18(5, 2), seed)


def trained(network: Network, **options: Any) -> Trained[Any]:
    given = {"seen": 3, "recipe": RECIPE, "seed": 1, "device": torch.device("cpu"), **options}
    return train_network(network, IMAGES, LABELS, **given)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("training", [True, False])
def test_the_network_that_is_given_stays_as_it_is(training: bool) -> None:
    network = small().train(training)
    network.blocks[1].eval()  # a mode of its own
    before, modes = state(network), [module.training for module in network.modules()]
    found = trained(network).network
    assert_same(state(network), before)
    assert [module.training for module in network.modules()] == modes
    assert network.seen == 5 and found.seen == 3
    assert all(parameter.grad is None for parameter in network.parameters())
    moved = [n for n, value in state(found).items() if not torch.equal(value, before[n])]
    assert {"stem.weight", "head.weight", "bn.running_mean", "bn.running_var"} <= set(moved)


def test_like_a_loop_of_its_own() -> None:
    """PyTorch's own loss and optimiser on the same batches."""
    network = small().train()
    network.open_head(3)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), 1, 0.9, weight_decay=5e-4, nesterov=True)
    for epoch in range(2):
        (batch,) = epoch_batches(IMAGES, LABELS, RECIPE, 1, epoch)
        optimiser.param_groups[0]["lr"] = learning_rate(RECIPE, epoch, 1)
        loss = F.cross_entropy(network(batch.images)[:, :3], batch.labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, value in state(trained(small()).network).items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_some_parameters_alone() -> None:
    network = small()
    found = trained(network, parameters=lambda copied: copied.head.parameters()).network
    before = state(network)
    moved = {n for n, p in found.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"head.weight", "head.bias"}


def test_parts_that_are_not_trained_keep_their_moments() -> None:
    """The moments of batch norms are no parameters, and yet decide what a network says."""
    network = small()
    before = state(network)

    def last_block(copied: ResNet18) -> Iterable[nn.Parameter]:
        return [*copied.blocks[-1].parameters(), *copied.head.parameters()]

    found = trained(network, parameters=last_block).network.state_dict()
    moved = {name for name in found if not torch.equal(found[name], before[name])}
    last = f"blocks.{len(network.blocks) - 1}."
    assert f"{last}bn1.running_mean" in moved
    assert all(name.startswith((last, "head.")) for name in moved)


def test_a_training_may_start_from_a_frozen_copy() -> None:
    network = small()
    frozen = snapshot(network, torch.device("cpu"))
    found = trained(frozen)
    assert_same(state(found.network), state(trained(network).network))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_groups_of_an_optimiser_follow_in_proportion() -> None:
    rates: list[tuple[float, float]] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            rates.append((self.param_groups[0]["lr"], self.param_groups[1]["lr"]))

    def two_groups(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
        first, *others = parameters
        slow = {"params": others, "lr": recipe.peak_lr / 10}
        return Watched([{"params": [first]}, slow], lr=recipe.peak_lr)

    trained(small(), optimiser=two_groups)
    wanted = [learning_rate(RECIPE, step, 1) for step in range(2)]
    assert [first for first, _ in rates] == wanted
    assert [slow for _, slow in rates] == pytest.approx([rate / 10 for rate in wanted])


def test_named_terms_add_up_and_are_told() -> None:
    seen: list[TrainProgress] = []
    steps: list[tuple[float, float]] = []

    def loss(network: Network, batch: Batch) -> dict[str, Tensor]:
        wrong = F.cross_entropy(network(batch.images), batch.labels)
        terms = {"cross_entropy": wrong, "size": 0.1 * network.features(batch.images).mean()}
        steps.append((terms["cross_entropy"].item(), terms["size"].item()))
        return terms

    def total(network: Network, batch: Batch) -> Tensor:
        return sum(loss(network, batch).values(), start=torch.zeros(()))

    log = trained(small(), loss=loss, stage="second", report=seen.append).log
    terms = list(steps)
    assert log.stage == "second" and set(log.terms) == {"cross_entropy", "size"}
    for place, name in enumerate(("cross_entropy", "size")):
        assert log.terms[name] == pytest.approx([step[place] for step in terms])
    assert log.losses == pytest.approx([sum(step) for step in terms], rel=1e-5)
    assert trained(small(), loss=total).log.losses == pytest.approx(log.losses, rel=1e-5)
    assert set(seen[-1].terms) == set(log.terms) and seen[-1].stage == "second"
    assert trained(small()).log.terms == {}


def test_a_term_that_not_every_batch_has() -> None:
    recipe = get_recipe("fast", 3)

    def loss(network: Network, batch: Batch) -> dict[str, Tensor]:
        terms = {"plain": F.cross_entropy(network(batch.images), batch.labels)}
        calls.append(len(calls))
        return terms | ({"rare": 2 * terms["plain"]} if len(calls) == 2 else {})

    calls: list[int] = []
    log = trained(small(), loss=loss, recipe=recipe).log
    assert log.terms["rare"][0] is None and log.terms["rare"][2] is None
    assert log.terms["rare"][1] == pytest.approx(2 * log.terms["plain"][1])  # type: ignore[operator]


def test_a_copy_of_a_compiled_network_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a copy's features ran through the network that it was copied from."""
    monkeypatch.setattr(network_module.torch, "compile", lambda function: lambda x: function(x))
    network = trained(small(), compiled=True).network
    assert "features" in vars(network)
    teacher = copy.deepcopy(network)
    x = normalise(IMAGES)
    before = teacher.eval().features(x)
    with torch.no_grad():
        network.stem.weight.zero_()
    assert torch.equal(teacher.features(x), before) and before.any()
    assert "features" not in vars(teacher)
    again = trained(network, compiled=True).network
    assert vars(again)["features"] is not vars(network)["features"]


@pytest.mark.slow
def test_a_copy_of_a_network_that_torch_compiled() -> None:
    network = trained(small(), compiled=True).network.eval()
    teacher, x = copy.deepcopy(network), normalise(IMAGES)
    with torch.no_grad():
        torch.testing.assert_close(network.features(x), teacher.features(x))
        network.stem.weight.zero_()
        assert not torch.allclose(network.features(x), teacher.features(x))


def test_a_loss_without_gradient_is_refused() -> None:
    def loss(network: Network, batch: Batch) -> Tensor:
        with torch.no_grad():
            return F.cross_entropy(network(batch.images), batch.labels)

    with pytest.raises(MethodError, match="a loss without a gradient"):
        trained(small(), loss=loss)
