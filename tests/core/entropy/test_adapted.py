"""The adapted context model: fewer bits for strange codes, and the same codes on every machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import check_codec, filled_message, small_network, structured_codes

from drrpack.core.codes import LEVELS, Codes, LevelName, Levels
from drrpack.core.entropy.adapted import AdaptedModel, Correction, divide
from drrpack.core.entropy.context import ContextConfig, ContextModel
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.errors import CorruptError, ExactnessError, VersionError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.frequencies import Tables, coarse, frequency_tables, from_coarse
from drrpack.core.section import Section
from drrpack.core.streams import StreamLayout
from drrpack.trainers.fitting.adapt import adapt

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 32
LAYOUTS = Levels(StreamLayout(10), StreamLayout(3))


@pytest.fixture(scope="module")
def codes() -> Codes:
    """Of 200 images, a few codes alone, which no network has seen."""
    rng = np.random.default_rng(0)
    tops, bottoms = (structured_codes([200], shape, 8)[0] for shape in ((4, 4), (8, 8)))
    order = rng.permutation(SIZE)[:8]
    return Codes.of(order[tops], order[bottoms])


@pytest.fixture(scope="module")
def below(codes: Codes) -> ContextModel:
    network = small_network(config=ContextConfig(codebook_size=SIZE, weight_bits=6))
    model = network.model(frequency_tables(codes, SIZE))
    assert isinstance(model, ContextModel)
    return model


@pytest.fixture(scope="module")
def adapted(below: ContextModel, codes: Codes) -> AdaptedModel:
    torch.set_num_threads(1)
    return adapt(below, codes, frequency_tables(codes, SIZE))


def bits(model: ContextModel, codes: Codes) -> float:
    """By the model's own probabilities, all codes together."""
    total, above = 0.0, None
    with exact_arithmetic(torch.device("cpu")):
        for name in LEVELS:
            grid = torch.from_numpy(codes[name].astype(np.int64))
            expected = model.levels[name].expected_bits(grid, above, torch.Generator())
            total, above = total + float(expected.sum()), grid
    return total


def test_strange_codes_take_fewer_bits(
    below: ContextModel, adapted: AdaptedModel, codes: Codes
) -> None:
    assert bits(adapted, codes) < 0.7 * bits(below, codes)


@pytest.mark.parametrize("level", LEVELS)
def test_codes_come_back(adapted: AdaptedModel, codes: Codes, level: LevelName) -> None:
    """From the other carrier, too."""
    wide = unpack_entropy(pack_entropy(adapted, LAYOUTS))[0].on(torch.device("cpu"), torch.float64)
    grid = codes[level].astype(np.int64)
    x = grid[:64].reshape(2, 32, *grid.shape[1:])
    above = None if level == "top" else torch.from_numpy(codes.top[:64].astype(np.int64))
    with exact_arithmetic(torch.device("cpu")):
        one, other = (model.levels[level].coder(x.shape, above) for model in (adapted, wide))
        message = filled_message(2, 4, 40, ragged=True)
        check_codec(one, filled_message(2, 4, 40, ragged=True), x)
        _, found = other.pop(one.push(message, x))
    np.testing.assert_array_equal(found, x)


def test_the_section_holds_all_of_it(adapted: AdaptedModel, codes: Codes) -> None:
    section = pack_entropy(adapted, LAYOUTS)
    assert section.version == "3.0" and section.config["kind"] == "adapted"
    again, layouts = unpack_entropy(section)
    assert layouts == LAYOUTS and pack_entropy(again, layouts) == section
    assert isinstance(again, AdaptedModel) and bits(again, codes) == bits(adapted, codes)
    for level in LEVELS:
        np.testing.assert_array_equal(again.tables[level], adapted.tables[level])


