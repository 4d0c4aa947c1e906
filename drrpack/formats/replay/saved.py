"""The content of a replay buffer as that of a ``.drr`` file, and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from drrpack.core.codec import Codec
from drrpack.core.errors import OptionError
from drrpack.core.layouts import lay_out
from drrpack.formats.class_names import names_of_labels
from drrpack.formats.container import Memory, Reader
from drrpack.formats.memory import chunk, read_codes, sections
from drrpack.formats.replay.content import Content
from drrpack.formats.replay.packing import CodePacking
from drrpack.formats.replay.saved_record import Record
from drrpack.formats.sources.splits import refuse_twins


def names_for(content: Content, known: Mapping[int, str], given: Sequence[str] | None) -> list[str]:
    """A name for each class that has images: of those ``given`` for 0, 1, ..., else the known one,
    else the number of the label.

    Raises:
        OptionError: there are too few names. SourceError: two of the names look alike.
    """
    labels = [n for n, rows in zip(content.labels, content.rows, strict=True) if len(rows)]
    names = [known.get(label, str(label)) for label in labels]
    if given is not None:
        listed = names_of_labels(given, "`class_names`")
        if max(labels) >= len(listed):
            raise OptionError(
                f"`class_names`: found {len(listed)} names, and the label {max(labels)}; expected "
                "a name for each number from 0 to the largest label",
                option="class_names",
            )
        names = [unicodedata.normalize("NFC", listed[label]) for label in labels]
    fix = "give `class_names` that differ, or add the images of both under one label"
    refuse_twins(names, "the replay buffer", fix)
    return names


def memory_of(
    content: Content, codec: Codec, packing: CodePacking, size: tuple[int, int], names: list[str]
) -> Memory:
    """The content of a file; ``names`` are those of the classes that have images.

    Raises:
        DrrError: the streams do not decode to the same codes.
    """
    codec, streams = lay_out(
        codec, [packing.unpack(rows.whole()) for rows in content.rows if len(rows)]
    )
    chunks = [chunk(number, made) for number, made in enumerate(streams)]
    known = codec.encoder.quality
    quality = {} if known is None else {"quality": known}
    return Memory(size, names, chunks, *sections(codec), quality)


def content_of(reader: Reader, codec: Codec, packing: CodePacking, saved: Record | None) -> Content:
    """All images of a file.

    Labels are those of the buffer that it was saved from. Without a record they are the numbers of
    the classes, as in `DRRDataset`. Classes that joined a saved file later get the next labels.
    """
    codes = read_codes(reader, codec, range(len(reader.classes)))
    content = Content(packing.row_bytes)
    known = {} if saved is None else dict(saved.classes)
    gone = [] if saved is None else saved.gone
    free = 1 + max((label for label, _ in (*known.values(), *gone)), default=-1)
    for number, name in enumerate(reader.classes):
        if name not in known:
            known[name] = (free, 0)
            free += 1
        label, seen = known[name]
        content.put(label, packing.pack(codes[number]), seen)
    for label, seen in gone:
        content.put(label, np.empty((0, packing.row_bytes), np.uint8), seen)
    return content
