"""Codes to pixels, codes to streams and back: all that a file needs of its codec.

All functions depend only on their arguments: no files, no printing, no global random state. The
trainers fit the networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drrpack.core import streams
from drrpack.core.ans import Words
from drrpack.core.arrays import Pixels, batches
from drrpack.core.codes import Codes, Grid, Levels
from drrpack.core.encoder import Encoder, Tick, encoded_at_once
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.entropy.sections import Layouts
from drrpack.core.errors import CorruptError, DrrError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.pixels import ActivationBits, PixelDecoder, calibrate
from drrpack.core.settings import own_settings
from drrpack.core.streams import Level, StreamLayout
from drrpack.core.vqvae import VQVAE, grid_shapes

CALIBRATED_PIXELS = 1 << 20  # whose activations take some hundreds of megabytes
DECODED_LESS = 4  # times as few in a CPU's decoder: then its feature maps stay in the caches


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
    """The networks of a file: a VQ-VAE in its two forms, and the entropy model of its codes."""

    encoder: Encoder  # images to codes
    pixels: PixelDecoder  # codes to pixels: the same VQ-VAE in integers
    entropy: EntropyModel  # codes to streams and back
    layouts: Layouts  # of the streams

    @property
    def vqvae(self) -> VQVAE:
        return self.encoder.vqvae

    @property
    def device(self) -> torch.device:
        return self.vqvae.top.codebook.device

    @property
    def top(self) -> Level:
        return Level(self.entropy.levels.top, self.entropy.tables.top, self.layouts.top)

    @property
    def bottom(self) -> Level:
        return Level(self.entropy.levels.bottom, self.entropy.tables.bottom, self.layouts.bottom)

    def top_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """The shape of the grid of top codes for images of ``size`` (H, W) pixels."""
        return grid_shapes(*size, self.vqvae.config.stride)[0]

    # lossy

    def encode(self, images: Pixels, tick: Tick | None = None) -> Codes:
        """As `Encoder.encode`."""
        return self.encoder.encode(images, tick)

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


@own_settings()
def assemble(
    vqvae: VQVAE, bits: ActivationBits, entropy: EntropyModel, layouts: Layouts,
    device: torch.device, carrier: torch.dtype | None = None,
) -> Codec:  # fmt: skip
    """A codec on ``device`` from its stored parts, of which it has copies; float64 carries the
    integers on a GPU.

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
    vqvae = deepcopy(vqvae).to(device).to(memory_format=torch.channels_last)
    return Codec(Encoder(vqvae, prices=entropy.prices), pixels, entropy, layouts)


@own_settings()
def finish(vqvae: VQVAE, entropy: EntropyModel, fitted_on: Codes, device: torch.device) -> Codec:
    """A codec from two fitted models, of which it has copies: scales of the decoder are taken from
    the codes they saw."""
    pixels = math.prod(fitted_on.bottom.shape) * vqvae.config.stride**2
    # some hundreds of small images, or fewer large ones: all their activations are held at once
    every = max(1, len(fitted_on) // 512, -(-pixels // CALIBRATED_PIXELS))
    sample = fitted_on.take(slice(None, None, every))
    vqvae = deepcopy(vqvae).cpu()
    bits = calibrate(vqvae, *(torch.from_numpy(grid.astype(np.int64)) for grid in sample.grids))
    nothing = StreamLayout(plain_images=0)
    return assemble(vqvae, bits, entropy, Levels(nothing, nothing), device)