def test_the_model_below_is_kept_as_it_is(below: ContextModel, adapted: AdaptedModel) -> None:
    config, data = below.pack()
    assert adapted.base == Section("2.0", config, data)
    base, correction = divide(pack_entropy(adapted, LAYOUTS))
    assert base == adapted.base and 0 < len(correction) < len(data)


def test_to_adapt_again_begins_with_the_model_below(
    below: ContextModel, adapted: AdaptedModel, codes: Codes
) -> None:
    again = adapt(adapted, codes, frequency_tables(codes, SIZE))
    assert pack_entropy(again, LAYOUTS) == pack_entropy(adapted, LAYOUTS)


def test_threads_make_no_difference(
    below: ContextModel, adapted: AdaptedModel, codes: Codes
) -> None:
    torch.set_num_threads(2)
    try:
        again = adapt(below, codes, frequency_tables(codes, SIZE))
    finally:
        torch.set_num_threads(1)
    assert pack_entropy(again, LAYOUTS) == pack_entropy(adapted, LAYOUTS)


def test_an_offset_shifts_the_logits_of_its_code(below: ContextModel, codes: Codes) -> None:
    """By sixteenths of a bit: an offset of 32 makes a code four times as likely beside another."""
    offset = np.zeros(SIZE, dtype=np.int64)
    offset[5] = 32
    base = Section("2.0", *below.pack())
    nothing = {
        key: np.zeros_like(values)
        for key, values in below.levels.top.likelihood.leave.arrays().items()
    }
    corrections = Levels(*(Correction(offset, nothing) for _ in LEVELS))
    model = AdaptedModel.of(base, corrections, below.tables)
    grid = torch.from_numpy(codes.top.astype(np.int64))
    with exact_arithmetic(torch.device("cpu")):
        each = (below.levels.top.phased, model.levels.top.phased)
        plain, shifted = (one.logits(one.places(0, grid, None, None)) for one in each)
    difference = shifted - plain
    inside = plain[:, 5].abs() < 480  # logits end at 511
    assert inside.any() and (difference[inside, 5] == 32).all() and not difference[:, :5].any()


@pytest.mark.parametrize("seed", range(5))
def test_coarse_tables_cost_little(seed: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(512, 0.3))
    drawn = np.random.default_rng(seed).choice(512, size=(1000, 16, 5), p=p)
    codes = Codes.of(drawn[..., :1].reshape(1000, 4, 4), drawn[..., 1:].reshape(1000, 8, 8))
    tables: Tables = frequency_tables(codes, 512)
    for level in LEVELS:
        fine, rough = tables[level] / 2**16, from_coarse(coarse(tables[level])) / 2**16
        assert rough.sum() == 1 and rough.min() > 0
        assert (fine * np.log2(fine / rough)).sum() < 0.01


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"correction_bytes": 0}, CorruptError),
        ({"correction_bytes": True}, CorruptError),
        ({"correction_bytes": 10**9}, CorruptError),
        ({"correction_bytes": 100}, CorruptError),
        ({"base": None}, CorruptError),
        ({"base": {"sha256": "ab"}}, CorruptError),
        ({"base": {"version": "3.0", "config": {}}}, CorruptError),
        ({"base": {"version": "2.0", "config": {}}}, CorruptError),
        ({"kind": "table"}, CorruptError),
        ({"kind": "adapted twice"}, VersionError),
    ],
)
def test_another_config_of_it_is_refused(
    adapted: AdaptedModel, change: dict[str, object], error: type[Exception]
) -> None:
    section = pack_entropy(adapted, LAYOUTS)
    with pytest.raises(error):
        unpack_entropy(replace(section, config={**section.config, **change}))


def test_an_offset_beyond_exact_sums_is_refused(adapted: AdaptedModel) -> None:
    far = np.full(SIZE, 2_000_000)
    corrections = Levels(*(Correction(far, adapted.corrections[n].leave) for n in LEVELS))
    with pytest.raises(ExactnessError, match="only sums below"):
        AdaptedModel.of(adapted.base, corrections, adapted.tables)
