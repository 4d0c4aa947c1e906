"""Small networks, made-up codes and the one check that every codec must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core import ans
from drrpack.core.codes import LEVELS, Codes, Levels
from drrpack.core.convolution import IntConv2d, IntConvTranspose2d
from drrpack.core.dense import IntLinear
from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextConfig
from drrpack.core.entropy.latents import LatentChain
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import BothLevels, LevelParts, NetworkConfig
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapConfig
from drrpack.core.freezing import freeze, int_layers
from drrpack.core.frequencies import Frequencies, frequency_tables, tables_to_bytes
from drrpack.core.int_layer import IntProduct
from drrpack.core.section import Section
from drrpack.core.streams import Level, StreamLayout
from drrpack.core.vqvae import VQVAE, VQVAEConfig, as_stored

Grid = NDArray[np.int64]
T = TypeVar("T")

SMALL = PhasedBitSwapConfig(
    codebook_size=32,
    latents=3,
    top_channels=2,
    bottom_channels=2,
    embedding=8,
    width=8,
    latent_width=8,
)

LATENTS = BitSwapConfig(
    codebook_size=32, latents=3, same_grid=1, channels=2, embedding=8, width=8, latent_width=8,
    prediction_width=8, weight_bits=6,
)  # fmt: skip


def without_latents(config: PhasedBitSwapConfig, **changes: int) -> ContextConfig:
    """The context model of the same sizes."""
    return ContextConfig(**{**asdict(config), "latents": 0, **changes})


CONTEXT = without_latents(SMALL, weight_bits=6)
SMALL_VQVAE = VQVAEConfig(channels=16, residual_channels=8, embedding=8, codebook_size=32)

HALVES = replace(SMALL_VQVAE, weight_bits=0, codebook_bits=0)  # as version 1.0 holds it


def check_codec(codec: ans.Codec[T], message: ans.Message, x: T) -> list[ans.Words]:
    """Push and pop give ``x`` and the message back, bit for bit; the words with ``x`` on top."""
    rows = np.arange(message.streams)
    before = ans.flatten(ans.take(message, rows))
    pushed = codec.push(ans.take(message, rows), x)
    words = ans.flatten(ans.take(pushed, rows))
    popped, found = codec.pop(pushed)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(x))
    after = ans.flatten(popped)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    return words


def filled_message(
    streams: int, lanes: int, words: int, seed: int = 0, ragged: bool = False
) -> ans.Message:
    """Messages with ``words`` random words in each tail, or up to twice as many where ragged."""
    rng = np.random.default_rng(seed)
    parts = []
    for row in range(streams):
        upper = rng.integers(0, 1 << 31, lanes, dtype=np.uint32)
        lower = rng.integers(1 << 31, 1 << 32, lanes, dtype=np.uint32)
        tail = rng.integers(0, 1 << 32, words * (1 + row % 2 * ragged), dtype=np.uint32)
        parts.append(np.concatenate([upper, lower, tail]))
    return ans.unflatten(parts, lanes)


def small_network(
    seed: int = 0, config: NetworkConfig = SMALL, carrier: torch.dtype = torch.float32
) -> BothLevels:
    """A frozen network whose weights are random, and large enough to matter in every output."""
    torch.manual_seed(seed)
    network = config.network()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, IntProduct):
                module.bias.normal_(std=0.3)
        for model in (network.top, network.bottom):
            if isinstance(model, LatentChain):
                model.last.normal_(std=0.5)
    freeze(network, carrier)
    return network


def small_model(codes: Codes, config: NetworkConfig = SMALL) -> NetworkModel:
    """The entropy model of a `small_network`, with the tables of some codes."""
    return small_network(config=config).model(frequency_tables(codes, config.codebook_size))


def first_version(
    network: BothLevels, tables: Levels[Frequencies], layouts: Levels[StreamLayout]
) -> Section:
    """Version 1.0 of an entropy model, which drrpack reads and no longer writes."""
    parts = []
    for layer in int_layers(network).values():
        arrays = layer.arrays()
        parts.append(arrays["weight"].astype("i1").tobytes())
        if "bias" in arrays:
            parts.append(arrays["bias"].astype("<i4").tobytes())
            parts.append(arrays["shift"].astype("i1").tobytes())
    for level in (network.top, network.bottom):
        parts.append(level.last_integers().astype("<i2").tobytes())
    parts.append(tables_to_bytes(tables))
    sizes = asdict(network.config)
    del sizes["weight_bits"]
    streams = {name: asdict(layouts[name]) for name in LEVELS}
    return Section("1.0", {**sizes, "streams": streams}, b"".join(parts))


def structured_codes(
    classes: list[int], shape: tuple[int, int], size: int, seed: int = 0
) -> list[Grid]:
    """For each class (images, H, W) codes: a few favourites, and neighbours that repeat."""
    rng = np.random.default_rng(seed)
    out = []
    for images in classes:
        favourites = rng.integers(0, size, 12)
        grid = favourites[rng.integers(0, 12, (images, *shape))]
        copied = rng.random(grid.shape) < 0.3
        grid = np.where(copied, np.roll(grid, 1, 2), grid)
        anything = rng.random(grid.shape) < 0.3
        out.append(np.where(anything, rng.integers(0, size, grid.shape), grid).astype(np.int64))
    return out


def frequency_table(codes: NDArray[np.integer], size: int) -> Frequencies:
    """The table (size,) of the codes of one level."""
    grids = codes.reshape(1, 1, -1)
    return frequency_tables(Codes.of(grids, grids), size).top


def level_of(
    model: LevelParts, codes: list[Grid], plain: int, group: int = 2, lanes: int = 4
) -> Level:
    """A level whose table comes from the codes themselves."""
    table = frequency_table(np.concatenate(codes), model.config.codebook_size)
    return Level(model, table, StreamLayout(plain, group, lanes))


def small_vqvae(seed: int = 0, config: VQVAEConfig = SMALL_VQVAE) -> VQVAE:
    """A random VQ-VAE, frozen, whose pictures span the range of pixels."""
    torch.manual_seed(seed)
    network = VQVAE(config)
    with torch.no_grad():
        last = network.decoder[-1]
        assert isinstance(last, torch.nn.ConvTranspose2d)
        last.weight.mul_(4.0)
    return as_stored(network)


def content_bits(message: ans.Message) -> float:
    """What the heads and the tails of a message hold, in bits."""
    heads = np.log2(message.head.astype(np.float64)).sum()
    return float(heads + 32 * message.tail_words.sum())


@contextmanager
def convolutions_run(
    *,
    micro_batch: int | None = None,
    channels_last: bool = False,
    mkldnn: bool = True,
    threads: int = 1,
) -> Iterator[None]:
    """Within it all integer layers run in these pieces, layout, library and threads."""

    def altered(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def convolve(self: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            grids = x.ndim == 4
            layout = torch.channels_last if channels_last and grids else torch.contiguous_format
            parts = x.split(micro_batch or len(x)) if len(x) else (x,)
            done = [original(self, p.contiguous(memory_format=layout), weight, bias) for p in parts]
            return torch.cat(done)

        return convolve

    threads_before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for kind in (IntConv2d, IntConvTranspose2d, IntLinear):
            patch.setattr(kind, "sums", altered(kind.sums))
        torch.set_num_threads(threads)
        patch.setattr(torch.backends.mkldnn, "enabled", mkldnn)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
