"""Entropy models that are networks, as values and as sections of a file.

Sizes are the config; all integers of all layers are the data. ``docs/format.md`` specifies the
versions: from 2.0 on integers are packed, and 3.0 has the same of other networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core import packing
from drrpack.core.codes import Levels
from drrpack.core.entropy.model import Prices
from drrpack.core.entropy.networks import BothLevels, LevelParts, NetworkConfig
from drrpack.core.errors import CorruptError
from drrpack.core.exact import WEIGHT_BITS_MAX
from drrpack.core.freezing import freeze, int_layers, use_int8
from drrpack.core.frequencies import Tables, tables_from_bytes, tables_to_bytes
from drrpack.core.int_layer import Arrays, IntProduct
from drrpack.core.section import Json, is_before
from drrpack.core.settings import own_settings, skeleton
from drrpack.core.stored import Blob, check_count, sizes_from, wrong_size

FAST_FROM = 256  # places from which on eight-bit kernels are faster
TABLE_MAX = 1 << 26  # numbers that a frozen model makes of its weights, to look up


@dataclass(frozen=True)
class NetworkModel:
    """Frozen networks, which nobody changes from then on, and the tables of the images that start a
    stream."""

    kind: ClassVar[str]
    versions: ClassVar[tuple[str, ...]]
    config_type: ClassVar[type[NetworkConfig]]

    network: BothLevels
    tables: Tables

    @property
    def codebook_size(self) -> int:
        return self.network.config.codebook_size

    @property
    def levels(self) -> Levels[LevelParts]:
        return self.network.levels

    @property
    def prices(self) -> Prices | None:
        """A model with latents can't tell what one code costs."""
        return None

    @own_settings()
    def on(self, device: torch.device, carrier: torch.dtype) -> Self:
        """A copy of the networks there, by eight-bit kernels where these are exact."""
        network = deepcopy(self.network).to(device)
        freeze(network, carrier)
        use_int8(network, FAST_FROM)
        return replace(self, network=network)

    def with_tables(self, tables: Tables) -> Self:
        """The same networks with the tables of other codes."""
        return replace(self, tables=tables)

    @own_settings()
    def pack(self) -> tuple[Json, bytes]:
        """The sizes of the networks; the tables, then all integers packed."""
        layers = [layer.arrays() for layer in int_layers(self.network).values()]
        weights = [arrays["weight"] for arrays in layers]
        biases = _joined([arrays["bias"] for arrays in layers if "bias" in arrays])
        shifts = _joined([arrays["shift"] for arrays in layers if "shift" in arrays])
        last = _joined([level.last_integers() for level in _both(self.network)])
        data = packing.pack([*weights, biases >> 8, biases & 255, shifts, last])
        return asdict(self.network.config), tables_to_bytes(self.tables) + data

    @classmethod
    @own_settings()
    def unpack(cls, version: str, config: Json, data: bytes) -> Self:
        """The inverse of `pack`, of any version.

        Raises:
            CorruptError: the config is not one of ours, or the weights are of another network.
            ExactnessError: the weights break the bound under which sums are exact.
        """
        old = is_before(version, 2)
        before: Json = {"weight_bits": WEIGHT_BITS_MAX} if old else {}
        sizes = sizes_from(cls.config_type, {**config, **before})
        if sizes.table_size > TABLE_MAX:
            raise CorruptError(
                f"an entropy model's config asks for tables of {sizes.table_size} numbers, "
                f"expected {TABLE_MAX} at most"
            )
        network = skeleton(sizes.network)
        check_count(network)
        integers = (_read_1 if old else _read_2)(network, data)
        network.to_empty(device="cpu")
        for layer, arrays in zip(int_layers(network).values(), integers.layers, strict=True):
            layer.load_arrays(arrays)
        for level, last in zip(_both(network), integers.last, strict=True):
            level.load_last(last)
        freeze(network)
        return cls(network, integers.tables)


class _Integers(NamedTuple):
    """The integers of both levels."""

    layers: list[Arrays]
    last: list[NDArray[np.integer]]
    tables: Tables


def _read_1(network: BothLevels, data: bytes) -> _Integers:
    """Version 1.0: int8 weights, int32 biases, int8 shifts of each layer; priors; tables."""
    layers, lasts = int_layers(network).values(), _last_sizes(network)
    tables_size = 4 * network.config.codebook_size
    size = sum(layer.weight.numel() for layer in layers)
    size += sum(5 * layer.bias.numel() for layer in layers if isinstance(layer, IntProduct))
    size += 2 * sum(lasts) + tables_size
    if len(data) != size:
        raise wrong_size(data, size)
    blob, found = Blob(data), list[Arrays]()
    for layer in layers:
        found.append({"weight": blob.integers("i1", tuple(layer.weight.shape))})
        if isinstance(layer, IntProduct):
            outputs = tuple(layer.bias.shape)
            bias, shift = blob.integers("<i4", outputs), blob.integers("i1", outputs)
            found[-1] |= {"bias": bias, "shift": shift}
    last = [blob.integers("<i2", (count,)) for count in lasts]
    tables = tables_from_bytes(data[-tables_size:], network.config.codebook_size)
    return _Integers(found, last, tables)


def _read_2(network: BothLevels, data: bytes) -> _Integers:
    """Versions 2.0 and 3.0: the tables, then everything else packed."""
    layers, lasts = int_layers(network).values(), _last_sizes(network)
    tables_size = 4 * network.config.codebook_size
    if len(data) < tables_size:
        raise wrong_size(data, tables_size)
    tables = tables_from_bytes(data[:tables_size], network.config.codebook_size)
    outputs = [layer.bias.numel() if isinstance(layer, IntProduct) else 0 for layer in layers]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    *weights, high, low, shifts, last = packing.unpack(
        data[tables_size:], [*shapes, *3 * [(sum(outputs),)], (sum(lasts),)]
    )
    ends = np.cumsum(outputs)[:-1]
    biases, shifts_of = np.split(high * 256 + low, ends), np.split(shifts, ends)
    found = [
        {"weight": weight} | ({"bias": bias, "shift": shift} if len(bias) else {})
        for weight, bias, shift in zip(weights, biases, shifts_of, strict=True)
    ]
    return _Integers(found, np.split(last, lasts[:1]), tables)


def _both(network: BothLevels) -> tuple[LevelParts, LevelParts]:
    return network.top, network.bottom


def _last_sizes(network: BothLevels) -> list[int]:
    """How many parameters the p over the last latent has at each level."""
    return [level.last_size for level in _both(network)]


def _joined(arrays: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    return np.concatenate([array.reshape(-1) for array in arrays]).astype(np.int64)
