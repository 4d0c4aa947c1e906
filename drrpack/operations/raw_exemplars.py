"""Training pictures that a file keeps as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drrpack.core.codes import Codes
from drrpack.core.vqvae import VQVAE
from drrpack.formats import raw
from drrpack.formats.container import RawRecord
from drrpack.formats.files.spool import Spool
from drrpack.formats.sources.source import Source
from drrpack.trainers.incremental import exemplars


@dataclass(frozen=True)
class RawChoice:
    """How many raw exemplars of each class a file keeps, and how they are chosen."""

    per_class: int
    select: exemplars.Selection
    seed: int
    numbers: Mapping[int, int]  # class of the source to class of the file; others keep none


def raw_exemplars(
    source: Source, choice: RawChoice, codes: Sequence[Codes], network: VQVAE, spool: Spool
) -> list[RawRecord]:
    """The pictures that a file keeps as they are, whose bytes go into ``spool``; ``codes`` are
    those of each class."""
    records: list[RawRecord] = []
    if choice.per_class == 0:
        return records
    for number, of_file in choice.numbers.items():
        seed = choice.seed + of_file
        where = exemplars.choose(choice.select, codes[number], network, choice.per_class, seed)
        rows = np.sort(where)
        for record in raw.pack(of_file, rows.tolist(), source.load(number, rows=rows)):
            records.append(replace(record, data=spool.put(bytes(record.data))))
    return records
