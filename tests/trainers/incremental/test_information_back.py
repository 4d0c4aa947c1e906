"""Each option of information back against arithmetic of its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, without_times
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.methods import get_method
from drrpack.trainers.incremental.methods.information_back import (
    IBOptions,
    InformationBack,
    Pairs,
    WithPredictor,
)
from drrpack.trainers.incremental.options import make_options
from drrpack.trainers.learning.augment import Draws
from drrpack.trainers.learning.batches import Batch, normalise
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.resnet import BasicBlock, ResNet18

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT, PAD = 6, 2
CHANCE = torch.Generator().manual_seed(0)
REPLAYED, RAW = (torch.randint(256, (COUNT, 16, 16, 3), generator=CHANCE).byte() for _ in range(2))
LABELS = torch.tensor([0, 0, 0, 0, 1, 2])
PLAIN = Draws(
    *(torch.full((COUNT,), PAD) for _ in range(2)),
    torch.zeros(COUNT).bool(),
    torch.zeros(COUNT).long(),
)
BATCH = Batch(normalise(REPLAYED), LABELS, torch.arange(COUNT), PLAIN)
WEIGHT = 0.5


def network() -> ResNet18:
    """In eval mode, so that what a picture gives does not depend on those beside it."""
    return new_network(lambda: ResNet18(10, 4, seen=3), seed=0).eval()


def loss(**options: Any) -> InformationBack:
    pairs = Pairs(REPLAYED, LABELS, RAW, torch.arange(COUNT))
    return InformationBack(pairs, IBOptions(similarity_weight=WEIGHT, **options), 0.1, seed=0)


def similarity(found: Any) -> float:
    return float(found["similarity"].detach())


def cosines(ours: Tensor, theirs: Tensor) -> Tensor:
    return torch.stack([torch.dot(a / a.norm(), b / b.norm()) for a, b in zip(ours, theirs)])  # noqa: B905


def stages(net: ResNet18, images: Tensor) -> list[Tensor]:
    """What each stage gives, by a walk through the blocks; the last without its ReLU."""
    x, found = F.relu(net.bn(net.stem(images))), []
    for number, block in enumerate(net.blocks):
        assert isinstance(block, BasicBlock)
        y = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
        y = y + block.shortcut(x[:, :, :: block.stride, :: block.stride])
        x = y if number == 7 else F.relu(y)
        if number % 2:
            found.append(x)
    return found


@torch.no_grad()
def expected(compared: str) -> float:
    net = network()
    ours, theirs = (stages(net, normalise(images)) for images in (REPLAYED, RAW))
    if compared == "stages":
        each = [cosines(a.flatten(1), b.flatten(1)) for a, b in zip(ours, theirs, strict=True)]
        return float(torch.stack(each).mean())
    a, b = (one[-1].mean((2, 3)) for one in (ours, theirs))
    if compared == "centred":
        a, b = (F.relu(one[-1]).mean((2, 3)) for one in (ours, theirs))
        a, b = a - a.mean(0), b - b.mean(0)
    return float(cosines(a, b).mean())


@pytest.mark.parametrize("compared", ["before_relu", "centred", "stages"])
def test_what_is_compared(compared: str) -> None:
    found = similarity(loss(compared=compared)(network(), BATCH))
    assert found == pytest.approx(-WEIGHT * expected(compared), rel=1e-4)


@pytest.mark.parametrize("compared", ["features", "before_relu", "centred", "stages"])
def test_the_cross_entropy_stays(compared: str) -> None:
    one, other = (
        loss(compared=c)(network(), BATCH)["cross_entropy"] for c in ("features", compared)
    )
    torch.testing.assert_close(one, other)


def test_a_sum_counts_each_pair() -> None:
    mean, total = (similarity(loss(reduction=r)(network(), BATCH)) for r in ("mean", "sum"))
    assert total == pytest.approx(COUNT * mean, rel=1e-5)


def test_raw_images_can_be_drawn_in_a_balance_of_classes() -> None:
    back = loss(drawn="balanced")
    picked = torch.multinomial(back.balance, 2000, replacement=True, generator=back.chance)
    counts = torch.bincount(LABELS[picked], minlength=3) / 2000
    assert all(abs(float(share) - 1 / 3) < 0.04 for share in counts)


def test_drawn_pairs_show_one_image_each() -> None:
    """Where a reconstruction is its raw image, both are cropped and mirrored to the same."""
    pairs = Pairs(REPLAYED, LABELS, REPLAYED[2:].clone(), torch.arange(2, COUNT))
    back = InformationBack(pairs, IBOptions(drawn="balanced"), 0.1, seed=0)
    ours, theirs = back._drawn(50)
    assert ours.shape == (50, 3, 16, 16) and torch.equal(ours, theirs)
    assert len({image.sum().item() for image in ours}) > 10, "and each draw is another"


def test_a_predictor_tells_both_ways() -> None:
    paired = WithPredictor(network()).eval()
    found = similarity(loss(predictor=True)(paired, BATCH))
    with torch.no_grad():
        ours, theirs = (paired.base.features(normalise(images)) for images in (REPLAYED, RAW))
        told = [paired.predictor(one) for one in (ours, theirs)]
        wanted = (cosines(told[0], theirs).mean() + cosines(told[1], ours).mean()) / 2
    assert found == pytest.approx(-WEIGHT * float(wanted), rel=1e-4)


def test_with_a_predictor_raw_images_train_the_network_too() -> None:
    """What a step changes depends on the raw images, through more than a fixed target."""
    paired = WithPredictor(network()).eval()
    with_raw = torch.autograd.grad(
        loss(predictor=True)(paired, BATCH)["similarity"], paired.base.stem.weight
    )[0]
    ours, theirs = (paired.base.features(normalise(images)) for images in (REPLAYED, RAW))
    one_way = -WEIGHT * F.cosine_similarity(paired.predictor(ours), theirs.detach()).mean() / 2
    other = -WEIGHT * F.cosine_similarity(paired.predictor(theirs), ours.detach()).mean() / 2
    wanted = torch.autograd.grad(one_way + other, paired.base.stem.weight)[0]
    torch.testing.assert_close(with_raw, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"reduction": "sum"}, {"compared": "before_relu"}, {"compared": "centred"},
        {"compared": "stages"}, {"predictor": True}, {"drawn": "balanced"},
        {"predictor": True, "drawn": "balanced", "compared": "centred"},
    ],
)  # fmt: skip
def test_a_run_with_each(options: dict[str, Any], tmp_path: Path) -> None:
    settings = SMALL | {"phases": 1, "options": options, "width": 4}
    found = run(DigitsData(8), "ib-drr", out=tmp_path / "one", **settings)
    again = run(DigitsData(8), "ib-drr", out=tmp_path / "two", **settings)
    assert without_times(found) == without_times(again)
    terms = found.phases[-1].loss_terms
    assert terms is not None and "similarity" in terms
    assert found.config.options == make_options(IBOptions, "ib-drr", options).recorded()


def test_what_is_not_set_leaves_no_trace(tmp_path: Path) -> None:
    """So runs of before continue: the key of a phase has what departs from the paper alone."""
    assert IBOptions().recorded() == {}
    assert IBOptions(predictor=True).recorded() == {"predictor": True}


def test_the_kept_network_has_no_predictor(tmp_path: Path) -> None:
    found = []
    for predictor in (False, True):
        settings = SMALL | {"phases": 1, "options": {"predictor": predictor}}
        result = run(DigitsData(8), "ib-drr-star", out=tmp_path / str(predictor), **settings)
        found.append(copy.copy(result.memory_bytes))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduction": "max"}, "found 'max', expected 'mean' or 'sum'"),
        ({"compared": "logits"}, "found 'logits', expected 'features' or"),
        ({"predictor": True, "compared": "stages"}, "compares one vector of each image"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make_options(get_method("ib-drr").Options, "ib-drr", options)
