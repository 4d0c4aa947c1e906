"""The encoder: images to codes, the nearest ones or those that are both near and cheap.

What it chooses is no matter of the format: whatever the codes are, `drrpack.core.codec` packs and
decodes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from drrpack.core.arrays import Pixels, batches
from drrpack.core.codes import Codes
from drrpack.core.entropy.model import Prices
from drrpack.core.errors import DrrError
from drrpack.core.rdoq import thrift
from drrpack.core.settings import float_arithmetic
from drrpack.core.vqvae import VQVAE, grid_shapes, pad, to_float

PIXELS_AT_ONCE = 1 << 18  # in one call of the VQ-VAE: 256 small images, which takes half a gigabyte

Tick = Callable[[int], None]  # told how many images have just been done


@dataclass(frozen=True)
class Encoder:
    """A VQ-VAE, and how it chooses among near codes.

    Attributes:
        vqvae: without its encoder it can't encode.
        quality: 0 to 100; None where it is not known, which takes the nearest codes.
        prices: what codes cost, by an entropy model; None takes the nearest codes.
        refusal: why images can't be encoded as others of their file were; None where they can.
    """

    vqvae: VQVAE
    quality: int | None = None
    prices: Prices | None = None
    refusal: DrrError | None = None

    def encode(self, images: Pixels, tick: Tick | None = None) -> Codes:
        """Pixels uint8 (n, H, W, 3) to codes.

        Raises:
            DrrError: the ``refusal``. OptionError: the VQ-VAE has no encoder, or the model with the
                prices is not there.
        """
        if self.refusal is not None:
            raise self.refusal
        choose = thrift(self.prices, self.quality)
        device, stride = self.vqvae.top.codebook.device, self.vqvae.config.stride
        count, height, width, _ = images.shape
        out = Codes.empty(grid_shapes(height, width, stride)[0], count)
        with float_arithmetic(), torch.inference_mode():
            # floats, and so codes, may depend on the batch: by the size without padding, as ever
            for part in batches(count, encoded_at_once((height, width))):
                batch = pad(to_float(torch.from_numpy(images[part]).to(device)), stride)
                batch = batch.contiguous(memory_format=torch.channels_last)
                for grid, codes in zip(out.grids, self.vqvae.encode(batch, choose), strict=True):
                    grid[part] = codes.cpu().numpy()
                if tick is not None:
                    tick(len(batch))
        return out


def encoded_at_once(size: Sequence[int]) -> int:
    """How many images of ``size`` (H, W) go through the VQ-VAE together."""
    return max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
