"""What it takes to encode images as those of a file were: its encoder, and its choice of codes.

A file that holds the decoder alone was perhaps made by a shipped codec, whose encoder is at hand.
Codes of a quality below 100 were chosen by a context model; where the file holds Bit-Swap, that was
the one which is shipped with the same codebooks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from drrpack.core.codec import Codec, assemble
from drrpack.core.entropy.code_model import BitSwap
from drrpack.core.errors import CorruptError, OptionError
from drrpack.core.rdoq import BEST, thrift
from drrpack.core.vqvae import VQVAE, Choose
from drrpack.core.weights import pack_vqvae, unpack_bitswap, unpack_vqvae
from drrpack.formats import metadata, shipped
from drrpack.formats.container import Reader, Section
from drrpack.formats.layout import AnyPath


def with_encoder(reader: Reader, decoder: Section) -> Section:
    """The shipped VQ-VAE that has this decoder.

    Raises:
        OptionError: there is none.
    """
    for section in shipped.models():
        whole = section.config.get("encoder") is True
        if whole and shipped.key(decoder_alone(section)) == shipped.key(decoder):
            return section
    raise OptionError(
        f"{reader.path}: it was written with --decoder-only, so it can't take in new images; "
        "append to the file that has the whole codec"
    )


def decoder_alone(vqvae: Section) -> Section:
    """The section of a VQ-VAE without its encoder."""
    network, bits = unpack_vqvae(vqvae)
    return Section(*pack_vqvae(network.without_encoder(), bits))


def of_quality(codec: Codec, reader: Reader, *, look: bool) -> Codec:
    """The codec of a file, which chooses codes by the quality of the file's images.

    ``look`` for a shipped context model now, if one is needed, rather than with the first image.
    What is missing or damaged is an error when an image is encoded: to decode takes none of it.
    """
    path = reader.path
    try:
        quality = metadata.quality(reader.metadata)
    except ValueError as error:
        return replace(codec, choose=_refusing(CorruptError(f"{path}: {error}")))
    codec = replace(codec, quality=quality)
    if quality is None or quality == BEST:
        return codec
    if codec.bitswap.config.kind == "context":
        return replace(codec, choose=thrift(codec.bitswap, quality))
    if not look:
        return replace(codec, choose=_Later(lambda: _by_shipped(codec, quality, path).choose))
    return _by_shipped(codec, quality, path)


def _by_shipped(codec: Codec, quality: int, path: AnyPath) -> Codec:
    """A codec with Bit-Swap, and the shipped context model that chooses its codes."""
    context = _shipped_context(codec.vqvae, codec.device)
    if context is not None:
        return replace(codec, choose=thrift(context, quality), context=context)
    error = OptionError(
        f"{path}: found codes of quality {quality}, expected the context model that chose them, "
        "which neither the file nor this drrpack holds: encode new images into a file of their own "
        "with --codec and --quality 100, and merge the two"
    )
    return replace(codec, choose=_refusing(error))


def _shipped_context(vqvae: VQVAE, device: torch.device) -> BitSwap | None:
    """The context model that is shipped with the codebooks of ``vqvae``, frozen."""
    for model, entropy_model in shipped.pairs():
        if entropy_model.config.get("latents"):
            continue
        network, bits = unpack_vqvae(model)
        if _same_codebooks(network, vqvae):
            return assemble(network, bits, *unpack_bitswap(entropy_model), device).bitswap
    return None


def _same_codebooks(one: VQVAE, two: VQVAE) -> bool:
    pairs = ((one.top, two.top), (one.bottom, two.bottom))
    return all(torch.equal(a.codebook.cpu(), b.codebook.cpu()) for a, b in pairs)


def _refusing(error: Exception) -> Choose:
    def refuse() -> Choose:
        raise error

    return _Later(refuse)


class _Later:
    """Chooses codes by what is made with the first image."""

    def __init__(self, make: Callable[[], Choose | None]) -> None:
        self._make = make

    @cached_property
    def _choose(self) -> Choose:
        made = self._make()
        assert made is not None, "a quality below the best chooses"
        return made

    def __call__(self, *arguments: Any) -> Tensor:
        return self._choose(*arguments)
