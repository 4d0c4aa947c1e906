"""Code the same codes again, by another entropy model or with another layout of streams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.groups import groups
from drrpack.core.layouts import lengthened, suited
from drrpack.core.lazily import Lazily
from drrpack.formats import shipped
from drrpack.formats.account import stored_top_shape
from drrpack.formats.container import Chunk, Memory, Reader
from drrpack.formats.files.spool import Spool, StoredCodes
from drrpack.formats.memory import chunk, entropy_section, load_codec, read_codes
from drrpack.operations import edit
from drrpack.operations.entropy_models import chosen_anew

CODES_AT_ONCE = 1_600_000  # coded side by side, which is what makes it fast: 20,000 small images


def merged(readers: Sequence[Reader], device: torch.device, folder: Path | None = None) -> Memory:
    """One memory with the classes of all files, in this order, which one VQ-VAE must have made.

    Streams are copied where the files have one entropy model and one layout of streams. Otherwise
    all are coded again, on ``device``: by the entropy model that makes the smallest file, with a
    layout that suits the number of images in the classes. They wait on the disk of ``folder`` then.
    Streams are read when they are written: leave the readers open.

    Raises:
        OptionError: the files have different VQ-VAEs or image sizes, or share a class; the message
            says how they differ.
    """
    together = edit.merge({Path(reader.path): reader.stored() for reader in readers})
    models = [shipped.whole(reader.entropy_model, reader.path) for reader in readers]
    if all(model == models[0] for model in models):
        return together
    codecs = [load_codec(reader, device) for reader in readers]
    spool = Spool(folder)
    parts = [all_codes(r, codec, spool) for r, codec in zip(readers, codecs, strict=True)]
    places = [(part, number) for part in parts for number in range(len(part))]
    every = Lazily(len(places), lambda place: places[place][0][places[place][1]])
    codec = codecs[0]
    different = {shipped.key(model): each for model, each in zip(models, codecs, strict=True)}
    if len(different) > 1:  # else layouts alone differ
        thin = together.vqvae.version == shipped.VERSION
        codec = chosen_anew([*different.values()], every, thin=thin)
    return coded(together, codec, every, spool)


def all_codes(reader: Reader, codec: Codec, spool: Spool) -> Sequence[Codes]:
    """The codes of all classes, in the order of the file, whose own codec ``codec`` is.

    They are decoded now, and read from ``spool`` whenever those of a class are asked for.
    """
    counts, kept = reader.images_per_class, list[StoredCodes]()
    at_once = _images_at_once(stored_top_shape(reader))
    for numbers in groups(counts.tolist(), at_once):
        decoded = read_codes(reader, codec, numbers)
        kept += [spool.put_codes(decoded[number]) for number in numbers]
    return Lazily(len(kept), lambda number: kept[number].read())


def coded(memory: Memory, codec: Codec, codes: Sequence[Codes], spool: Spool) -> Memory:
    """``memory`` with streams that ``codec`` makes from the codes of each class.

    The layout of the streams suits these classes. The VQ-VAE stays the same. Models that the file
    left out are left out again where that is possible. The streams are in ``spool``.
    """
    filled = [number for number, each in enumerate(codes) if len(each)]
    codec = suited(codec, Lazily(len(filled), lambda place: codes[filled[place]]))
    codec, chunks = lengthened(codec, lambda one: _streams(one, codes, filled, spool))
    entropy_model = entropy_section(codec)
    if memory.vqvae.version == shipped.VERSION:
        entropy_model = shipped.as_thin_as_can_be(entropy_model)
    return replace(memory, chunks=chunks, entropy_model=entropy_model)


def _streams(
    codec: Codec, codes: Sequence[Codes], filled: Sequence[int], spool: Spool
) -> list[Chunk]:
    """The chunks of the classes that are ``filled``.

    Raises:
        MessageError: the plain images at the start of a stream have too few bits.
    """
    chunks = list[Chunk]()
    at_once = _images_at_once(codes[filled[0]].top.shape[1:]) if filled else 1
    for places in groups([len(codes[number]) for number in filled], at_once):
        numbers = [filled[place] for place in places]
        made = codec.compress([codes[number] for number in numbers])
        for number, of_class in zip(numbers, made, strict=True):
            one = chunk(number, of_class)
            top, bottom = spool.put(bytes(one.top)), spool.put(bytes(one.bottom))
            chunks.append(replace(one, top=top, bottom=bottom))
    return chunks


def _images_at_once(top_shape: tuple[int, ...]) -> int:
    """How many images have `CODES_AT_ONCE` codes, one at least."""
    return max(1, CODES_AT_ONCE // (5 * math.prod(top_shape)))
