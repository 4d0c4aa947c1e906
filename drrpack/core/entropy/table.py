"""The table: an order-0 model, which codes each code by its frequency at its level.

Networks predict codes of images like those that they were fitted on. For few or unusual images a
table of frequencies, which takes two bytes a code, can make the smaller file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.codes import Codes, Levels
from drrpack.core.entropy.combine import shaped
from drrpack.core.entropy.model import register
from drrpack.core.errors import CorruptError
from drrpack.core.frequencies import (
    TABLE_PRECISION,
    Frequencies,
    Tables,
    frequency_tables,
    tables_from_bytes,
    tables_to_bytes,
)
from drrpack.core.section import Json
from drrpack.core.stored import SIZE_LIMIT


@dataclass(frozen=True)
class TableLevel:
    """One level; implements `drrpack.core.entropy.model.LevelModel`."""

    table: Frequencies

    @property
    def device(self) -> torch.device:
        """The CPU: tables are looked up by numpy."""
        return torch.device("cpu")

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Codes of ``shape`` (streams, images, H, W), whatever is above."""
        count = int(np.prod(shape[1:]))
        return shaped(ans.table_codec(self.table, count, TABLE_PRECISION), shape)

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The bits (B,) of codes (B, H, W), exactly."""
        bits = TABLE_PRECISION - np.log2(self.table.astype(np.float64))
        price = torch.from_numpy(bits).to(codes.device, torch.float32)
        return price[codes].flatten(1).sum(1)


@register
@dataclass(frozen=True)
class TableModel:
    """Codes by their frequencies."""

    kind: ClassVar[str] = "table"
    versions: ClassVar[tuple[str, ...]] = ("3.0",)

    tables: Tables

    @classmethod
    def fitted(cls, codes: Codes, codebook_size: int) -> Self:
        """The model of the frequencies of these codes; others cost 12 to 16 bits each."""
        return cls(frequency_tables(codes, codebook_size))

    @property
    def codebook_size(self) -> int:
        return len(self.tables.top)

    @property
    def levels(self) -> Levels[TableLevel]:
        return Levels(TableLevel(self.tables.top), TableLevel(self.tables.bottom))

    @property
    def prices(self) -> None:
        """Codes that are chosen by frequency alone would all become the same few."""
        return None

    def on(self, device: torch.device, carrier: torch.dtype) -> Self:
        """Itself: it is coded by numpy."""
        return self

    def with_tables(self, tables: Tables) -> Self:
        """The model of other codes, as the tables are all of it."""
        return replace(self, tables=tables)

    def pack(self) -> tuple[Json, bytes]:
        """The size of the codebooks, and the tables."""
        return {"codebook_size": self.codebook_size}, tables_to_bytes(self.tables)

    @classmethod
    def unpack(cls, version: str, config: Json, data: bytes) -> Self:
        """The inverse of `pack`.

        Raises:
            CorruptError: the tables are not of that size, or do not add up.
        """
        size = config.get("codebook_size")
        if type(size) is not int or not 0 < size <= SIZE_LIMIT:
            raise CorruptError(
                f"a model's config says codebook_size = {size!r}, which is not valid"
            )
        return cls(tables_from_bytes(data, size))
