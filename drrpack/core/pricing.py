"""By which prices codecs of one VQ-VAE choose codes: a file may hold a model that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drrpack.core.codec import Codec
from drrpack.core.encoder import Encoder
from drrpack.core.entropy.model import Prices
from drrpack.core.rdoq import BEST


def prices_of(codecs: Sequence[Codec]) -> Prices | None:
    """What codes can be chosen by: the prices of the first of some codecs that has any."""
    own = (codec.entropy.prices for codec in codecs)
    beside = (codec.encoder.prices for codec in codecs)
    return next((prices for prices in (*own, *beside) if prices is not None), None)


def with_quality(codecs: Sequence[Codec], quality: int) -> list[Codec]:
    """Codecs of one VQ-VAE that choose codes as ``quality`` says, by the prices of one of them; the
    nearest codes where none has any."""
    prices = prices_of(codecs)
    kept = BEST if prices is None else quality
    return [replace(codec, encoder=Encoder(codec.vqvae, kept, prices)) for codec in codecs]
