"""Entropy models fitted further on other codes: what changes, and that nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import CONTEXT, small_model, structured_codes
from tiny_memory import TINY_PLAN

from drrpack.core.codes import Codes
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.entropy.table import TableModel
from drrpack.core.frequencies import frequency_table
from drrpack.trainers.fitting.entropy import tune_entropy
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


def test_a_table_becomes_that_of_the_codes() -> None:
    before, codes = made_up(0), made_up(1)
    model = TableModel.fitted(before, 32)
    tuned, log = tune_entropy(model, codes, PLAN)
    assert log == {} and bits(tuned, codes) < bits(model, codes)
    assert bits(tuned, codes) == bits(TableModel.fitted(codes, 32), codes)
