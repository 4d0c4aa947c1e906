"""Learning rates at known epochs, and recipes stretched to other lengths."""

from __future__ import annotations

import pytest
import torch

from drrpack.core.errors import OptionError
from drrpack.trainers.learning.recipes import FAST, PAPER, get_recipe, learning_rate, recipe_changes

STEPS = 391  # batches of 128 in 50,000 images


@pytest.mark.parametrize(
    ("epoch", "step", "expected"),
    [
        (0, 0, 0.1 / 1955),  # warm-up over 5 * 391 steps
        (0, 390, 0.02),
        (2, 195, 0.1 * 978 / 1955),
        (4, 390, 0.1),
        (5, 0, 0.1),
        (59, 390, 0.1),
        (60, 0, 0.02),
        (119, 390, 0.02),
        (120, 0, 0.004),
        (159, 390, 0.004),
        (160, 0, 0.0008),
        (199, 390, 0.0008),
    ],
)
def test_paper(epoch: int, step: int, expected: float) -> None:
    assert learning_rate(PAPER, epoch * STEPS + step, STEPS) == pytest.approx(expected, rel=1e-12)


def test_paper_to_the_letter() -> None:
    assert (PAPER.epochs, PAPER.batch_size, PAPER.peak_lr, PAPER.width) == (200, 128, 0.1, 64)
    assert (PAPER.momentum, PAPER.weight_decay, PAPER.nesterov) == (0.9, 5e-4, False)
    assert (PAPER.milestones, PAPER.lr_divisor, PAPER.label_smoothing) == ((60, 120, 160), 5, 0)


def test_fast_is_one_cycle() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, FAST.peak_lr, total_steps=30 * 40, cycle_momentum=False
    )
    for step in range(30 * 40):
        assert learning_rate(FAST, step, 40) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimiser.step()
        if step + 1 < 30 * 40:
            theirs.step()


def test_other_lengths_keep_the_shape() -> None:
    short = get_recipe("paper", epochs=20, width=16)
    assert short.milestones == pytest.approx((6, 12, 16))
    assert short.warmup_epochs == pytest.approx(0.5)
    for step in range(200):
        assert learning_rate(short, step, 10) == pytest.approx(learning_rate(PAPER, step, 1))
    assert recipe_changes(short) == [
        "20 epochs instead of 200: milestones at epochs 6, 12, 16 and 0.5 epochs of warm-up, "
        "scaled in proportion",
        "width 16 instead of 64",
    ]
    assert recipe_changes(get_recipe("paper", 200, 64)) == []


@pytest.mark.parametrize("name", ["paper", "fast"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 3), (2, 1)])
def test_shortest_trainings(name: str, epochs: int, steps: int) -> None:
    recipe = get_recipe(name, epochs=epochs)
    rates = [learning_rate(recipe, step, steps) for step in range(epochs * steps)]
    assert all(0 < rate <= recipe.peak_lr for rate in rates)


def test_errors() -> None:
    with pytest.raises(OptionError, match="'slow'; there are: paper, fast"):
        get_recipe("slow")
    with pytest.raises(OptionError, match="epochs=0"):
        get_recipe("fast", epochs=0)
