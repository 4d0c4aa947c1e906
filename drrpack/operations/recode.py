"""Code the same codes again, with another layout of streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from drrpack.core.codec import Codec, lay_out
from drrpack.core.codes import Codes
from drrpack.formats import shipped
from drrpack.formats.container import Memory, Reader
from drrpack.formats.memory import chunk, load_codec, read_codes, sections
from drrpack.operations.edit import check_one_codec


def in_one_layout(readers: Sequence[Reader], device: torch.device) -> list[Memory]:
    """The contents of files of one codec, with one layout of streams.

    If the layouts differ, all streams are coded again, with a layout that suits the number of
    images in their classes.

    Raises:
        OptionError: the files have different codecs or image sizes; the message says how they
            differ.
    """
    memories = [reader.memory() for reader in readers]
    check_one_codec({Path(reader.path): one for reader, one in zip(readers, memories, strict=True)})
    first, *others = (shipped.whole(reader.entropy_model, reader.path) for reader in readers)
    if all(model == first for model in others):
        return memories
    codecs = [load_codec(reader, device) for reader in readers]  # their layouts differ
    codes = [all_codes(reader, codec) for reader, codec in zip(readers, codecs, strict=True)]
    together = coded(memories[0], codecs[0], [each for part in codes for each in part])
    changed, start = [], 0
    for memory in memories:
        inside = range(start, start + len(memory.classes))
        chunks = [
            replace(c, class_index=c.class_index - start)
            for c in together.chunks
            if c.class_index in inside
        ]
        changed.append(
            replace(
                memory, chunks=chunks, vqvae=together.vqvae, entropy_model=together.entropy_model
            )
        )
        start = inside.stop
    return changed


def all_codes(reader: Reader, codec: Codec) -> list[Codes]:
    """The codes of all classes, in the order of the file, whose own codec ``codec`` is."""
    decoded = read_codes(reader, codec, range(len(reader.classes)))
    return [decoded[number] for number in range(len(reader.classes))]


def coded(memory: Memory, codec: Codec, codes: Sequence[Codes]) -> Memory:
    """``memory`` with streams that ``codec`` makes from the codes of each class.

    The layout of the streams suits these classes. The VQ-VAE stays the same. Models that the file
    left out are left out again where that is possible.
    """
    filled = [number for number, each in enumerate(codes) if len(each)]
    codec, made = lay_out(codec, [codes[number] for number in filled])
    _, entropy_model = sections(codec)
    if memory.entropy_model.version == shipped.VERSION and shipped.known(entropy_model):
        entropy_model = shipped.thin(entropy_model)
    chunks = [chunk(number, streams) for number, streams in zip(filled, made, strict=True)]
    return replace(memory, chunks=chunks, entropy_model=entropy_model)
