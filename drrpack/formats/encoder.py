"""The encoder and the choice of codes with which the images of a file were encoded.

A file that holds the decoder alone may come from a shipped codec; then the shipped encoder is used.
A context model chose the codes of a quality below 100; if the file holds Bit-Swap or a table, that
was the context model that is shipped with the same codebooks. An adapted or tuned one chooses by
its own prices, as it is what codes further images, though another one chose the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from drrpack.core.codec import Codec, assemble
from drrpack.core.codes import LevelName
from drrpack.core.encoder import Encoder
from drrpack.core.entropy.model import Prices, Round, kind_of
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.errors import CorruptError, DrrError, OptionError
from drrpack.core.rdoq import BEST
from drrpack.core.section import Section
from drrpack.core.vqvae import VQVAE
from drrpack.core.weights import pack_vqvae, unpack_vqvae
from drrpack.formats import metadata, shipped
from drrpack.formats.container import Reader
from drrpack.formats.layout import AnyPath


def with_encoder(reader: Reader, decoder: Section) -> Section:
    """The shipped VQ-VAE that has this decoder.

    Raises:
        OptionError: there is none. CorruptError: the decoder is damaged.
    """
    network, _ = unpack_vqvae(decoder)
    for section, _ in shipped.with_codebooks(network, earlier=True):
        whole = section.config.get("encoder") is True
        if whole and shipped.key(decoder_alone(section)) == shipped.key(decoder):
            return section
    raise OptionError(
        f"{reader.path}: it was written with `decoder_only`, so its codec has no encoder, and no "
        "new images can be encoded with it; take a file with the whole codec, one that was written "
        "without `decoder_only`"
    )


def decoder_alone(vqvae: Section) -> Section:
    """The section of a VQ-VAE without its encoder."""
    network, bits = unpack_vqvae(vqvae)
    return pack_vqvae(network.without_encoder(), bits)


def of_quality(codec: Codec, reader: Reader, *, look: bool) -> Codec:
    """The codec of a file, which chooses codes by the quality of the file's images.

    ``look`` for a shipped context model now, if one is needed, rather than with the first image.
    What is missing or damaged is an error when an image is encoded: to decode takes none of it.
    """
    try:
        quality = metadata.quality(reader.metadata)
    except ValueError as error:
        return _refusing(codec, CorruptError(f"{reader.path}: {error}"))
    return by_quality(codec, quality, reader.path, look=look)


def by_quality(codec: Codec, quality: int | None, path: AnyPath, *, look: bool) -> Codec:
    """The same for a quality that is known already; ``path`` is for errors."""
    encoder = replace(codec.encoder, quality=quality)
    codec = replace(codec, encoder=encoder)
    if quality is None or quality == BEST or encoder.prices is not None:
        return codec
    shipped_prices = ShippedPrices(codec.vqvae, codec.device, quality, path)
    try:
        prices = shipped_prices.found if look else shipped_prices
    except OptionError as error:
        return _refusing(codec, error)
    return replace(codec, encoder=replace(encoder, prices=prices))


def _refusing(codec: Codec, error: DrrError) -> Codec:
    """The codec, which raises ``error`` when an image is to be encoded."""
    return replace(codec, encoder=replace(codec.encoder, refusal=error))


def can_choose(encoder: Encoder) -> bool:
    """Whether images that are added later get codes of this quality without a model in the file."""
    if encoder.quality is None or encoder.quality == BEST:
        return True
    return any(kind_of(model) == "context" for _, model in shipped.with_codebooks(encoder.vqvae))


@dataclass(frozen=True)
class ShippedPrices:
    """`Prices` by the context model that is shipped with the codebooks of ``vqvae``, which is
    loaded when it is first asked.

    Attributes:
        quality: that of the codes that it chose, and ``path`` their file: for errors.
    """

    vqvae: VQVAE
    device: torch.device
    quality: int
    path: AnyPath

    @cached_property
    def found(self) -> Prices:
        """Those of the model itself. Raises OptionError where drrpack holds none."""
        for vqvae, model in shipped.with_codebooks(self.vqvae):
            if kind_of(model) == "context":
                codec = assemble(*unpack_vqvae(vqvae), *unpack_entropy(model), self.device)
                assert codec.entropy.prices is not None
                return codec.entropy.prices
        raise OptionError(
            f"{self.path}: found codes of quality {self.quality}, expected the context model that "
            "chose them, which neither the file nor this drrpack holds: encode new images into a "
            "file of their own with `codec` and `quality=100`, and merge the two"
        )

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        return self.found.rounds(level, shape, above)
