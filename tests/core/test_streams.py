"""Streams of classes of any length, alone or side by side, here or in another process."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import Grid, level_of, small_network, structured_codes

from drrpack.core import ans, layouts, streams
from drrpack.core.ans import Words
from drrpack.core.codes import Codes, Levels
from drrpack.core.errors import CorruptError, MessageError
from drrpack.core.lazily import Lazily
from drrpack.core.streams import Level, StreamLayout

RAGGED = [0, 1, 40, 3, 57, 31, 0, 40]
PLAIN = 30


def both_levels(
    counts: Sequence[int] = RAGGED, shape: tuple[int, int] = (2, 2), plain: int = PLAIN
) -> tuple[Level, Level, list[Grid], list[Grid]]:
    network = small_network()
    tops = structured_codes(list(counts), shape, 32)
    bottoms = structured_codes(list(counts), (2 * shape[0], 2 * shape[1]), 32, seed=1)
    top = level_of(network.top, tops, plain)
    return top, level_of(network.bottom, bottoms, plain), tops, bottoms


def starts_of(
    top: Level, bottom: Level, tops: Sequence[Grid], bottoms: Sequence[Grid]
) -> layouts.Starts:
    classes = [Codes.of(t, b) for t, b in zip(tops, bottoms, strict=True)]
    return layouts.Starts(Levels(top.table, bottom.table), classes)


def assert_codes(found: Sequence[Grid], wanted: Sequence[Grid]) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == np.uint16
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5)])
def test_ragged_classes_round_trip(shape: tuple[int, int]) -> None:
    plain = 120 if shape == (1, 1) else PLAIN
    counts = [3 * n for n in RAGGED] if shape == (1, 1) else RAGGED
    top, bottom, tops, bottoms = both_levels(counts, shape, plain)
    rows, columns = shape
    coded = streams.encode(top, tops, None)
    assert_codes(streams.decode(top, coded, counts, shape, None), tops)
    coded = streams.encode(bottom, bottoms, tops)
    assert_codes(streams.decode(bottom, coded, counts, (2 * rows, 2 * columns), tops), bottoms)


def test_bit_swap_takes_part_and_pays() -> None:
    """The layout above has classes with groups and classes without, and the groups are smaller."""
    top, _, tops, _ = both_levels()
    steps = [top.layout.steps(len(c)) for c in tops]
    assert min(steps) == 0 and max(steps) >= 13
    coded = streams.encode(top, tops, None)
    plain = Level(top.model, top.table, StreamLayout(10**6))
    without = streams.encode(plain, tops, None)
    for index, words in enumerate(coded):
        assert (words.tolist() == without[index].tolist()) == (steps[index] == 0)


def test_one_class_alone_is_what_it_is_in_company() -> None:
    top, bottom, tops, bottoms = both_levels()
    for level, codes, above in ((top, tops, None), (bottom, bottoms, tops)):
        shape = (codes[0].shape[1], codes[0].shape[2])
        together = streams.encode(level, codes, above)
        for index, words in enumerate(together):
            part = slice(index, index + 1)
            over = None if above is None else above[part]
            (alone,) = streams.encode(level, codes[part], over)
            np.testing.assert_array_equal(alone, words)
            found = streams.decode(level, [words], [RAGGED[index]], shape, over)
            assert_codes(found, codes[part])


def test_one_long_stream_among_short_ones_takes_the_space_of_one() -> None:
    """Side by side, 10,000 streams of a code would each take the space of one of 8,000."""
    counts = [*[1] * 5000, 8000, *[1] * 5000]
    rng = np.random.default_rng(0)
    codes = [rng.integers(32, size=(count, 1, 1)).astype(np.uint16) for count in counts]
    level = level_of(small_network().top, codes, plain=10**6)
    tracemalloc.start()
    coded = streams.encode(level, codes, None)
    made = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    found = streams.decode(level, coded, counts, (1, 1), None)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_codes(found, codes)
    assert max(made, read) < 25e6


def test_blocks_of_streams_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bottom, tops, bottoms = both_levels()
    together = streams.encode(bottom, bottoms, tops)
    monkeypatch.setattr(streams, "POSITIONS_AT_ONCE", 3 * 2 * 16)  # three streams at a time
    for a, b in zip(streams.encode(bottom, bottoms, tops), together, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_codes(streams.decode(bottom, together, RAGGED, (4, 4), tops), bottoms)


def test_no_classes_give_no_streams() -> None:
    top, _, _, _ = both_levels()
    assert streams.encode(top, [], None) == []
    assert streams.decode(top, [], [], (2, 2), None) == []


def test_images_added_on_top_leave_the_plain_ones_in_place() -> None:
    top, _, tops, _ = both_levels()
    few = streams.encode(top, [tops[2][:10]], None)
    assert_codes(streams.decode(top, few, [10], (2, 2), None), [tops[2][:10]])


# --- another process ---

CHILD = """
import sys
from pathlib import Path
import numpy as np
import torch
torch.set_num_threads(2)
from drrpack.core import ans, layouts, streams
from test_streams import RAGGED, both_levels
folder = Path(sys.argv[1])
top, bottom, _, _ = both_levels()
words = np.load(folder / "words.npz")
read = [[words[f"{level}{i}"] for i in range(len(RAGGED))] for level in ("top", "bottom")]
tops = streams.decode(top, read[0], RAGGED, (2, 2), None)
bottoms = streams.decode(bottom, read[1], RAGGED, (4, 4), tops)
out = {f"top{i}": c for i, c in enumerate(tops)} | {f"bottom{i}": c for i, c in enumerate(bottoms)}
np.savez(folder / "codes.npz", **out)
"""


def test_another_process_reads_the_streams(tmp_path: Path) -> None:
    top, bottom, tops, bottoms = both_levels()
    coded = {f"top{i}": w for i, w in enumerate(streams.encode(top, tops, None))}
    coded |= {f"bottom{i}": w for i, w in enumerate(streams.encode(bottom, bottoms, tops))}
    np.savez(tmp_path / "words.npz", **coded)
    tests = Path(__file__).parent
    places = [str(tests), *map(str, tests.parents[:2])]
    path = f"import sys; sys.path[:0] = {places!r}\n"
    subprocess.run([sys.executable, "-c", path + CHILD, str(tmp_path)], check=True, timeout=120)
    found = np.load(tmp_path / "codes.npz")
    assert_codes([found[f"top{i}"] for i in range(len(tops))], tops)
    assert_codes([found[f"bottom{i}"] for i in range(len(bottoms))], bottoms)


# --- damage ---


def one_stream() -> tuple[Level, Grid, Words]:
    top, _, tops, _ = both_levels()
    (words,) = streams.encode(top, tops[4:5], None)
    return top, tops[4], words


def decode_one(level: Level, words: Words, images: int) -> Grid:
    return streams.decode(level, [words], [images], (2, 2), None)[0]


def test_flipped_bits_are_errors_or_change_codes() -> None:
    level, codes, words = one_stream()
    errors = 0
    for bit in np.random.default_rng(0).choice(32 * len(words), 40, replace=False):
        damaged = words.copy()
        damaged[bit // 32] ^= np.uint32(1 << int(bit) % 32)
        try:
            assert not np.array_equal(decode_one(level, damaged, len(codes)), codes)
        except CorruptError:
            errors += 1
    assert errors > 30  # what is left over, or missing, at the end gives most damage away


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 10, -1])
def test_truncated_streams_are_errors(keep: int) -> None:
    level, codes, words = one_stream()
    with pytest.raises(CorruptError):
        decode_one(level, words[:keep], len(codes))


def test_random_words_are_errors() -> None:
    level, codes, words = one_stream()
    rng = np.random.default_rng(1)
    for length in (2, len(words), 4 * len(words)):
        noise = rng.integers(0, 1 << 32, length, dtype=np.uint32)
        noise[0] >>= 1  # a valid head
        with pytest.raises(CorruptError):
            decode_one(level, noise, len(codes))


@pytest.mark.parametrize("difference", [-30, -4, -1, 1, 4])
def test_a_wrong_number_of_images_is_an_error(difference: int) -> None:
    level, codes, words = one_stream()
    with pytest.raises(CorruptError):
        decode_one(level, words, len(codes) + difference)


def test_words_below_the_stack_are_an_error() -> None:
    level, codes, words = one_stream()
    with pytest.raises(CorruptError, match="more than its images"):
        decode_one(level, np.append(words, np.uint32(7)), len(codes))


def test_one_image_read_as_none_leaves_a_head() -> None:
    """It has no word below its head, as more images have."""
    top, _, tops, _ = both_levels([40, 1])
    (words,) = streams.encode(top, tops[1:], None)
    assert len(words) == 2
    with pytest.raises(CorruptError, match="more than its images"):
        decode_one(top, words, 0)


@pytest.mark.parametrize("left", ["a head", "a word"])
def test_one_wrong_stream_among_sound_ones_is_an_error(left: str) -> None:
    top, _, tops, _ = both_levels([40, 1, 40, 0])
    coded, counts = streams.encode(top, tops, None), [40, 1, 40, 0]
    if left == "a head":
        counts[1] = 0
    else:
        coded[1] = np.append(coded[1], np.uint32(7))
    with pytest.raises(CorruptError, match="more than its images"):
        streams.decode(top, coded, counts, (2, 2), None)


def test_more_images_than_a_stream_can_hold_are_refused_before_memory_is_taken() -> None:
    level, _, words = one_stream()
    with pytest.raises(CorruptError, match="can't hold 10000000000000 images"):
        decode_one(level, words, 10**13)


class Sure:
    """A model of 512 codes that expects the code 0 as much as a model may."""

    device = torch.device("cpu")

    def coder(self, shape: tuple[int, ...], above: object) -> ans.Codec[Grid]:
        flat = ans.table_codec(np.array([2**20 - 511, *[1] * 511]), math.prod(shape[1:]), 20)

        def pop(message: ans.Message) -> tuple[ans.Message, Grid]:
            message, x = flat.pop(message)
            return message, x.reshape(shape)

        return ans.Codec(lambda m, x: flat.push(m, x.reshape(len(x), -1)), pop)


def test_many_images_may_take_two_words() -> None:
    """By hand: 10,000 codes at 0.0007 bits take 7, for which a head has room."""
    table = np.full(512, 128)
    level = Level(Sure(), table, StreamLayout(0, group=100, lanes=1))  # type: ignore[arg-type]
    codes = np.zeros((10_000, 1, 1), np.uint16)
    (words,) = streams.encode(level, [codes], None)
    assert len(words) == 2
    assert_codes(streams.decode(level, [words], [10_000], (1, 1), None), [codes])


# --- layout and tables ---


def test_too_few_plain_images_are_an_error() -> None:
    top, _, tops, _ = both_levels(plain=0)
    with pytest.raises(MessageError, match="start each stream") as caught:
        streams.encode(top, tops[2:3], None)
    assert not isinstance(caught.value, CorruptError), "nothing is damaged"


@pytest.mark.parametrize("with_top", [False, True])
def test_the_plain_images_needed_are_enough_and_hardly_more(with_top: bool) -> None:
    top, bottom, tops, bottoms = both_levels([60, 70, 2, 80, 0])
    level, codes, above = (bottom, bottoms, tops) if with_top else (top, tops, None)
    starts = starts_of(top, bottom, tops, bottoms)
    needed = layouts.plain_images_needed(level, "bottom" if with_top else "top", starts)
    layout = StreamLayout(needed, level.layout.group, level.layout.lanes)
    streams.encode(Level(level.model, level.table, layout), codes, above)
    less = StreamLayout(int(needed * 0.8) - 1, level.layout.group, level.layout.lanes)
    with pytest.raises(MessageError):
        long = [i for i, c in enumerate(codes) if len(c) > needed]
        for length in range(level.layout.group):  # whatever is left over for the plain images
            heads = [codes[i][: less.plain_images + 2 * layout.group + length] for i in long]
            tops_of = None if above is None else [above[i][: len(heads[0])] for i in long]
            streams.encode(Level(level.model, level.table, less), heads, tops_of)


def test_the_codes_of_classes_are_read_once_to_choose_layouts() -> None:
    """They may be on a disk. Only where more images are asked for are they read once more."""
    top, bottom, tops, bottoms = both_levels([60, 70, 2, 300, 0], (8, 8))
    read = list[int]()

    def of_class(number: int) -> Codes:
        read.append(number)
        return Codes.of(tops[number], bottoms[number])

    starts = layouts.Starts(Levels(top.table, bottom.table), Lazily(5, of_class))
    for name, level in (("top", top), ("bottom", bottom)):
        layouts.choose_layout(level, name, starts)
    assert sorted(read) == [0, 1, 2, 3, 4]
    codes, above = starts.grids("bottom", 200)
    assert sorted(read) == sorted([0, 1, 2, 3, 4] * 2)
    assert above is not None
    assert_codes(codes, [grid[:200] for grid in bottoms])
    assert_codes(above, [grid[:200] for grid in tops])


@pytest.mark.parametrize("counts", [[], [0], [0, 0]])
def test_no_images_have_a_layout(counts: list[int]) -> None:
    top, bottom, tops, bottoms = both_levels([*counts, 40])
    few = len(counts)
    starts = starts_of(top, bottom, tops[:few], bottoms[:few])
    for level, codes, above in ((top, tops[:few], None), (bottom, bottoms[:few], tops[:few])):
        layout = layouts.choose_layout(level, "top" if above is None else "bottom", starts)
        assert layout.plain_images >= 0 and layout.group >= 1 and layout.lanes >= 1
        empty = Level(level.model, level.table, layout)
        coded = streams.encode(empty, codes, above)
        shape = (2, 2) if above is None else (4, 4)
        assert_codes(streams.decode(empty, coded, counts, shape, above), codes)


def test_layout_counts() -> None:
    layout = StreamLayout(plain_images=10, group=4)
    for images in range(40):
        steps = layout.steps(images)
        assert layout.plain(images) + 4 * steps == images
        assert layout.plain(images) >= min(images, 10)
        assert layout.plain(images) < 14


def test_streams_side_by_side_draw_no_random_numbers() -> None:
    top, _, tops, _ = both_levels()
    torch.manual_seed(3)
    before, state = torch.get_rng_state(), np.random.get_state()[1].copy()
    streams.encode(top, tops, None)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(state, np.random.get_state()[1])
