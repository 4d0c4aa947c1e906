"""Every method by name: what it looks at, what it keeps, and that it goes on after a break."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from protocol_data import ORDER, SMALL, DigitsData, run, without_times
from torch.nn import BatchNorm2d
from torch.nn import functional as F
from torchvision import transforms

from drrpack.core.arrays import Labelled
from drrpack.core.errors import OptionError
from drrpack.formats import raw
from drrpack.trainers.incremental.methods import METHODS, PhaseContext, get_method
from drrpack.trainers.incremental.methods.ib_drr import IBDRR
from drrpack.trainers.incremental.methods.information_back import (
    IBOptions,
    InformationBack,
    Pairs,
)
from drrpack.trainers.learning.augment import Draws
from drrpack.trainers.learning.batches import Batch, normalise
from drrpack.trainers.learning.expanding import ExpandingResNet
from drrpack.trainers.learning.network import new_network, state_bytes
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18, ResNet32
from drrpack.trainers.learning.training import cross_entropy, smoothed

pytestmark = pytest.mark.usefixtures("one_thread")

ALL = [
    "der", "drr", "drr-soft", "er", "er-jpeg", "er-webp", "finetune", "foster", "gfr", "ib-drr",
    "ib-drr-star", "icarl", "lucir", "lwf", "memo", "mnemonics", "ub",
]  # fmt: skip
NETWORK_BYTES = state_bytes(ResNet18(10, 4))


def context_of(name: str, seen: int = 6, new: int = 2, **options: Any) -> PhaseContext:
    data = options.pop("data", None) or DigitsData(8)
    order = tuple(ORDER[:seen])
    return PhaseContext(
        phase=1, seen=order, new=order[-new:], data=data, needs=get_method(name).needs,
        recipe=get_recipe("fast", 1, 4), seed=3, device=torch.device("cpu"), classes=10, **options,
    )  # fmt: skip


class Counted(DigitsData):
    """Digits that write down how often they are asked for the numbers of their images."""

    asked = 0

    def __init__(self) -> None:
        super().__init__(8)

    @property
    def counts(self) -> list[int]:  # type: ignore[override]
        self.asked += 1
        return [8] * 10

    @counts.setter
    def counts(self, counts: list[int]) -> None:
        pass


def test_the_numbers_of_images_are_asked_for_once() -> None:
    """And not once a class: a file of a thousand classes counts them all each time."""
    data = Counted()
    context = context_of("ib-drr", data=data)
    context.best(context.seen, 3)
    assert data.asked == 1
    method = get_method("ib-drr")()
    assert isinstance(method, IBDRR)
    images, rows = method._pairs(context, None)
    assert data.asked == 1 + 4, "for the best, the pairs, and the images of two new classes"
    assert len(images) == len(rows) == 2 * 8 + 4 * 2
    get_method("er")().trainings(context)
    assert data.asked == 7, "once for the new classes, and once for the old ones"


def test_all_methods_are_known() -> None:
    assert sorted(METHODS) == ALL


@pytest.mark.parametrize("name", ALL)
def test_a_run_of_each_method(name: str, tmp_path: Path) -> None:
    result = run(DigitsData(8), name, out=tmp_path, **(SMALL | {"phases": 2}))
    assert result.method == name and len(result.phases) == 3 and result.complete
    assert result.memory_bytes["total"] > 0
    assert json.loads((tmp_path / "result.json").read_text()) == result.to_json()


def test_another_network(tmp_path: Path) -> None:
    options = SMALL | {"phases": 2, "network": ResNet32}
    for name in ("drr", "lucir", "memo"):
        result = run(DigitsData(8), name, out=tmp_path / name, **options)
        assert result.config.network == "resnet32" and result.to_json()["config"]["network"]
    assert result.memory_bytes["networks"] == state_bytes(
        ExpandingResNet(ResNet32, 10, 4, branches=3, shared=2, new=3)
    )
    usual = run(DigitsData(8), "drr", out=tmp_path / "usual", **(SMALL | {"phases": 2}))
    assert "network" not in usual.to_json()["config"], "as in results of before"
    with pytest.raises(OptionError, match="network was 'resnet32' and is now"):
        run(DigitsData(8), "drr", out=tmp_path / "drr", resume=True, **(SMALL | {"phases": 2}))


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("drr", "er", "ib-drr")])
def test_a_broken_run_goes_on_as_if_nothing_had_been(name: str, tmp_path: Path) -> None:
    def stop(at: Any) -> None:
        if at.phase == 2 and at.accuracy is None:
            raise Stopped

    whole = run(DigitsData(8), name, out=tmp_path / "whole", **SMALL)
    with pytest.raises(Stopped):
        run(DigitsData(8), name, out=tmp_path / "cut", report=stop, **SMALL)
    resumed = run(DigitsData(8), name, out=tmp_path / "cut", resume=True, **SMALL)

    assert without_times(resumed) == without_times(whole)


def joint_training(data: DigitsData, seed: int, epochs: int, width: int, batch: int) -> float:
    """Accuracy of a loop of its own: PyTorch's schedule and loss, torchvision's crops and flips."""
    images, labels = (torch.from_numpy(part) for part in data.raw(range(10)))
    crop = transforms.Compose([transforms.RandomCrop(8, 1), transforms.RandomHorizontalFlip()])
    torch.manual_seed(seed)
    network = ResNet18(10, width)
    optimiser = torch.optim.SGD(network.parameters(), 0.2, 0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, steps, cycle_momentum=False)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            views = torch.stack([crop(image.permute(2, 0, 1)) for image in images[rows]])
            logits = network((views / 255 - 0.5) / 0.25)
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    seen, wanted = (torch.from_numpy(part) for part in data.test(range(10)))
    with torch.no_grad():
        told = network.eval()((seen.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).argmax(1)
    return 100 * float((told == wanted).double().mean())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_ceiling_ends_as_plain_joint_training(tmp_path: Path) -> None:
    """Within noise: both come to 89 % over ten seeds, give or take two or three points."""
    data, epochs, width, seeds = DigitsData(150), 30, 4, range(3)
    data.images = np.ascontiguousarray(data.images[:, ::2, ::2])  # 8x8, as the digits are
    options = SMALL | {"epochs": epochs, "width": width, "base": 9, "phases": 1}
    ceiling = [
        run(data, "ub", out=tmp_path / str(seed), seed=seed, **options).last_accuracy
        for seed in seeds
    ]
    joint = [joint_training(data, seed, epochs, width, batch=250) for seed in seeds]
    assert abs(np.mean(ceiling) - np.mean(joint)) < 5, (ceiling, joint)


# --- what is kept --------------------------------------------------------------------------------


def test_codes_under_a_budget() -> None:
    context = context_of("drr", budget_bytes=70_000 + 10 * 3 * 63)
    method = get_method("drr")()
    # 5000 bytes for 80 images: 62.5 each, so three of each of the ten classes
    assert method.memory_bytes(context) == {"payload": 1875, "models": 70_000}
    images, labels = context.replayed(context.seen, 3)
    assert labels.tolist() == [label for label in range(6) for _ in range(3)]
    whole = context.data.replayed(context.seen)[0]
    np.testing.assert_array_equal(images[:3], whole[5:8])  # the best, which are the last here
    assert method.memory_bytes(context_of("drr", budget_bytes=75_000))["payload"] == 5000
    with pytest.raises(OptionError, match=r"`budget_mb=0.0706` is too little.*models 0.07"):
        method.memory_bytes(context_of("drr", budget_bytes=70_600))


def test_raw_exemplars_count_only_where_they_are_used() -> None:
    data = DigitsData(8)
    data.memory_bytes = {"payload": 5000, "raw": 900}
    kept = {
        name: get_method(name)().memory_bytes(context_of(name, data=data))
        for name in ("drr", "ib-drr", "ib-drr-star")
    }
    assert kept["ib-drr"] == {"payload": 5000, "raw": 900}
    assert kept["drr"] == kept["ib-drr-star"] == {"payload": 5000}


@pytest.mark.parametrize("budget", [None, NETWORK_BYTES + 10 * 700])
def test_exemplars_of_er(budget: int | None) -> None:
    context = context_of("er", seen=2, new=2, budget_bytes=budget, exemplars_per_class=3)
    method: Any = get_method("er")()
    method.train_phase(context)
    best = context.raw(context.new)[0].unflatten(0, (2, 8)).flip(1)  # the ranking is the reverse
    buffer = method.exemplars
    for kept, size, wanted in zip(buffer.kept, buffer.kept_bytes, best, strict=True):
        assert torch.equal(kept, wanted[: len(kept)])
        assert size == sum(len(r.data) for r in raw.pack(0, range(len(kept)), kept.numpy()))
        if budget is None:
            assert len(kept) == 3
        else:
            assert size <= 700
            one_more = wanted[: len(kept) + 1].numpy()
            full = len(kept) == 8
            assert full or len(raw.pack(0, range(len(one_more)), one_more)[0].data) > 0.9 * 700
    assert method.memory_bytes(context) == {
        "raw_exemplars": buffer.nbytes, "old_network": NETWORK_BYTES,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["er-jpeg", "er-webp"])
def test_compressed_images_fill_the_shares_and_no_more(name: str) -> None:
    used = []
    for budget in (10 * 8 * 90, 10 * 8 * 130, 10 * 8 * 200):
        context = context_of(name, budget_bytes=budget)
        method: Any = get_method(name)()
        kept = method.kept(context)
        assert all(len(one.images) == 8 for one in kept)
        used.append(sum(int(one.sizes.sum()) for one in kept))
        assert used[-1] <= 6 * budget / 10
        assert method.memory_bytes(context) == {"exemplars": used[-1]}
    assert used[0] < used[1] < used[2]


@pytest.mark.parametrize("name", ["er-jpeg", "er-webp"])
def test_compressed_images_of_all_classes_have_one_quality(name: str) -> None:
    """Squares of chance take more bytes than digits, and get no other quality for that."""
    data = DigitsData(8)
    rows = data.labels == ORDER[0]
    squares = np.random.default_rng(0).integers(0, 2, (rows.sum(), 8, 8, 3), dtype=np.uint8)
    data.images[rows] = 255 * squares.repeat(2, 1).repeat(2, 2)
    context = context_of(name, budget_bytes=10 * 8 * 130, data=data)
    method: Any = get_method(name)()
    kept = method.kept(context)
    same = [
        quality
        for quality in method.qualities
        if all(
            np.array_equal(method.pack(data.raw([label])[0], quality).images, one.images)
            for label, one in zip(context.seen, kept, strict=True)
        )
    ]
    assert same
    assert kept[0].sizes.sum() > 8 * 130 > kept[1].sizes.sum()


@pytest.mark.parametrize("name", ["er-jpeg", "er-webp"])
def test_where_not_all_images_fit_the_best_are_kept(name: str) -> None:
    context = context_of(name)
    lowest = get_method(name).qualities[0]  # type: ignore[attr-defined]
    every = [
        METHODS[name].pack(context.data.raw([label])[0], lowest)  # type: ignore[attr-defined]
        for label in context.seen
    ]
    share = max(int(one.sizes[5:].sum()) for one in every)
    method: Any = get_method(name)()
    kept = method.kept(context_of(name, budget_bytes=10 * share))
    for one, found in zip(every, kept, strict=True):  # the last image is ranked first
        assert 3 <= len(found.images) < 8 and found.sizes.sum() <= share
        np.testing.assert_array_equal(found.images, one.images[-len(found.images) :])
    with pytest.raises(OptionError, match="too little"):
        get_method(name)().kept(context_of(name, budget_bytes=10))  # type: ignore[attr-defined]


def test_without_a_budget_compressed_images_get_the_bytes_of_the_memory() -> None:
    data = DigitsData(8)
    data.memory_bytes = {"payload": 10 * 8 * 150, "raw": 10**9}
    method: Any = get_method("er-jpeg")()
    bytes_kept = method.memory_bytes(context_of("er-jpeg", data=data))["exemplars"]
    assert bytes_kept <= 6 * 8 * 150 < 1.3 * bytes_kept


# --- information back ----------------------------------------------------------------------------


def batch_of(images: torch.Tensor, indices: list[int]) -> Batch:
    count, pad = len(indices), 2
    plain = Draws(
        torch.full((count,), pad),
        torch.full((count,), pad),
        torch.zeros(count).bool(),
        torch.zeros(count).long(),
    )
    where = torch.tensor(indices)
    return Batch(normalise(images[where]), where % 3, where, plain)


def information_back(
    raw: torch.Tensor, rows: torch.Tensor, replayed: torch.Tensor, weight: float, **options: Any
) -> InformationBack:
    """The loss on reconstructions whose labels are their numbers modulo three."""
    pairs = Pairs(replayed, torch.arange(len(replayed)) % 3, raw, rows)
    return InformationBack(pairs, IBOptions(similarity_weight=weight, **options), 0.1, seed=0)


def test_the_loss_of_information_back() -> None:
    torch.manual_seed(0)
    network = ResNet18(10, 4, seen=6)
    replayed, raw_images = (torch.randint(256, (9, 16, 16, 3)).byte() for _ in range(2))
    rows = torch.tensor([7, 2, 4])
    weight, smoothing = 0.3, 0.1
    loss = information_back(raw_images[:3], rows, replayed, weight)
    batch = batch_of(replayed, [2, 5, 7])
    network.eval()  # fixed moments, so that both ways to compute it see the same network
    found = loss(network, batch)
    reconstructed = network.features(normalise(replayed[torch.tensor([2, 7])]))
    wanted = network.features(normalise(raw_images[torch.tensor([1, 0])]))
    alike = F.cosine_similarity(reconstructed, wanted, dim=1).mean()
    plain = smoothed(network(batch.images), batch.labels, 6, smoothing)
    torch.testing.assert_close(found["cross_entropy"], plain)
    torch.testing.assert_close(found["similarity"], -0.3 * alike)
    assert IBOptions().similarity_weight == 0.005, "as in the paper, section 6.1"


def test_raw_images_get_no_gradient_and_no_label() -> None:
    torch.manual_seed(0)
    network = ResNet18(10, 4, seen=6).eval()
    replayed, raw_images = (torch.randint(256, (4, 16, 16, 3)).byte() for _ in range(2))
    loss = information_back(raw_images, torch.arange(4), replayed, 0.3)
    batch = batch_of(replayed, [0, 1, 2, 3])
    weight = network.head.weight
    (gradient,) = torch.autograd.grad(loss(network, batch)["similarity"], weight, allow_unused=True)
    assert gradient is None or gradient.abs().max() < 1e-6
    with torch.no_grad():
        wanted = network.features(normalise(raw_images))
    features = network.features(batch.images)
    alone = -0.3 * F.cosine_similarity(features, wanted, dim=1).mean()
    torch.testing.assert_close(
        torch.autograd.grad(sum(loss(network, batch).values()), network.stem.weight)[0],
        torch.autograd.grad(
            alone + smoothed(network.classify(features), batch.labels, 6, 0.1),
            network.stem.weight,
        )[0],
    )


def test_a_batch_without_pairs_is_plain_drr() -> None:
    network = ResNet18(10, 4, seen=6).eval()
    replayed = torch.randint(256, (4, 16, 16, 3)).byte()
    smoothing = 0.1
    loss = information_back(replayed[:1], torch.tensor([3]), replayed, 0.005)
    batch = batch_of(replayed, [0, 1, 2])
    found = loss(network, batch)
    assert list(found) == ["cross_entropy"]
    plain = smoothed(network(batch.images), batch.labels, 6, smoothing)
    assert torch.equal(found["cross_entropy"], plain)


def test_raw_images_leave_the_running_moments_to_the_reconstructions() -> None:
    replayed, raw_images = (torch.randint(256, (6, 16, 16, 3)).byte() for _ in range(2))
    batch, networks = batch_of(replayed, [0, 1, 2, 3, 4, 5]), []
    for loss in (
        cross_entropy(0.1),
        information_back(raw_images[2:], torch.arange(2, 6), replayed, 0.005),
    ):
        networks.append(new_network(lambda: ResNet18(10, 4), seed=0).train())
        loss(networks[-1], batch)
    plain, paired = (dict(network.named_buffers()) for network in networks)
    assert plain.keys() == paired.keys() and any("running_var" in name for name in plain)
    for name, moments in plain.items():
        assert torch.equal(moments, paired[name]), name
    assert all(m.track_running_stats for m in networks[1].modules() if isinstance(m, BatchNorm2d))


class Greys(DigitsData):
    """Flat pictures of 8x8. Classes are overlapping ranges of brightness, the last the brightest,
    so moments that lean towards the new class make all others look darker than they are."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        drawn = np.random.default_rng(0)
        self.labels = np.repeat(np.arange(10), count + 20)
        level = 60 + 14 * self.labels + drawn.normal(0, 7, len(self.labels))
        pixels = level[:, None, None, None] + drawn.normal(0, 10, (len(level), 8, 8, 3))
        self.images = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def replayed(self, classes: Sequence[int]) -> Labelled:
        images, labels = self.raw(classes)
        return images // 4 * 4 + 2, labels


