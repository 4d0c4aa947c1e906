"""Codes to pixels in integers: the decoder of a stored VQ-VAE, with the same bytes everywhere.

A float decoder gives pixels that differ by one level between batch sizes, threads and machines,
and then a data loader with workers differs from one without. The integer form of the same weights
(`drrpack.core.exact`) costs little quality, which `benchmarks` records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.by_rows import by_rows
from drrpack.core.convolution import IntConv2d, IntConvTranspose2d
from drrpack.core.exact import (
    ACTIVATION_MAX,
    WEIGHT_MAX,
    relu,
    round_half_up,
)
from drrpack.core.freezing import freeze, use_int8
from drrpack.core.int_layer import IntProduct
from drrpack.core.settings import float_arithmetic, skeleton
from drrpack.core.vqvae import VQVAE, ResidualBlock

Made = TypeVar("Made", bound=IntProduct)

NOTHING = 1e-3  # an activation below that is no scale to go by
LEAST_BITS, MOST_BITS = -8, 16  # of an activation: no honest network comes near
RESIDUAL_MAX = 4095
PIXEL_BITS = 12  # an output of 1.0 is 4096; then 127.5 levels


@dataclass(frozen=True)
class ActivationBits:
    """Fractional bits of each activation: a power-of-two scale that just holds its range."""

    top: int  # embedded top codes
    joined: int  # the upsampled top beside the embedded bottom codes
    residual: int
    hidden: tuple[int, ...]  # inside each residual block
    upsampled: tuple[int, ...]  # after each doubling of the sides but the last

    def to_json(self) -> dict[str, object]:
        """As files have it: where a single scale is ``upsampled``, it stands there alone."""
        one = len(self.upsampled) == 1
        return {**asdict(self), "upsampled": self.upsampled[0] if one else self.upsampled}

    @staticmethod
    def from_json(kept: object) -> ActivationBits:
        """The inverse of `to_json`. Raises ValueError for anything else than small integers."""
        if not isinstance(kept, dict):
            raise ValueError(f"activation bits are {kept!r}, expected an object")
        hidden, upsampled = kept["hidden"], kept["upsampled"]
        if not isinstance(hidden, list | tuple):
            raise ValueError("activation bits of the residual blocks are no list")
        upsampled = upsampled if _several(upsampled) else [upsampled]
        single = [kept[name] for name in ("top", "joined", "residual")]
        for bits in (*single, *hidden, *upsampled):
            if type(bits) is not int or not LEAST_BITS <= bits <= MOST_BITS:
                found, limits = f"activation bits are {bits!r}", f"{LEAST_BITS} to {MOST_BITS}"
                raise ValueError(f"{found}, expected {limits}")
        top, joined, residual = (int(str(b)) for b in single)
        return ActivationBits(top, joined, residual, tuple(hidden), tuple(upsampled))


def _several(upsampled: object) -> bool:
    return isinstance(upsampled, list | tuple) and len(upsampled) > 1


@float_arithmetic()
@torch.inference_mode()
def calibrate(network: VQVAE, top: Tensor, bottom: Tensor) -> ActivationBits:
    """Choose the scales from the activations that codes (B, H, W) of real images cause."""
    raised = network.upsample_top(network.top.embed(top))
    joined = torch.cat([raised, network.bottom.embed(bottom)], 1)
    first, blocks, doublings = network.decoder_layers
    hidden, residuals = [], [first(joined)]
    for block in blocks:
        hidden.append(_bits(F.relu(block.conv3(F.relu(residuals[-1]))), ACTIVATION_MAX))
        residuals.append(block(residuals[-1]))
    raised_further = [F.relu(residuals[-1])]
    for up in doublings[:-1]:
        raised_further.append(F.relu(up(raised_further[-1])))
    return ActivationBits(
        top=_bits(network.top.codebook, WEIGHT_MAX),
        joined=min(_bits(raised, WEIGHT_MAX), _bits(network.bottom.codebook, WEIGHT_MAX)),
        residual=min(_bits(F.relu(r), ACTIVATION_MAX) for r in residuals),
        hidden=tuple(hidden),
        upsampled=tuple(_bits(x, ACTIVATION_MAX) for x in raised_further[1:]),
    )


def _bits(x: Tensor, limit: int) -> int:
    """The finest power of two at which all but one value in 20,000 stay within ``limit``."""
    values = x.abs().flatten()
    keep = max(1, int(len(values) * (1 - 1 / 20_000)))
    largest = values.kthvalue(keep).values
    if largest < NOTHING:  # a block that is always off: any scale does that its weights can reach
        largest = torch.ones((), dtype=torch.float32)
    finest = int(torch.frexp(limit / largest.double()).exponent) - 1
    return min(max(finest, LEAST_BITS), MOST_BITS)


class PixelDecoder(nn.Module):
    """Codes to pixels. Frozen when made; integers throughout.

    Args:
        network: a VQ-VAE with fp16-valued weights.
        carrier: float32 is exact on CPUs; float64 where convolutions may use transforms.
    """

    top_table: Tensor
    bottom_table: Tensor

    def __init__(
        self, network: VQVAE, bits: ActivationBits, carrier: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.bits, self.carrier, self._widest = bits, carrier, _widest(network)
        self._reach = _reach(network)
        self.raise_top = _transposed(
            network.upsample_top, WEIGHT_MAX, bits.top, bits.joined, WEIGHT_MAX
        )
        first, blocks, doublings = network.decoder_layers
        self.first = _conv(first, WEIGHT_MAX, bits.joined, bits.residual, RESIDUAL_MAX)
        self.blocks = nn.ModuleList(
            _Block(block, bits.residual, hidden)
            for block, hidden in zip(blocks, bits.hidden, strict=True)
        )
        scales = pairwise([bits.residual, *bits.upsampled])
        self.ups = nn.ModuleList(
            _transposed(up, ACTIVATION_MAX, *scale, ACTIVATION_MAX, low=0)
            for up, scale in zip(doublings[:-1], scales, strict=True)
        )
        self.out = _transposed(
            doublings[-1], ACTIVATION_MAX, bits.upsampled[-1], PIXEL_BITS, 2 * 2**PIXEL_BITS
        )
        for name, quantiser, scale in (
            ("top_table", network.top, bits.top), ("bottom_table", network.bottom, bits.joined)
        ):  # fmt: skip
            table = _table(quantiser.codebook, scale).to(carrier)
            self.register_buffer(name, table, persistent=False)
        freeze(self, carrier)

    def forward(self, top: Tensor, bottom: Tensor) -> Tensor:
        """Codes, top (B, H/T, W/T) and bottom (B, 2H/T, 2W/T) int64, to pixels uint8 (B, H, W, 3),
        T being the top stride.

        Large images are decoded some rows at a time. Call inside
        `drrpack.core.exact.exact_arithmetic`.
        """
        _, rows, columns = top.shape
        below = bottom.view(-1, rows, 2, 2 * columns).transpose(1, 2)  # (B, 2, H/T, 2W/T)
        return by_rows(self._of_rows, (top, below), self._reach, self._widest).permute(0, 2, 3, 1)

    def _of_rows(self, top: Tensor, below: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) of top codes (B, H/T, W/T), and both rows of bottom codes below each
        of their rows, (B, 2, H/T, 2W/T)."""
        bottom = below.transpose(1, 2).flatten(1, 2)
        raised = self.raise_top(F.embedding(top, self.top_table).permute(0, 3, 1, 2))
        embedded = F.embedding(bottom, self.bottom_table).permute(0, 3, 1, 2)
        hidden = self.first(torch.cat([raised, embedded], 1))
        for block in self.blocks:
            hidden = block(hidden)
        hidden = relu(hidden)
        for up in self.ups:
            hidden = up(hidden)
        pixels = torch.floor((self.out(hidden) * 255 + 2**20) * 2.0**-13).clamp_(0, 255)
        return pixels.to(torch.uint8)

    def move(self, device: torch.device) -> PixelDecoder:
        """This decoder, moved to ``device`` and computing by eight-bit kernels where they are
        exact."""
        self.to(device)
        use_int8(self, in_bytes=True)
        return self


