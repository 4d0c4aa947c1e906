"""The codes of images, which the VQ-VAE makes and entropy models store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.uint16]  # codes of one level: (n, H, W)
LevelName = Literal["top", "bottom"]
LEVELS: tuple[LevelName, LevelName] = ("top", "bottom")  # the order of coding, and of storing

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Levels(Generic[T]):
    """One thing for each of the two levels of codes."""

    top: T
    bottom: T

    def __getitem__(self, name: LevelName) -> T:
        return self.top if name == "top" else self.bottom


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of n images, uint16: indices into the two codebooks of a VQ-VAE.

    Args:
        top: (n, H/T, W/T) for images of H x W pixels, both rounded up to a multiple of T, the top
            stride of the VQ-VAE (8 unless its file says otherwise).
        bottom: (n, 2H/T, 2W/T).

    Raises:
        TypeError: the grids are not uint16; `Codes.of` converts other integers.
        ValueError: the two levels have codes of different numbers of images.
    """

    top: Grid
    bottom: Grid

    def __post_init__(self) -> None:
        found = {str(self.top.dtype), str(self.bottom.dtype)}
        if found != {"uint16"}:
            raise TypeError(f"found codes of type {' and '.join(sorted(found))}, expected uint16")
        if len(self.top) != len(self.bottom):
            counts = f"{len(self.top)} top and {len(self.bottom)} bottom grids"
            raise ValueError(f"found {counts}, expected one of each for every image")

    @staticmethod
    def of(top: NDArray[np.integer], bottom: NDArray[np.integer]) -> Codes:
        """Codes from grids of any integers. Raises ValueError where one does not fit 16 bits."""
        for grid in (top, bottom):
            if grid.size and not (int(grid.min()) >= 0 and int(grid.max()) < 1 << 16):
                found = f"codes from {grid.min()} to {grid.max()}"
                raise ValueError(f"found {found}, expected 0 to {(1 << 16) - 1}")
        return Codes(top.astype(np.uint16, copy=False), bottom.astype(np.uint16, copy=False))

    @staticmethod
    def empty(top_shape: tuple[int, int], images: int = 0) -> Codes:
        """Room for the codes of ``images`` images; ``top_shape`` is (H/T, W/T)."""
        rows, columns = top_shape
        return Codes(
            np.empty((images, rows, columns), np.uint16),
            np.empty((images, 2 * rows, 2 * columns), np.uint16),
        )

    @staticmethod
    def concat(parts: Sequence[Codes]) -> Codes:
        """The images of all parts, of which there is at least one, in their order."""
        return Codes(
            np.concatenate([part.top for part in parts]),
            np.concatenate([part.bottom for part in parts]),
        )

    @staticmethod
    def from_flat(flat: NDArray[np.integer], top_shape: tuple[int, int]) -> Codes:
        """The inverse of `flat`; ``top_shape`` is (H/T, W/T)."""
        rows, columns = top_shape
        top, bottom = np.split(flat, [rows * columns], 1)
        return Codes.of(top.reshape(-1, rows, columns), bottom.reshape(-1, 2 * rows, 2 * columns))

    def __len__(self) -> int:
        return len(self.top)

    @property
    def top_shape(self) -> tuple[int, int]:
        """(H/T, W/T) for images of H x W pixels."""
        return self.top.shape[1], self.top.shape[2]

    @property
    def nbytes(self) -> int:
        """What they take in memory: 2 bytes a code."""
        return self.top.nbytes + self.bottom.nbytes

    def __getitem__(self, name: LevelName) -> Grid:
        return self.top if name == "top" else self.bottom

    @property
    def grids(self) -> tuple[Grid, Grid]:
        """The two levels, in the order of coding."""
        return self.top, self.bottom

    def take(self, rows: slice | NDArray[np.integer]) -> Codes:
        """The codes of some of the images."""
        return Codes(self.top[rows], self.bottom[rows])

    @property
    def flat(self) -> NDArray[np.uint16]:
        """All codes of an image in a row, top, then bottom: (n, 5 N) for N top codes an image."""
        return np.concatenate([g.reshape(len(g), math.prod(g.shape[1:])) for g in self.grids], 1)

    @property
    def digest(self) -> int:
        """The first 64 bits of the SHA-256 of all top, then all bottom codes, 16 bits each."""
        parts = (grid.astype("<u2").tobytes() for grid in self.grids)
        return int.from_bytes(sha256(b"".join(parts)).digest()[:8], "little")
