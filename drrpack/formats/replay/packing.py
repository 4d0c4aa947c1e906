"""The codes of an image as a row of bytes, each code in as many bits as the codebooks need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import Codes

Rows = NDArray[np.uint8]  # (n, row_bytes)


@dataclass(frozen=True)
class CodePacking:
    """Packs the codes of images of one size; ``top_shape`` is (H/T, W/T) as in `Codes`."""

    top_shape: tuple[int, int]
    bits: int  # of a code

    @staticmethod
    def of(top_shape: tuple[int, int], codebook_size: int) -> CodePacking:
        """For codebooks of ``codebook_size`` codes: 9 bits a code for 512."""
        return CodePacking(top_shape, max(1, (codebook_size - 1).bit_length()))

    @property
    def codes(self) -> int:
        """How many codes an image has: the bottom grid has four times as many as the top."""
        return 5 * self.top_shape[0] * self.top_shape[1]

    @property
    def row_bytes(self) -> int:
        """What the codes of an image take."""
        return -(-self.codes * self.bits // 8)

    def pack(self, codes: Codes) -> Rows:
        """Codes of n images to (n, row_bytes) uint8; the last bits of a row may be unused."""
        bits = (codes.flat[:, :, None] >> self._places) & 1
        return np.packbits(
            bits.astype(np.uint8).reshape(len(codes), self.codes * self.bits), axis=1
        )

    def unpack(self, rows: Rows) -> Codes:
        """The inverse of `pack`."""
        bits = np.unpackbits(rows, axis=1, count=self.codes * self.bits)
        digits = bits.reshape(len(rows), self.codes, self.bits).astype(np.uint16)
        flat = (digits << self._places).sum(2, dtype=np.uint16)
        return Codes.from_flat(flat, self.top_shape)

    @property
    def _places(self) -> NDArray[np.uint16]:
        return np.arange(self.bits, dtype=np.uint16)[::-1]