def _widest(network: VQVAE) -> int:
    """Numbers of the largest feature map of the decoder, for each top code."""
    config = network.config
    rising = enumerate(reversed(config.widths), start=1)  # sides are doubled once, twice, ...
    return max(4 * 2 * config.embedding, *(width << 2 * doubled for doubled, width in rising))


def _reach(network: VQVAE) -> int:
    """Rows of top codes, on each side, that a pixel depends on."""
    _, blocks, _ = network.decoder_layers
    beside = 1 + len(blocks) + 2  # rows of bottom codes: convolutions 3 wide, and all doublings
    return 1 + -(-beside // 2)


class _Block(nn.Module):
    def __init__(self, block: ResidualBlock, residual: int, hidden: int) -> None:
        super().__init__()
        limit = ACTIVATION_MAX
        self.conv3 = _conv(block.conv3, limit, residual, hidden, limit, low=0)
        self.conv1 = _conv(block.conv1, limit, hidden, residual, RESIDUAL_MAX)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv1(self.conv3(relu(x)))
        return out.add_(x)


def _conv(
    layer: nn.Conv2d, in_max: int, in_bits: int, out_bits: int, high: int, low: int | None = None
) -> IntConv2d:
    low = -high if low is None else low
    made = skeleton(lambda: IntConv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size[0],
        in_max=in_max, in_bits=in_bits, out_bits=out_bits, low=low, high=high,
    ))  # fmt: skip
    return _filled(made, layer)


def _transposed(
    layer: nn.ConvTranspose2d, in_max: int, in_bits: int, out_bits: int, high: int,
    low: int | None = None,
) -> IntConvTranspose2d:  # fmt: skip
    low = -high if low is None else low
    made = skeleton(lambda: IntConvTranspose2d(
        layer.in_channels, layer.out_channels,
        in_max=in_max, in_bits=in_bits, out_bits=out_bits, low=low, high=high,
    ))  # fmt: skip
    return _filled(made, layer)


def _filled(made: Made, layer: nn.Conv2d | nn.ConvTranspose2d) -> Made:
    assert layer.bias is not None
    made.weight, made.bias = (
        nn.Parameter(tensor.detach().to("cpu", torch.float32, copy=True).contiguous())
        for tensor in (layer.weight, layer.bias)
    )
    return made


def _table(codebook: Tensor, bits: int) -> Tensor:
    return round_half_up(codebook.detach() * 2.0**bits).clamp(-WEIGHT_MAX, WEIGHT_MAX)
