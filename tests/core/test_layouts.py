"""Which layout of streams is chosen, and how starts grow that do not suffice; by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from drrpack.core.codes import Levels
from drrpack.core.errors import MessageError
from drrpack.core.layouts import WIDTHS, lengthened, suitable
from drrpack.core.streams import StreamLayout

NEEDED = {(8, 64): 40, (4, 32): 21, (2, 16): 12, (1, 8): 6, (1, 1): 2}  # plain images


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        ([1000, 1000], (8, 64)),
        ([800], (8, 64)),  # 40 are a twentieth
        ([799], (4, 32)),
        ([10, 420, 50_000], (4, 32)),  # of the class in the middle
        ([239], (1, 8)),
        ([119], (1, 1)),
        ([3], (1, 1)),  # too many at all widths: the fewest
    ],
)
def test_the_fastest_whose_plain_images_are_few(images: list[int], chosen: tuple[int, int]) -> None:
    asked = list[tuple[int, int]]()

    def needed(group: int, lanes: int) -> int:
        asked.append((group, lanes))
        return NEEDED[group, lanes]

    assert suitable(images, needed) == StreamLayout(NEEDED[chosen], *chosen)
    assert asked == [*WIDTHS[: WIDTHS.index(chosen) + 1]], "trying one takes time"


def test_of_equal_ones_the_fastest() -> None:
    assert suitable([20], lambda *_: 7) == StreamLayout(7, 8, 64)
    assert suitable([20], lambda *_: 7, [(2, 3), (1, 1)]) == StreamLayout(7, 2, 3)
    assert suitable([], lambda *_: 0) == StreamLayout(0, 8, 64)


@dataclass(frozen=True)
class Made:
    """As much of a codec as has streams."""

    layouts: Levels[StreamLayout]


def test_starts_that_do_not_suffice_grow_by_an_eighth() -> None:
    tried = list[tuple[int, int]]()

    def attempt(made: Any) -> str:
        tried.append((made.layouts.top.plain_images, made.layouts.bottom.plain_images))
        if len(tried) < 4:
            raise MessageError("too few")
        return "done"

    codec, done = lengthened(Made(Levels(StreamLayout(80, 2, 4), StreamLayout(0))), attempt)  # type: ignore[arg-type]
    assert done == "done" and tried == [(80, 0), (91, 1), (103, 2), (116, 3)]
    assert codec.layouts == Levels(StreamLayout(116, 2, 4), StreamLayout(3))
