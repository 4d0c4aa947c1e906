"""Entropy models fitted further on other codes: what changes, and that nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import CONTEXT, frequency_table, small_model, small_vqvae, structured_codes
from tiny_memory import TINY_BITSWAP, TINY_PLAN, TINY_WIDTHS

from drrpack.core.codec import finish
from drrpack.core.codes import Codes
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.entropy.table import TableModel
from drrpack.core.layouts import lay_out
from drrpack.core.pricing import with_quality
from drrpack.trainers.fitting.entropy import fit_beside, tune_entropy
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.fitting.plan import FitSizes

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PLAN = TINY_PLAN(Budget(epochs=30), CPU, sizes=FitSizes(entropy_batch=16))


def made_up(seed: int) -> Codes:
    grids = (structured_codes([64], shape, 32, seed)[0] for shape in ((4, 4), (8, 8)))
    return Codes.of(*grids)


def bits(model: EntropyModel, codes: Codes) -> float:
    """Of all codes, by the model's own account."""
    top, bottom = (torch.from_numpy(grid.astype(np.int64)) for grid in codes.grids)
    with torch.no_grad():
        of_top = model.levels.top.expected_bits(top, None, torch.Generator())
        of_bottom = model.levels.bottom.expected_bits(bottom, top, torch.Generator())
    return float(of_top.sum() + of_bottom.sum())


@pytest.mark.slow
def test_networks_learn_other_codes_on_a_copy() -> None:
    before, codes = made_up(0), made_up(1)
    model = small_model(before, CONTEXT)
    kept = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    tuned, log = tune_entropy(model, codes, PLAN)
    assert list(log) == ["context_top", "context_bottom"]
    assert bits(tuned, codes) < 0.9 * bits(model, codes)
    for level in ("top", "bottom"):
        np.testing.assert_array_equal(tuned.tables[level], frequency_table(codes[level], 32))
        np.testing.assert_array_equal(model.tables[level], frequency_table(before[level], 32))
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, kept[name]), name


def test_another_model_for_the_same_codes() -> None:
    """For the codes that a codec chooses itself, and further from what a start has learned."""
    images = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    entropy = small_model(made_up(0), CONTEXT)
    codec = finish(small_vqvae(), entropy, made_up(0), CPU)
    (codec,) = with_quality([codec], 75)
    plan = TINY_PLAN(Budget(epochs=6), CPU)
    first, log = fit_beside(codec, TINY_BITSWAP, images, plan)
    assert list(log) == ["bitswap_top", "bitswap_bottom"]
    beside, codes = replace(codec, entropy=first), [codec.encode(images)]
    lay_out(beside, codes, TINY_WIDTHS)  # decodes it, and compares
    start = replace(plan, budget=Budget(epochs=1), start=[beside])
    further, _ = fit_beside(codec, TINY_BITSWAP, images, start)
    anew, _ = fit_beside(codec, TINY_BITSWAP, images, replace(start, start=()))
    assert bits(further, codes[0]) < 0.98 * bits(anew, codes[0])


def test_a_table_becomes_that_of_the_codes() -> None:
    before, codes = made_up(0), made_up(1)
    model = TableModel.fitted(before, 32)
    tuned, log = tune_entropy(model, codes, PLAN)
    assert log == {} and bits(tuned, codes) < bits(model, codes)
    assert bits(tuned, codes) == bits(TableModel.fitted(codes, 32), codes)
