"""Hierarchical VQ-VAE: images <-> two grids of codes (paper sections 3.1 and 4, figure 4).

By the paper's strides a 32x32 image becomes a 4x4 top and an 8x8 bottom grid of indices into two
codebooks of 512. The network is fully convolutional, so any size goes: images are padded to a
multiple of the top stride.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.errors import OptionError
from drrpack.core.quantiser import Quantiser
from drrpack.core.settings import unfilled
from drrpack.core.stored import depth, size_or_none

STRIDE = 4  # the paper's; see `VQVAEConfig.stride`
STRIDES = (4, 8, 16)  # that a file may have


@dataclass(frozen=True)
class VQVAEConfig:
    """Size of the network. The defaults are the paper's: 1,388,867 parameters and two codebooks."""

    channels: int = 128
    residual_blocks: int = depth(2)
    residual_channels: int = 32
    embedding: int = 64
    codebook_size: int = 512
    commitment: float = 0.25  # weight of equation 4; VQ-VAE-2's value
    ema_decay: float = 0.99
    # Fractional bits of stored weights and codebooks: on such a grid a weight takes four bits once
    # it is packed, where half precision takes sixteen. 0 is half precision.
    weight_bits: int = depth(7, may_be_zero=True)
    codebook_bits: int = depth(8, may_be_zero=True)
    # pixels for one bottom code, along each side; a top code has twice that
    stride: int = depth(STRIDE)
    # After the first halving of an image's sides; each further one doubles them up to ``channels``.
    # 0 is half of these. Most of the work on a large image is where its sides are long.
    first_channels: int = size_or_none(0)

    def __post_init__(self) -> None:
        if self.channels < 2:  # some layers have half of them
            raise ValueError(f"{self.channels} channels, expected 2 at least")
        if bool(self.weight_bits) != bool(self.codebook_bits):
            raise ValueError("weights and codebooks are both on a grid, or neither is")
        if self.stride not in STRIDES:
            raise ValueError(f"a stride of {self.stride}, expected one of {STRIDES}")
        if self.stride != STRIDE and not self.weight_bits:  # the first version has no such stride
            raise ValueError(f"a stride of {self.stride} goes with weights on a grid alone")
        if self.first_channels and not self.weight_bits:
            raise ValueError("`first_channels` goes with weights on a grid alone")
        if not 0 <= self.first_channels <= self.channels == self.widths[-1]:
            raise ValueError(
                f"{self.first_channels} channels after the first halving are {self.widths[-1]} "
                f"after the last, expected {self.channels}"
            )

    @property
    def widths(self) -> list[int]:
        """Channels of the image, and after each halving of its sides down to the bottom codes."""
        halvings = self.stride.bit_length() - 1
        if not self.first_channels:
            return [3, self.channels // 2, *[self.channels] * (halvings - 1)]
        rising = (min(self.channels, self.first_channels << n) for n in range(1, halvings))
        return [3, self.first_channels, *rising]


# Whatever a process's default dtype is: see `drrpack.core.settings`.
Conv2d = partial(nn.Conv2d, dtype=torch.float32)
ConvTranspose2d = partial(nn.ConvTranspose2d, dtype=torch.float32)


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv3 = Conv2d(channels, hidden, 3, padding=1)
        self.conv1 = Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv1(F.relu(self.conv3(F.relu(x))))
        return out


def _residual_stack(config: VQVAEConfig) -> list[nn.Module]:
    blocks = range(config.residual_blocks)
    return [
        *(ResidualBlock(config.channels, config.residual_channels) for _ in blocks),
        nn.ReLU(),
    ]


def _encoder_bottom(config: VQVAEConfig) -> nn.Sequential:
    c, halvings = config.channels, list[nn.Module]()
    for inputs, outputs in pairwise(config.widths):
        halvings += [Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*halvings, Conv2d(c, c, 3, padding=1), *_residual_stack(config))


def _encoder_top(config: VQVAEConfig) -> nn.Sequential:
    c = config.channels
    return nn.Sequential(
        Conv2d(c, c // 2, 4, stride=2, padding=1),
        nn.ReLU(),
        Conv2d(c // 2, c, 3, padding=1),
        *_residual_stack(config),
    )


def _decoder_top(config: VQVAEConfig) -> nn.Sequential:
    c, d = config.channels, config.embedding
    return nn.Sequential(
        Conv2d(d, c, 3, padding=1),
        *_residual_stack(config),
        ConvTranspose2d(c, d, 4, stride=2, padding=1),
    )


def _decoder(config: VQVAEConfig) -> nn.Sequential:
    first = Conv2d(2 * config.embedding, config.channels, 3, padding=1)
    layers = [first, *_residual_stack(config)]
    for inputs, outputs in pairwise(reversed(config.widths)):
        layers += [ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # what gives the image has no ReLU


class DecoderLayers(NamedTuple):
    """The layers of `VQVAE.decoder` with weights, in their order."""

    first: nn.Conv2d
    blocks: list[ResidualBlock]
    doublings: list[nn.ConvTranspose2d]  # each doubles the sides; the last gives the image


# Codebook, feature maps (B, D, H, W), top codes where the bottom's are chosen -> codes (B, H, W)
Choose = Callable[[Quantiser, Tensor, Tensor | None], Tensor]


def _nearest(quantiser: Quantiser, z: Tensor, _: Tensor | None) -> Tensor:
    return quantiser.quantise(z)


class VQVAE(nn.Module):
    """The paper's lossy codec. ``encode`` gives codes, ``decode`` gives images back.

    Images are float (B, 3, H, W) in [-1, 1] with H and W multiples of the top stride T, which is
    twice that of the bottom; ``to_float`` and ``pad`` lead from pixels. Without an ``encoder`` a
    network only decodes, and has a third of the weights.
    """

    def __init__(self, config: VQVAEConfig | None = None, encoder: bool = True) -> None:
        super().__init__()
        self.config = config = config or VQVAEConfig()
        self.has_encoder = encoder
        c, d = config.channels, config.embedding
        if encoder:
            self.encoder_bottom = _encoder_bottom(config)
            self.encoder_top = _encoder_top(config)
            self.to_top = Conv2d(c, d, 1)
            self.decoder_top = _decoder_top(config)
            self.to_bottom = Conv2d(c + d, d, 1)
        self.upsample_top = ConvTranspose2d(d, d, 4, stride=2, padding=1)
        self.decoder = _decoder(config)
        self.top = Quantiser(config.codebook_size, d, config.ema_decay)
        self.bottom = Quantiser(config.codebook_size, d, config.ema_decay)

    def bottom_features(self, features: Tensor, embedded_top: Tensor) -> Tensor:
        """What the bottom codebook quantises: image features beside the decoded top."""
        joined = torch.cat([self.decoder_top(embedded_top), features], dim=1)
        out: Tensor = self.to_bottom(joined)
        return out

    def reconstruct(self, embedded_top: Tensor, embedded_bottom: Tensor) -> Tensor:
        """Embedded codes, top (B, D, H/T, W/T) and bottom (B, D, 2H/T, 2W/T), to images
        (B, 3, H, W)."""
        joined = torch.cat([self.upsample_top(embedded_top), embedded_bottom], dim=1)
        out: Tensor = self.decoder(joined)
        return out

    def encode(self, images: Tensor, choose: Choose | None = None) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) to codes: top (B, H/T, W/T) and bottom (B, 2H/T, 2W/T), int64.

        ``choose`` takes other codes than the nearest: see `drrpack.core.rdoq`.

        Raises OptionError if there is no encoder.
        """
        if not self.has_encoder:
            raise OptionError(
                "this codec has no encoder, as its file was written with `decoder_only`; "
                "take the file that has the whole codec"
            )
        choose = choose or _nearest
        features = self.encoder_bottom(images)
        top = choose(self.top, self.to_top(self.encoder_top(features)), None)
        bottom = choose(self.bottom, self.bottom_features(features, self.top.embed(top)), top)
        return top, bottom

    @property
    def decoder_layers(self) -> DecoderLayers:
        """The layers of the decoder, by what they do."""
        first, *others = self.decoder
        assert isinstance(first, nn.Conv2d)
        blocks = [layer for layer in others if isinstance(layer, ResidualBlock)]
        doublings = [layer for layer in others if isinstance(layer, nn.ConvTranspose2d)]
        return DecoderLayers(first, blocks, doublings)

    def without_encoder(self) -> VQVAE:
        """A copy that only decodes."""
        copy = unfilled(lambda: VQVAE(self.config, encoder=False))
        state = self.state_dict()
        copy.load_state_dict({name: state[name] for name in copy.state_dict()})
        return copy.eval().requires_grad_(False)

    def decode(self, top: Tensor, bottom: Tensor) -> Tensor:
        """Codes, top (B, H/T, W/T) and bottom (B, 2H/T, 2W/T) int64, to float images (B, 3, H, W).

        For pixels that are equal on every machine see `drrpack.core.pixels.PixelDecoder`.
        """
        return self.reconstruct(self.top.embed(top), self.bottom.embed(bottom))


def grid_bits(config: VQVAEConfig, name: str) -> int:
    """The fractional bits of the tensor called ``name`` in the state; 0 is half precision."""
    if name.endswith(".codebook"):
        return config.codebook_bits
    return config.weight_bits if name.endswith(".weight") else 0


def as_stored(network: VQVAE) -> VQVAE:
    """A copy on the CPU with every weight rounded to what will be stored, so that what is stored is
    what is used."""
    network = deepcopy(network).cpu().eval().requires_grad_(False)
    for name, tensor in network.state_dict().items():
        tensor.copy_(rounded(tensor, grid_bits(network.config, name)))
    return network


def rounded(tensor: Tensor, bits: int) -> Tensor:
    """The nearest multiples of ``2**-bits`` below 16 bits; half-precision numbers where 0."""
    if not bits:
        return tensor.half().float()
    limit = 2**11 - 1
    return (tensor * 2.0**bits).round().clamp(-limit, limit) * 2.0**-bits


def grid_shapes(height: int, width: int, stride: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes of the top and bottom code grids for images of ``height`` x ``width`` pixels, with
    ``stride`` pixels for one bottom code along each side."""
    rows, columns = -(-height // (2 * stride)), -(-width // (2 * stride))
    return (rows, columns), (2 * rows, 2 * columns)


def to_float(pixels: Tensor) -> Tensor:
    """Pixels uint8 (B, H, W, 3) to float (B, 3, H, W) in [-1, 1], channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def pad(images: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column of (B, 3, H, W) until both sides are multiples of the top
    stride, which is twice that of the bottom, ``stride``."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % (2 * stride), 0, -height % (2 * stride)), mode="replicate")


def perplexity(codes: Tensor, size: int) -> float:
    """Exponential of the entropy of the code histogram: how many codes are in real use."""
    p = torch.bincount(codes.flatten(), minlength=size).double()
    p = p[p > 0] / p.sum()
    return float((-(p * p.log()).sum()).exp())
