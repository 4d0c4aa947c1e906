"""Models as bytes and back: a JSON-able config that fixes every shape, and one blob of tensors.

Both directions are pure; files are the container's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core import packing
from drrpack.core.entropy.code_model import KNOWN_REACH, BitSwap, BitSwapConfig
from drrpack.core.errors import CorruptError
from drrpack.core.exact import WEIGHT_BITS_MAX, IntEmbedding, freeze, int_layers
from drrpack.core.pixels import ActivationBits
from drrpack.core.settings import own_settings, skeleton
from drrpack.core.streams import TABLE_PRECISION, StreamLayout
from drrpack.core.vqvae import VQVAE, VQVAEConfig, grid_bits

Config = dict[str, Any]
# Of the numbers in a config: no honest model comes near, a hostile one stops here. Depths count
# layers, and thousands of layers take seconds to build even where they hold nothing.
SIZE_LIMIT = 4096
DEPTH_LIMIT = 64
# Weights that are all alike take next to no bytes, so bytes bound nothing. The paper's VQ-VAE has
# 1.4 million.
WEIGHTS_MAX = 1 << 23
KNOWN_TABLES_MAX = 1 << 26  # numbers that a frozen entropy model makes of its weights, to look up
DEPTHS = ("latents", "blocks", "residual_blocks", "weight_bits", "codebook_bits")
MAY_BE_ZERO = ("latents", "weight_bits", "codebook_bits")


class Model(NamedTuple):
    """A model as a file holds it. ``docs/format.md`` lists what each version means."""

    version: str
    config: Config
    data: bytes


class Stored(Protocol):
    """A `Model`, or whatever else has its parts."""

    @property
    def version(self) -> str: ...
    @property
    def config(self) -> Config: ...
    @property
    def data(self) -> bytes: ...


# --- VQ-VAE ---------------------------------------------------------------------------------------


@own_settings()
def pack_vqvae(network: VQVAE, bits: ActivationBits) -> Model:
    """A frozen VQ-VAE; the moving averages stay behind.

    Version 1.0 holds half-precision numbers, 2.0 the integers that `VQVAEConfig.weight_bits` makes
    of them.
    """
    sizes = network.config
    config = {**asdict(sizes), "activation_bits": bits.to_json()}
    tensors = _vqvae_tensors(network)
    if not sizes.weight_bits:
        del config["weight_bits"], config["codebook_bits"]
        return Model("1.0", config, b"".join(map(_halves, tensors.values())))
    on_grid = {name: t for name, t in tensors.items() if grid_bits(sizes, name)}
    rest = b"".join(_halves(t) for name, t in tensors.items() if name not in on_grid)
    integers = [
        (tensor.cpu().double() * 2.0 ** grid_bits(sizes, name)).numpy().astype(np.int64)
        for name, tensor in on_grid.items()
    ]
    config["encoder"] = network.has_encoder
    return Model("2.0", config, rest + packing.pack(integers))


@own_settings()
def unpack_vqvae(model: Stored) -> tuple[VQVAE, ActivationBits]:
    """The inverse of `pack_vqvae`.

    Raises:
        CorruptError: the config is not one of ours, or the weights are not those of its network.
    """
    bits = _parse(lambda: ActivationBits.from_json(model.config["activation_bits"]))
    first = {"weight_bits": 0, "codebook_bits": 0, "encoder": True}  # all that 1.0 knows
    config = {**model.config, **(first if model.version.startswith("1.") else {})}
    sizes = _config(VQVAEConfig, config)
    if len(bits.hidden) != sizes.residual_blocks:
        found = f"{len(bits.hidden)} residual blocks have activation bits"
        raise CorruptError(f"{found}, the VQ-VAE has {sizes.residual_blocks}")
    encoder = config.get("encoder")
    if not isinstance(encoder, bool):
        raise CorruptError(f"a model's config says encoder = {encoder!r}, which can't be")
    network = skeleton(lambda: VQVAE(sizes, encoder))
    _check_count(network)
    values = _vqvae_values(network, model.data)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in _vqvae_tensors(network).items():
            tensor.copy_(torch.from_numpy(values[name]))
    for quantiser in (network.top, network.bottom):
        quantiser.start_averages()
    return network.eval().requires_grad_(False), bits


def _vqvae_values(network: VQVAE, data: bytes) -> dict[str, NDArray[np.float32]]:
    """The weights by their names, for a network whose tensors have shapes alone."""
    shapes = {name: tuple(tensor.shape) for name, tensor in _vqvae_tensors(network).items()}
    grids = {name: bits for name in shapes if (bits := grid_bits(network.config, name))}
    halves = [name for name in shapes if name not in grids]
    size = 2 * sum(math.prod(shapes[name]) for name in halves)
    if len(data) < size or (not grids and len(data) > size):
        raise _wrong_size(data, size)
    blob = _Blob(data)
    values = {name: blob.read("<f2", shapes[name]).astype(np.float32) for name in halves}
    if not all(np.isfinite(array).all() for array in values.values()):
        raise CorruptError("the VQ-VAE has weights that are no finite numbers")
    if grids:
        found = packing.unpack(data[size:], [shapes[name] for name in grids])
        for name, array in zip(grids, found, strict=True):
            values[name] = (array * 2.0 ** -grids[name]).astype(np.float32)
    return values


def _vqvae_tensors(network: VQVAE) -> dict[str, torch.Tensor]:
    averages = (".usage", ".total")
    state: dict[str, torch.Tensor] = network.state_dict()
    return {name: t for name, t in state.items() if not name.endswith(averages)}


def _halves(tensor: torch.Tensor) -> bytes:
    data: bytes = tensor.cpu().half().numpy().astype("<f2").tobytes()
    return data


# --- the entropy model ----------------------------------------------------------------------------

LEVELS = ("top", "bottom")
Tables = dict[str, NDArray[np.uint32]]


@own_settings()
def pack_bitswap(
    network: BitSwap, tables: Mapping[str, NDArray[np.uint32]], layouts: Mapping[str, StreamLayout]
) -> Model:
    """A frozen entropy model, its tables and the layout of the streams."""
    kept = {name: asdict(layouts[name]) for name in LEVELS}
    plain = b"".join(tables[name].astype("<u2").tobytes() for name in LEVELS)
    layers = [layer.arrays() for layer in int_layers(network).values()]
    weights = [arrays["weight"] for arrays in layers]
    biases = _joined([arrays["bias"] for arrays in layers if "bias" in arrays])
    shifts = _joined([arrays["shift"] for arrays in layers if "shift" in arrays])
    last = _joined([getattr(network, name).last_integers() for name in LEVELS])
    data = packing.pack([*weights, biases >> 8, biases & 255, shifts, last])
    return Model("2.0", {**asdict(network.config), "streams": kept}, plain + data)


@own_settings()
def unpack_bitswap(
    model: Stored, carrier: torch.dtype = torch.float32
) -> tuple[BitSwap, Tables, dict[str, StreamLayout]]:
    """The inverse of `pack_bitswap`; the network is frozen in ``carrier``.

    Raises:
        CorruptError: the config is not one of ours, or the weights are not those of its network.
        ExactnessError: the weights break the bound under which sums are exact.
    """
    layouts = {name: _layout(model.config, name) for name in LEVELS}
    old = model.version.startswith("1.")
    before = {"weight_bits": WEIGHT_BITS_MAX} if old else {}
    sizes = _config(BitSwapConfig, {**model.config, **before})
    _check_tables(sizes)
    network = skeleton(lambda: BitSwap(sizes))
    _check_count(network)
    arrays = (_read_1 if old else _read_2)(network, model.data)
    network.to_empty(device="cpu")
    for layer, values in zip(int_layers(network).values(), arrays.layers, strict=True):
        layer.load_arrays(values)
    for name in LEVELS:
        getattr(network, name).load_last(arrays.last[name])
    freeze(network, carrier)
    return network, arrays.tables, layouts


class _Arrays(NamedTuple):
    """The integers of an entropy model."""

    layers: list[dict[str, NDArray[Any]]]
    last: dict[str, NDArray[Any]]
    tables: Tables


def _read_1(network: BitSwap, data: bytes) -> _Arrays:
    """Version 1.0: int8 weights, int32 biases, int8 shifts of each layer; priors; tables."""
    layers = int_layers(network).values()
    size = sum(layer.weight.numel() for layer in layers)
    size += sum(5 * layer.bias.numel() for layer in layers if not isinstance(layer, IntEmbedding))
    size += 2 * sum(_last_size(network, name) for name in LEVELS)
    size += 2 * len(LEVELS) * network.config.codebook_size
    if len(data) != size:
        raise _wrong_size(data, size)
    blob, found = _Blob(data), []
    for layer in layers:
        found.append({"weight": blob.read("i1", tuple(layer.weight.shape))})
        if not isinstance(layer, IntEmbedding):
            outputs = tuple(layer.bias.shape)
            found[-1] |= {"bias": blob.read("<i4", outputs), "shift": blob.read("i1", outputs)}
    last = {name: blob.read("<i2", (_last_size(network, name),)) for name in LEVELS}
    tables = {name: _table(blob, network.config.codebook_size) for name in LEVELS}
    return _Arrays(found, last, tables)


def _read_2(network: BitSwap, data: bytes) -> _Arrays:
    """Version 2.0: the tables, then everything else packed."""
    layers = int_layers(network).values()
    size = 2 * len(LEVELS) * network.config.codebook_size
    if len(data) < size:
        raise _wrong_size(data, size)
    blob = _Blob(data)
    tables = {name: _table(blob, network.config.codebook_size) for name in LEVELS}
    outputs = [0 if isinstance(layer, IntEmbedding) else layer.bias.numel() for layer in layers]
    last_sizes = [_last_size(network, name) for name in LEVELS]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    *weights, high, low, shifts, last = packing.unpack(
        data[size:], [*shapes, *3 * [(sum(outputs),)], (sum(last_sizes),)]
    )
    ends = np.cumsum(outputs)[:-1]
    biases, shifts_of = np.split(high * 256 + low, ends), np.split(shifts, ends)
    found = [
        {"weight": weight} | ({"bias": bias, "shift": shift} if len(bias) else {})
        for weight, bias, shift in zip(weights, biases, shifts_of, strict=True)
    ]
    return _Arrays(found, dict(zip(LEVELS, np.split(last, last_sizes[:1]), strict=True)), tables)


def _last_size(network: BitSwap, name: str) -> int:
    size: int = getattr(network, name).last.numel()
    return size


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([array.reshape(-1) for array in arrays]).astype(np.int64)


# --- both -----------------------------------------------------------------------------------------


def _check_count(network: VQVAE | BitSwap) -> None:
    """Refuse a model that is out of all proportion, before there is room for its weights."""
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    if count > WEIGHTS_MAX:
        raise CorruptError(
            f"a model's config asks for {count} weights, expected {WEIGHTS_MAX} at most"
        )


def _check_tables(sizes: BitSwapConfig) -> None:
    count = (2 * KNOWN_REACH + 1) ** 2 * sizes.codebook_size * sizes.prediction_width
    if count > KNOWN_TABLES_MAX:
        raise CorruptError(
            f"an entropy model's config asks for tables of {count} numbers, expected "
            f"{KNOWN_TABLES_MAX} at most"
        )


def _wrong_size(data: bytes, wanted: int) -> CorruptError:
    return CorruptError(
        f"a model section has {len(data)} bytes of weights; its config asks for {wanted}"
    )


def _table(blob: _Blob, size: int) -> NDArray[np.uint32]:
    table = blob.read("<u2", (size,)).astype(np.uint32)
    if table.min() < 1 or table.sum() != 1 << TABLE_PRECISION:
        raise CorruptError("a frequency table of the entropy model does not add up")
    return table


class _Blob:
    """Reads arrays one after the other, of which there must be enough."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def read(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        count = int(np.prod(shape))
        size = count * np.dtype(dtype).itemsize
        array = np.frombuffer(self.data, dtype, count, self.offset).reshape(shape)
        self.offset += size
        return array


