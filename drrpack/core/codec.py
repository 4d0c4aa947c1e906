"""The lossy and the lossless codec in sequence: images -> codes -> streams, and back.

All functions depend only on their arguments: no files, no printing, no global random state. The
trainers fit the networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from drrpack.core import streams
from drrpack.core.ans import Words
from drrpack.core.arrays import Pixels, batches
from drrpack.core.codes import Codes, Grid, Levels
from drrpack.core.entropy.model import EntropyModel, Prices
from drrpack.core.entropy.sections import Layouts
from drrpack.core.errors import CorruptError, DrrError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.pixels import ActivationBits, PixelDecoder, calibrate
from drrpack.core.rdoq import BEST, thrift
from drrpack.core.settings import float_arithmetic, own_settings
from drrpack.core.streams import Level, StreamLayout
from drrpack.core.vqvae import VQVAE, Choose, grid_shapes, pad, to_float

PIXELS_AT_ONCE = 1 << 18  # in one call of the VQ-VAE: 256 small images, which takes half a gigabyte
CALIBRATED_PIXELS = 1 << 20  # whose activations take some hundreds of megabytes
DECODED_LESS = 4  # times as few in a CPU's decoder: then its feature maps stay in the caches

Tick = Callable[[int], None]  # told how many images have just been done


@dataclass(frozen=True)
class ClassStreams:
    """The two streams of one class, as 32-bit words, how many images they hold, and the digest of
    the codes that they decode to."""

    images: int
    top: Words
    bottom: Words
    codes_digest: int


@dataclass(frozen=True)
class Codec:
    """A fitted and frozen VQ-VAE and entropy model, and the quality by which codes are chosen."""

    vqvae: VQVAE
    pixels: PixelDecoder  # the same weights in integers
    entropy: EntropyModel
    layouts: Layouts  # of the streams
    quality: int | None = None  # 0 to 100; None: not set, so the nearest codes are taken
    prices: Prices | None = None  # codes are chosen by: the entropy model's, or another's
    # Finds out how to choose with the first image that is encoded, where that takes long, or is
    # not known: then it raises.
    choosing: Callable[[], Choose | None] | None = None

    @property
    def device(self) -> torch.device:
        return self.vqvae.top.codebook.device

    @property
    def top(self) -> Level:
        return Level(self.entropy.levels.top, self.entropy.tables.top, self.layouts.top)

    @property
    def bottom(self) -> Level:
        return Level(self.entropy.levels.bottom, self.entropy.tables.bottom, self.layouts.bottom)

    @cached_property
    def choose(self) -> Choose | None:
        """How codes are chosen; None for the nearest."""
        if self.choosing is not None:
            return self.choosing()
        return thrift(self.prices, self.quality)

    def top_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """The shape of the grid of top codes for images of ``size`` (H, W) pixels."""
        return grid_shapes(*size, self.vqvae.config.stride)[0]

    # lossy

    def encode(self, images: Pixels, tick: Tick | None = None) -> Codes:
        """Pixels uint8 (n, H, W, 3) to codes."""
        return encode_images(self.vqvae, images, tick, self.choose)

    def decode(self, codes: Codes, size: tuple[int, int], tick: Tick | None = None) -> Pixels:
        """Codes to pixels uint8 (n, H, W, 3) of ``size`` (H, W): the same on every machine."""
        out = np.empty((len(codes), *size, 3), dtype=np.uint8)
        with exact_arithmetic(self.device):
            for part in batches(len(codes), self._decoded_at_once(size)):
                top, bottom = (self._tensor(grid[part]) for grid in codes.grids)
                pixels = self.pixels(top, bottom)[:, : size[0], : size[1]]
                out[part] = pixels.cpu().numpy()
                if tick is not None:
                    tick(len(pixels))
        return out

    def _decoded_at_once(self, size: tuple[int, int]) -> int:
        """How many images of ``size`` (H, W) are decoded together: by their pixels with padding,
        which is most of a small image where the stride is large."""
        rows, columns = self.top_shape(size)
        side = 2 * self.vqvae.config.stride
        count = encoded_at_once((rows * side, columns * side))
        return max(1, count // DECODED_LESS) if self.device.type == "cpu" else count

    def _tensor(self, codes: Grid) -> Tensor:
        return torch.from_numpy(codes.astype(np.int64)).to(self.device)

    # lossless

    def compress(self, classes: Sequence[Codes]) -> list[ClassStreams]:
        """Codes of several classes to streams, all side by side, decoded again and compared.

        Raises:
            DrrError: the streams do not decode to the codes; nothing should be written then.
        """
        tops = [c.top for c in classes]
        bottoms = [c.bottom for c in classes]
        top = streams.encode(self.top, tops, None)
        bottom = streams.encode(self.bottom, bottoms, tops)
        made = [
            ClassStreams(len(c), t, b, c.digest)
            for c, t, b in zip(classes, top, bottom, strict=True)
        ]
        decoded = self.decompress(made, classes[0].top.shape[1:] if classes else (0, 0))
        wrong = first_difference(made, decoded)
        if wrong is not None:
            raise DrrError(
                f"class number {wrong} did not decode to the codes it was made from: this machine "
                "does not compute exactly; nothing was written. Try `device='cpu'`"
            )
        return made

    def decompress(self, made: Sequence[ClassStreams], top_shape: tuple[int, ...]) -> list[Codes]:
        """The inverse of `compress`; ``top_shape`` is that of an image's top codes.

        Raises:
            CorruptError: a stream is damaged. Not always: see `first_difference`.
        """
        rows, columns = top_shape
        counts = [s.images for s in made]
        tops = streams.decode(self.top, [s.top for s in made], counts, (rows, columns), None)
        bottoms = streams.decode(
            self.bottom, [s.bottom for s in made], counts, (2 * rows, 2 * columns), tops
        )
        return [Codes(t, b) for t, b in zip(tops, bottoms, strict=True)]


def first_difference(made: Sequence[ClassStreams], found: Sequence[Codes]) -> int | None:
    """Which of some classes, if any, was decoded to other codes than its streams were made of."""
    pairs = enumerate(zip(made, found, strict=True))
    return next((n for n, (one, codes) in pairs if one.codes_digest != codes.digest), None)


def encode_images(
    network: VQVAE, images: Pixels, tick: Tick | None = None, choose: Choose | None = None
) -> Codes:
    """Pixels uint8 (n, H, W, 3) to codes, by a VQ-VAE alone."""
    device, stride = network.top.codebook.device, network.config.stride
    count, height, width, _ = images.shape
    out = Codes.empty(grid_shapes(height, width, stride)[0], count)
    with float_arithmetic(), torch.inference_mode():
        # floats, and so codes, may depend on the batch: by the size without padding, as ever
        for part in batches(count, encoded_at_once((height, width))):
            batch = pad(to_float(torch.from_numpy(images[part]).to(device)), stride)
            batch = batch.contiguous(memory_format=torch.channels_last)
            for grid, codes in zip(out.grids, network.encode(batch, choose), strict=True):
                grid[part] = codes.cpu().numpy()
            if tick is not None:
                tick(len(batch))
    return out


def encoded_at_once(size: Sequence[int]) -> int:
    """How many images of ``size`` (H, W) go through the VQ-VAE together."""
    return max(1, PIXELS_AT_ONCE // (size[0] * size[1]))


@own_settings()
def assemble(
    vqvae: VQVAE, bits: ActivationBits, entropy: EntropyModel, layouts: Layouts,
    device: torch.device, carrier: torch.dtype | None = None,
) -> Codec:  # fmt: skip
    """A codec on ``device`` from its frozen parts; float64 carries the integers on a GPU.

    Raises:
        CorruptError: the entropy model has codes that the VQ-VAE has not.
    """
    codes = entropy.codebook_size, vqvae.config.codebook_size
    if codes[0] > codes[1]:
        found = f"an entropy model of {codes[0]} codes"
        raise CorruptError(f"found {found}, expected at most the {codes[1]} of the VQ-VAE")
    carrier = carrier or (torch.float64 if device.type == "cuda" else torch.float32)
    entropy = entropy.on(device, carrier)
    pixels = PixelDecoder(vqvae, bits, carrier).move(device)
    vqvae = vqvae.to(device).to(memory_format=torch.channels_last)
    return Codec(vqvae, pixels, entropy, layouts, prices=entropy.prices)


@own_settings()
def finish(vqvae: VQVAE, entropy: EntropyModel, fitted_on: Codes, device: torch.device) -> Codec:
    """A codec from two fitted models: scales of the decoder are taken from the codes they saw."""
    pixels = math.prod(fitted_on.bottom.shape) * vqvae.config.stride**2
    # some hundreds of small images, or fewer large ones: all their activations are held at once
    every = max(1, len(fitted_on) // 512, -(-pixels // CALIBRATED_PIXELS))
    sample = fitted_on.take(slice(None, None, every))
    vqvae = vqvae.cpu()
    bits = calibrate(vqvae, *(torch.from_numpy(grid.astype(np.int64)) for grid in sample.grids))
    nothing = StreamLayout(plain_images=0)
    return assemble(vqvae, bits, entropy, Levels(nothing, nothing), device)


def prices_of(codecs: Sequence[Codec]) -> Prices | None:
    """What codes can be chosen by: the prices of the first of some codecs that has any."""
    own = (codec.entropy.prices for codec in codecs)
    beside = (codec.prices for codec in codecs)
    return next((prices for prices in (*own, *beside) if prices is not None), None)


def with_quality(codecs: Sequence[Codec], quality: int) -> list[Codec]:
    """Codecs of one VQ-VAE that choose codes as ``quality`` says, by the prices of one of them; the
    nearest codes where none has any."""
    prices = prices_of(codecs)
    kept = BEST if prices is None else quality
    return [replace(codec, quality=kept, prices=prices, choosing=None) for codec in codecs]
