"""How the images of a source are divided: into pieces, or streams, and parts, or work.

A division depends on the source alone, so whoever encodes it, and with how many processes, makes
the same streams, and finds the parts that an earlier run has made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drrpack.core.encoder import encoded_at_once
from drrpack.core.groups import groups
from drrpack.formats.sources.source import Source

PIECE_BYTES = 1 << 28  # of pixels in one piece: 87,000 images of 32x32, 1,783 of 224x224
PIXEL_BYTES = 16 << 20  # in memory while a piece is encoded: 5,000 images of 32x32, 111 of 224x224
PART_PIXELS = 1 << 22  # from which on a part is full: 4,096 images of 32x32, 84 of 224x224


@dataclass(frozen=True)
class Piece:
    """Images of one class that become one pair of streams: all, or of a large class some."""

    class_index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Part = tuple[Piece, ...]  # what one process makes at a time, and a restart does not make again


def divide(source: Source) -> list[Part]:
    """All training images of a source, in the order of its classes."""
    pixels = source.image_size[0] * source.image_size[1]
    pieces = [*_pieces(source.images_per_class, max(1, PIECE_BYTES // (3 * pixels)))]
    parts = groups([len(piece) * pixels for piece in pieces], PART_PIXELS)
    return [tuple(pieces[place] for place in part) for part in parts]


def loaded_at_once(piece: Piece, size: tuple[int, int]) -> Iterator[slice]:
    """The rows of a piece, images of ``size`` (H, W), in slices of `PIXEL_BYTES` at most, or of one
    batch; of whole batches, on which codes may depend."""
    batch = encoded_at_once(size)
    step = batch * max(1, PIXEL_BYTES // (3 * size[0] * size[1] * batch))
    for start in range(piece.start, piece.stop, step):
        yield slice(start, min(start + step, piece.stop))


def _pieces(counts: Sequence[int], most: int) -> Iterator[Piece]:
    for number, count in enumerate(counts):
        for start in range(0, count, most):
            yield Piece(number, start, min(start + most, count))
