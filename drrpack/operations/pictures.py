"""The training pictures of a source as codes, and some of them as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.encoder import encoded_at_once
from drrpack.core.lazily import Lazily
from drrpack.core.progress import Step
from drrpack.core.vqvae import VQVAE
from drrpack.formats import raw
from drrpack.formats.container import RawRecord
from drrpack.formats.files.spool import Spool, StoredCodes
from drrpack.formats.sources.source import Source
from drrpack.trainers.incremental import exemplars

PIXEL_BYTES = 16 << 20  # in memory while a class is encoded: 5,000 images of 32x32, 111 of 224x224


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
    """The codes of all classes; no more than `PIXEL_BYTES` of pixels are in memory."""
    kept, done, total = list[StoredCodes](), 0, sum(source.images_per_class)
    for number in range(len(source.classes)):
        made = list[Codes]()
        for rows in _rows(source, number):
            made.append(codec.encode(source.load(number, rows=rows)))
            done += len(made[-1])
            report(Step("codes", done, total))
        kept.append(spool.put_codes(Codes.concat(made)))
    return Lazily(len(kept), lambda number: kept[number].read())


def _rows(source: Source, number: int) -> Iterator[slice]:
    """A class in parts of `PIXEL_BYTES` at most, or of one batch; of whole batches, on which codes
    may depend."""
    height, width = source.image_size
    batch = encoded_at_once(source.image_size)
    size = batch * max(1, PIXEL_BYTES // (3 * height * width * batch))
    for start in range(0, source.images_per_class[number], size):
        yield slice(start, start + size)


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
