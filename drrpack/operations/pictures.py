"""The training pictures of a source as codes, and some of them as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.lazily import Lazily
from drrpack.core.progress import Step
from drrpack.core.vqvae import VQVAE
from drrpack.formats import raw
from drrpack.formats.container import RawRecord
from drrpack.formats.files.spool import Spool, StoredCodes
from drrpack.formats.sources.source import Source
from drrpack.trainers.incremental import exemplars


@dataclass(frozen=True)
class RawChoice:
    """How many raw exemplars of each class a file keeps, and how they are chosen."""

    per_class: int
    select: exemplars.Selection
    seed: int
    numbers: Mapping[int, int]  # class of the source to class of the file; others keep none


def encode_pictures(
    source: Source, codec: Codec, spool: Spool, report: Callable[[Step], None]
) -> Sequence[Codes]:
    """The codes of all classes; the pixels of one class at a time are in memory."""
    kept, done, total = list[StoredCodes](), 0, sum(source.images_per_class)
    for number, count in enumerate(source.images_per_class):
        kept.append(spool.put_codes(codec.encode(source.load(number))))
        done += count
        report(Step("codes", done, total))
    return Lazily(len(kept), lambda number: kept[number].read())


def raw_exemplars(
    source: Source, choice: RawChoice, codes: Sequence[Codes], network: VQVAE
) -> list[RawRecord]:
    """The pictures that a file keeps as they are; ``codes`` are those of each class."""
    records: list[RawRecord] = []
    if choice.per_class == 0:
        return records
    for number, of_file in choice.numbers.items():
        seed = choice.seed + of_file
        where = exemplars.choose(choice.select, codes[number], network, choice.per_class, seed)
        rows = np.sort(where)
        records += raw.pack(of_file, rows.tolist(), source.load(number, rows=rows))
    return records