@pytest.mark.slow
def test_a_new_class_is_told_about_as_often_as_it_occurs(tmp_path: Path) -> None:
    settings = SMALL | {"base": 9, "phases": 1, "class_order": None, "epochs": 15}
    told = {}
    for name in ("drr", "ib-drr", "ib-drr-star"):
        confusion = np.array(run(Greys(100), name, out=tmp_path / name, **settings).confusion)
        told[name] = confusion[:, -1].sum() / confusion.sum()  # of which 10 % are of that class
    assert 0.1 <= told["drr"] < 0.15
    assert abs(told["ib-drr"] - told["drr"]) < 0.025
    assert abs(told["ib-drr-star"] - told["drr"]) < 0.025


@pytest.mark.parametrize("each", [None, 3])
def test_pairs_are_an_image_and_its_reconstruction(each: int | None) -> None:
    for name in ("ib-drr", "ib-drr-star"):
        context = context_of(name)
        method: Any = get_method(name)()
        images, rows = method._pairs(context, each)
        replayed, labels = context.replayed(context.seen, each)
        np.testing.assert_array_equal(images // 64 * 64, replayed[rows])
        per_class = torch.bincount(labels[rows], minlength=6).tolist()
        old = (2 if each is None else 1) if name == "ib-drr" else 0  # 1 and 5; 5 to 7 are kept
        assert per_class == 4 * [old] + 2 * [8 if each is None else 3]


def test_exemplars_must_be_in_the_memory_from_the_start(tmp_path: Path) -> None:
    data = DigitsData(8)
    data.exemplars = lambda label: (np.zeros(0, int), np.zeros((0, 16, 16, 3), np.uint8))  # type: ignore[method-assign]
    with pytest.raises(OptionError, match=r"'digit 3'.*`raw_per_class=20`"):
        run(data, "ib-drr", out=tmp_path, **SMALL)
    assert not (tmp_path / "phases").exists()
    run(data, "ib-drr-star", out=tmp_path, **SMALL)  # nothing is there to hold it back


# --- the network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_closed_classes_are_as_if_they_were_not_there(smoothing: float) -> None:
    torch.manual_seed(0)
    network = ResNet18(10, 4, seen=6).eval()
    small = ResNet18(6, 4).eval()
    state = network.state_dict()
    small.load_state_dict({n: t[:6] if n.startswith("head") else t for n, t in state.items()})
    images, labels = torch.randn(5, 3, 16, 16), torch.tensor([0, 5, 2, 2, 1])
    logits = small(images)
    torch.testing.assert_close(network(images)[:, :6], logits)
    assert (network(images).argmax(1) < 6).all()
    wanted = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(smoothed(network(images), labels, 6, smoothing), wanted)


@pytest.mark.slow
def test_a_compiled_network_is_the_same_network(tmp_path: Path) -> None:
    plain, fast = (
        run(DigitsData(8), "drr", out=tmp_path / str(c), compiled=c, **(SMALL | {"phases": 1}))
        for c in (False, True)
    )
    for one, two in zip(plain.phases, fast.phases, strict=True):
        assert abs(one.accuracy - two.accuracy) < 15
    assert fast.config.compiled is True