def _parse(make: Any) -> Any:
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"a model's config is not valid: {error!r}") from error


def _config(kind: Any, config: Mapping[str, Any]) -> Any:
    """The dataclass ``kind`` from JSON, every number within its limits."""
    values = _parse(lambda: {field.name: config[field.name] for field in fields(kind)})
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = isinstance(value, int) or isinstance(getattr(kind, name), float)
        limit = DEPTH_LIMIT if name in DEPTHS else SIZE_LIMIT
        zero = name in MAY_BE_ZERO and value == 0
        if not number or not whole or not (0 < value <= limit or zero):
            raise CorruptError(f"a model's config says {name} = {value!r}, which can't be")
    return _parse(lambda: kind(**values))


def _layout(config: Mapping[str, Any], name: str) -> StreamLayout:
    kept = _parse(lambda: config["streams"][name])
    names = [field.name for field in fields(StreamLayout)]
    values = _parse(lambda: [kept[field] for field in names])
    plain, group, lanes = values
    if not all(type(v) is int for v in values) or plain < 0 or plain > 2**31:
        raise CorruptError(f"a stream layout is {kept!r}, which can't be")
    if not (1 <= group <= SIZE_LIMIT and 1 <= lanes <= SIZE_LIMIT):
        raise CorruptError(f"a stream layout is {kept!r}, which can't be")
    return StreamLayout(plain, group, lanes)
