"""A group of any size is coded in bounded memory, to the same words."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_models import CONTEXT, LATENTS, SMALL, check_codec, filled_message, small_network
from torch import Tensor

from drrpack.core import ans, by_rows
from drrpack.core.arrays import Symbols
from drrpack.core.entropy import bitswap, latents, phased
from drrpack.core.entropy.combine import in_blocks
from drrpack.core.entropy.networks import GROUP_MAX, NetworkConfig
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapConfig
from drrpack.core.errors import DrrError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import use_int8
from drrpack.core.int_layer import IntProduct
from drrpack.core.layouts import WIDTHS
from drrpack.core.phases import SIDES, Phases, lines_of
from drrpack.core.settings import skeleton
from drrpack.trainers.fitting.presets import OWN, PAPER

CPU = torch.device("cpu")
KINDS = {"both": SMALL, "context": CONTEXT, "latents": LATENTS}


def at_once(numbers: int, patch: pytest.MonkeyPatch) -> None:
    for module in (bitswap, by_rows, phased):
        patch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    patch.setattr(latents, "LATENTS_AT_ONCE", numbers)


def sizes_of_calls(patch: pytest.MonkeyPatch) -> list[int]:
    """How many numbers each layer gives, from now on."""
    found = list[int]()
    original = IntProduct.forward

    def counted(self: IntProduct, x: Tensor) -> Tensor:
        out = original(self, x)
        found.append(out.numel())
        return out

    patch.setattr(IntProduct, "forward", counted)
    return found


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "shape", [(1, 2, 14, 6), (1, 7, 6, 4), (2, 2, 10, 6)], ids=["large", "many", "several"]
)
def test_parts_of_a_group_are_coded_as_the_whole(
    config: NetworkConfig, shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(config=config)
    use_int8(network, 256)
    streams, images, height, width = shape
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 32, shape)
    above = torch.from_numpy(rng.integers(0, 32, (streams * images, height // 2, width // 2)))
    message = filled_message(streams, 4, 4000)
    with exact_arithmetic(CPU):
        for level, top in ((network.bottom, above), (network.top, None)):
            with monkeypatch.context() as patch:
                sizes = sizes_of_calls(patch)
                wanted = check_codec(level.coder(shape, top), message, codes)
                whole = max(sizes)
            for numbers in (600, 1000):
                with monkeypatch.context() as patch:
                    at_once(numbers, patch)
                    sizes = sizes_of_calls(patch)
                    found = check_codec(level.coder(shape, top), message, codes)
                    assert max(sizes) < whole
                for a, b in zip(found, wanted, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_layers_give_no_more_numbers_for_a_larger_group(
    config: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(2000, monkeypatch)
    network, most = small_network(config=config), []
    for images, height in ((2, 12), (8, 12), (2, 48)):
        shape = (1, images, height, 12)
        above = torch.zeros((images, height // 2, 6), dtype=torch.int64)
        with monkeypatch.context() as patch, exact_arithmetic(CPU):
            sizes = sizes_of_calls(patch)
            codec = network.bottom.coder(shape, above)
            codec.push(filled_message(1, 4, 9000), np.zeros(shape, np.int64))
        most.append(max(sizes))
    assert max(most) < 2 * min(most)  # rows around a part are a part more


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_group_of_which_too_much_is_kept_is_refused(config: NetworkConfig) -> None:
    model = replace(config, embedding=2048).network().top
    largest = (1, 8, 256, 256)  # of 2048 numbers each: 2^30
    assert model.kept * math.prod(largest) == GROUP_MAX
    model.refuse_large(largest)
    with (
        exact_arithmetic(CPU),
        pytest.raises(DrrError, match="a group of 9 images has 589824 codes"),
    ):
        model.coder((1, 9, 256, 256), None)


@pytest.mark.parametrize("config", [*OWN.entropy, *PAPER.entropy, PhasedBitSwapConfig()])
def test_all_groups_that_encode_makes_are_taken(config: NetworkConfig) -> None:
    """Of the largest images, with the smallest stride."""
    network = skeleton(config.network)
    for group, _ in WIDTHS:
        network.bottom.refuse_large((1, group, 1024, 1024))


# --- the parts that groups are divided into ---


@pytest.mark.parametrize("lanes", [1, 4, 7])
@pytest.mark.parametrize("at_once", [1, 5, 16, 100])
def test_blocks_give_the_words_of_one_codec(lanes: int, at_once: int) -> None:
    rng = np.random.default_rng(0)
    count, low = 45, rng.integers(0, 9, (3, 45))
    made = list[slice]()

    def codec_of(columns: slice) -> ans.Codec[Symbols]:
        """Of sixteen values from the lowest of each column on."""
        made.append(columns)
        first = low[:, columns]

        def interval(x: Symbols, part: slice) -> tuple[ans.U64, ans.U64]:
            start = (x - first[:, part]).astype(np.uint64)
            return start, np.ones_like(start)

        def find(point: ans.U64, part: slice) -> Symbols:
            return point.astype(np.int64) + first[:, part]

        return ans.intervals(first.shape[1], 4, interval, find)

    x = low + rng.integers(0, 16, low.shape)
    message = filled_message(3, lanes, 20)
    wanted = check_codec(codec_of(slice(0, count)), message, x)
    made.clear()
    found = check_codec(in_blocks(count, at_once, codec_of), message, x)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    sizes = {columns.stop - columns.start for columns in made if columns.stop < count}
    assert all(size % lanes == 0 and size <= max(at_once, lanes) for size in sizes)


def test_no_symbols_are_no_blocks() -> None:
    message = in_blocks(0, 8, lambda columns: pytest.fail("there is none")).push(
        ans.empty(2), np.empty((2, 0), np.int64)
    )
    assert message.tail_words.tolist() == [0, 0]


def test_lines_hold_the_places_that_are_asked_for() -> None:
    shape = (5, 3, 4)
    numbers = np.arange(60).reshape(shape)
    for start in range(60):
        for stop in range(start + 1, 61):
            lines = list(lines_of(slice(start, stop), shape))
            found = np.concatenate([numbers[some][:, rows].reshape(-1) for some, rows in lines])
            assert len(lines) <= 3  # a part of a grid, whole ones, a part
            assert found[start % 4 :][: stop - start].tolist() == list(range(start, stop))
            assert len(found) < stop - start + 8


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_some_lines_of_windows_are_those_of_all(side: int, reach: int) -> None:
    phases = Phases(side)
    grid = torch.from_numpy(np.random.default_rng(side).integers(1, 99, (2, 11, 9)))
    for number in phases.within((11, 9)):
        height, width = phases.part(grid, number).shape[1:]
        ways = [partial(phases.windows, grid[:, None].float(), number, reach)]
        ways += [partial(phases.neighbours, grid, number, reach)] if reach else []
        for way in ways:
            whole = way().reshape(2, height, width, -1)
            for first in range(height):
                lines = slice(first, min(height, first + 2))
                some = way(lines).reshape(2, -1, width, whole.shape[3])
                assert torch.equal(some, whole[:, lines])
