"""Which entropy models could code some codes, and which of them makes the smallest file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from drrpack.core.codec import Codec, assemble
from drrpack.core.codes import Codes
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.frequencies import tables_of_all
from drrpack.core.weights import unpack_vqvae
from drrpack.formats import memory, shipped
from drrpack.formats.encoder import can_choose, same_codebooks
from drrpack.trainers.fitting import choice

SEEN_WEIGHT = 16  # of a code that occurs: a table codes the codes that it is made of


def with_table(codecs: Sequence[Codec], codes: Sequence[Codes]) -> list[Codec]:
    """The codecs, and one that codes by how often each of these ``codes`` occurs.

    A table is left out if nothing could choose the codes of images that are added later. One that
    was made for other codes gives way to it.
    """
    if not can_choose(codecs[0]):
        return [*codecs]
    size = codecs[0].entropy.codebook_size
    table = TableModel(tables_of_all(codes, size, weight=SEEN_WEIGHT))
    networks = [codec for codec in codecs if codec.entropy.kind != TableModel.kind]
    return [*networks, replace(codecs[0], entropy=table)]


def shipped_beside(codec: Codec, device: torch.device) -> list[Codec]:
    """``codec`` with each entropy model that comes with drrpack for its codebooks."""
    found = list[Codec]()
    for vqvae, entropy_model in shipped.pairs():
        network, bits = unpack_vqvae(vqvae)
        if same_codebooks(network, codec.vqvae):
            entropy, layouts = unpack_entropy(entropy_model)
            made = assemble(network, bits, entropy, layouts, device, codec.pixels.carrier)
            found.append(replace(codec, entropy=made.entropy, layouts=layouts))
    return found


def smallest(
    codecs: Sequence[Codec], codes: Sequence[Codes], *, thin: bool
) -> tuple[int, dict[str, int]]:
    """Which of some codecs makes the smallest file of ``codes``, and the bytes of each.

    They are those of streams and entropy model, by its kind. With ``thin`` a model that comes with
    drrpack takes none.
    """

    def model_bytes(codec: Codec) -> int:
        section = memory.entropy_section(codec)
        return len((shipped.as_thin_as_can_be(section) if thin else section).data)

    images = sum(len(part) for part in codes)
    taken, sizes = choice.smallest(codecs, choice.spread(codes), images, model_bytes)
    return next(n for n, each in enumerate(codecs) if each is taken), sizes
