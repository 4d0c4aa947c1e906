"""The two codecs in a row: images -> codes -> streams, and back. Fitting is the trainers' business.

Everything is a pure function of its arguments: no files, no printing, no global random state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core import streams
from drrpack.core.ans import Words
from drrpack.core.entropy.bitswap import Codes
from drrpack.core.entropy.code_model import BitSwap
from drrpack.core.errors import DrrError, MessageError
from drrpack.core.exact import exact_arithmetic, freeze, move
from drrpack.core.pixels import ActivationBits, PixelDecoder, batches, calibrate
from drrpack.core.settings import float_arithmetic, own_settings
from drrpack.core.streams import Level, StreamLayout, frequency_table
from drrpack.core.vqvae import VQVAE, Choose, grid_shapes, pad, to_float

Pixels = NDArray[np.uint8]
PIXELS_AT_ONCE = 1 << 18  # in one call of the VQ-VAE: 256 small images, which takes half a gigabyte

Tick = Callable[[int], None]  # told how many images have just been done


@dataclass(frozen=True)
class ClassCodes:
    """The codes of one class: top (n, H/8, W/8) and bottom (n, H/4, W/4), int64."""

    top: Codes
    bottom: Codes

    def __len__(self) -> int:
        return len(self.top)

    @property
    def flat(self) -> Codes:
        """Top, then bottom: (n, 5 T) for T top codes an image."""
        return np.concatenate(
            [self.top.reshape(len(self), -1), self.bottom.reshape(len(self), -1)], 1
        )

    @property
    def digest(self) -> int:
        """The first 64 bits of the SHA-256 of all top, then all bottom codes, 16 bits each."""
        parts = (level.astype("<u2").tobytes() for level in (self.top, self.bottom))
        return int.from_bytes(sha256(b"".join(parts)).digest()[:8], "little")


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
    """A fitted and frozen pair of codecs."""

    vqvae: VQVAE
    bits: ActivationBits
    bitswap: BitSwap
    top: Level
    bottom: Level
    pixels: PixelDecoder
    choose: Choose | None = None  # of other codes than the nearest: see `drrpack.core.rdoq`
    quality: int | None = None  # by which it chooses, 0 to 100; None: nobody has said
    context: BitSwap | None = None  # a frozen context model to choose by, where ``bitswap`` is none

    @property
    def device(self) -> torch.device:
        return self.top.device

    # lossy

    def encode(self, images: Pixels, tick: Tick | None = None) -> ClassCodes:
        """Pixels uint8 (n, H, W, 3) to codes."""
        return encode_images(self.vqvae, images, tick, self.choose)

    def decode(self, codes: ClassCodes, size: tuple[int, int], tick: Tick | None = None) -> Pixels:
        """Codes to pixels uint8 (n, H, W, 3) of ``size`` (H, W): the same on every machine."""
        out = np.empty((len(codes), *size, 3), dtype=np.uint8)
        with exact_arithmetic(self.device):
            for part in batches(len(codes), _at_once(size)):
                top, bottom = (self._tensor(c[part]) for c in (codes.top, codes.bottom))
                pixels = self.pixels(top, bottom)[:, : size[0], : size[1]]
                out[part] = pixels.cpu().numpy()
                if tick is not None:
                    tick(len(pixels))
        return out

    def _tensor(self, codes: Codes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(codes)).to(self.device)

    # lossless

    def compress(self, classes: Sequence[ClassCodes]) -> list[ClassStreams]:
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
                "does not compute exactly; nothing was written. Try --device cpu"
            )
        return made

    def decompress(
        self, made: Sequence[ClassStreams], top_shape: tuple[int, ...]
    ) -> list[ClassCodes]:
        """The inverse of `compress`; ``top_shape`` is (H/8, W/8).

        Raises:
            CorruptError: a stream is damaged. Not always: see `first_difference`.
        """
        rows, columns = top_shape
        counts = [s.images for s in made]
        tops = streams.decode(self.top, [s.top for s in made], counts, (rows, columns), None)
        bottoms = streams.decode(
            self.bottom, [s.bottom for s in made], counts, (2 * rows, 2 * columns), tops
        )
        return [ClassCodes(t, b) for t, b in zip(tops, bottoms, strict=True)]


def first_difference(made: Sequence[ClassStreams], found: Sequence[ClassCodes]) -> int | None:
    """Which of some classes, if any, was decoded to other codes than its streams were made of."""
    pairs = enumerate(zip(made, found, strict=True))
    return next((n for n, (one, codes) in pairs if one.codes_digest != codes.digest), None)


def encode_images(
    network: VQVAE, images: Pixels, tick: Tick | None = None, choose: Choose | None = None
) -> ClassCodes:
    """Pixels uint8 (n, H, W, 3) to codes, by a VQ-VAE alone."""
    device = network.top.codebook.device
    top_shape, bottom_shape = grid_shapes(*images.shape[1:3])
    top = np.empty((len(images), *top_shape), dtype=np.int64)
    bottom = np.empty((len(images), *bottom_shape), dtype=np.int64)
    with float_arithmetic(), torch.inference_mode():
        for part in batches(len(images), _at_once(images.shape[1:3])):
            batch = pad(to_float(torch.from_numpy(images[part]).to(device)))
            codes = network.encode(batch.contiguous(memory_format=torch.channels_last), choose)
            top[part], bottom[part] = (c.cpu().numpy() for c in codes)
            if tick is not None:
                tick(len(batch))
    return ClassCodes(top, bottom)


def _at_once(size: Sequence[int]) -> int:
    """How many images of ``size`` (H, W) go through the VQ-VAE together."""
    return max(1, PIXELS_AT_ONCE // (size[0] * size[1]))


@own_settings()
def assemble(
    vqvae: VQVAE, bits: ActivationBits, bitswap: BitSwap,
    tables: dict[str, NDArray[np.uint32]], layouts: dict[str, StreamLayout],
    device: torch.device, carrier: torch.dtype | None = None,
) -> Codec:  # fmt: skip
    """A codec on ``device`` from its frozen parts; float64 carries the integers on a GPU."""
    carrier = carrier or (torch.float64 if device.type == "cuda" else torch.float32)
    freeze(bitswap, carrier)
    move(bitswap, device)
    pixels = PixelDecoder(vqvae, bits, carrier).move(device)
    vqvae = vqvae.to(device).to(memory_format=torch.channels_last)
    top = Level(bitswap.top, tables["top"], layouts["top"])
    bottom = Level(bitswap.bottom, tables["bottom"], layouts["bottom"])
    return Codec(vqvae, bits, bitswap, top, bottom, pixels)


@own_settings()
def finish(vqvae: VQVAE, bitswap: BitSwap, fitted_on: ClassCodes, device: torch.device) -> Codec:
    """A codec from two fitted networks: scales and tables are taken from the codes they saw."""
    sample = slice(None, None, max(1, len(fitted_on) // 512))
    vqvae = vqvae.cpu()
    top, bottom = (torch.from_numpy(c[sample].copy()) for c in (fitted_on.top, fitted_on.bottom))
    bits = calibrate(vqvae, top, bottom)
    size = bitswap.config.codebook_size
    tables = {
        "top": frequency_table(fitted_on.top, size),
        "bottom": frequency_table(fitted_on.bottom, size),
    }
    layouts = {name: StreamLayout(plain_images=0) for name in tables}
    return assemble(vqvae, bits, bitswap, tables, layouts, device)


def lay_out(codec: Codec, classes: Sequence[ClassCodes]) -> tuple[Codec, list[ClassStreams]]:
    """The codec with the layout of streams that suits these classes, and their streams.

    Raises:
        DrrError: as `Codec.compress`.
    """
    tops = [c.top for c in classes]
    bottoms = [c.bottom for c in classes]
    top = streams.choose_layout(codec.top, tops, None)
    bottom = streams.choose_layout(codec.bottom, bottoms, tops)
    while True:
        codec = replace(
            codec, top=replace(codec.top, layout=top), bottom=replace(codec.bottom, layout=bottom)
        )
        try:
            return codec, codec.compress(classes)
        except MessageError:  # the first group could be paid for, and a later one asks for more
            top, bottom = (
                replace(layout, plain_images=layout.plain_images * 9 // 8 + 1)
                for layout in (top, bottom)
            )
