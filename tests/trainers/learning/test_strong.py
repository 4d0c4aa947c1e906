"""Strong augmentation: torchvision's policies, by seeds, and without a trace elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, without_times
from torch import Tensor

from drrpack.core.errors import OptionError
from drrpack.trainers.learning.batches import epoch_batches
from drrpack.trainers.learning.recipes import get_recipe, recipe_changes
from drrpack.trainers.learning.strong import STRENGTHS, Strength, strengthen

pytestmark = pytest.mark.usefixtures("one_thread")

CHANCE = torch.Generator().manual_seed(0)
IMAGES = torch.randint(256, (12, 16, 16, 3), generator=CHANCE).byte()
STRONG: tuple[Any, ...] = STRENGTHS[1:]


@pytest.mark.parametrize("strength", STRONG)
def test_a_seed_decides_what_is_done(strength: Strength) -> None:
    same = IMAGES[:1].expand(12, -1, -1, -1)
    state = torch.get_rng_state()
    found = strengthen(same, torch.arange(12), strength)
    assert found.shape == same.shape and found.dtype == torch.uint8
    again = strengthen(same, torch.arange(12), strength)
    assert torch.equal(found, again)
    assert len({image.numpy().tobytes() for image in found}) > 3, "seeds differ in what they do"
    one = strengthen(same, torch.full((12,), 3), strength)
    assert all(torch.equal(image, found[3]) for image in one)
    assert torch.equal(torch.get_rng_state(), state), "the random state is the user's"


def test_it_is_torchvisions_policy() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    found = strengthen(IMAGES, torch.arange(12), "randaugment")
    with torch.random.fork_rng(devices=[]):
        for image, seed, changed in zip(IMAGES, range(12), found, strict=True):
            torch.manual_seed(seed)
            assert torch.equal(v2.RandAugment()(image.permute(2, 0, 1)).permute(1, 2, 0), changed)


def test_crops_alone_stay_as_they_were() -> None:
    assert strengthen(IMAGES, torch.arange(12), "crop") is IMAGES


@pytest.mark.parametrize("strength", STRONG)
def test_other_pixels_of_a_batch_are_changed_alike(strength: str) -> None:
    """A raw image undergoes what its reconstruction undergoes."""
    recipe = get_recipe("fast", 1, 4, strength)
    (batch,) = epoch_batches(IMAGES, torch.arange(12), recipe, seed=1, epoch=0)
    rows = torch.tensor([7, 2, 9])
    alike = batch.alike(IMAGES[batch.indices[rows]], rows)
    assert torch.equal(alike, batch.images[rows])
    (plain,) = epoch_batches(IMAGES, torch.arange(12), get_recipe("fast", 1, 4), seed=1, epoch=0)
    assert torch.equal(plain.indices, batch.indices), "and the order is that of before"
    assert not torch.equal(plain.images, batch.images)


def test_each_epoch_draws_anew() -> None:
    def first(epoch: int) -> Tensor:
        recipe = get_recipe("fast", 1, 4, "trivialaugment")
        (batch,) = epoch_batches(IMAGES, torch.arange(12), recipe, seed=1, epoch=epoch)
        return batch.draws.seeds

    assert not torch.equal(first(0), first(1)) and torch.equal(first(1), first(1))


def test_a_run_with_it(tmp_path: Path) -> None:
    settings = SMALL | {"phases": 1, "augmentation": "randaugment"}
    one, two = (
        run(DigitsData(8), "ib-drr", out=tmp_path / name, **settings) for name in ("one", "two")
    )
    assert without_times(one) == without_times(two)
    assert one.config.recipe["augmentation"] == "randaugment"
    assert "randaugment beside flips and crops" in one.config.recipe_changes
    plain = run(DigitsData(8), "ib-drr", out=tmp_path / "plain", **(SMALL | {"phases": 1}))
    assert "augmentation" not in plain.config.recipe, "as in results of before"
    with pytest.raises(OptionError, match="augmentation"):
        run(DigitsData(8), "ib-drr", out=tmp_path / "plain", resume=True, **settings)


def test_what_there_is_not() -> None:
    with pytest.raises(OptionError, match="`augmentation='cutout'`: say one of crop, autoaugment"):
        get_recipe("fast", augmentation="cutout")
    assert recipe_changes(get_recipe("paper", 200, 64)) == []
