"""Models as bytes and back: a JSON-able config that fixes every shape, and one blob of tensors.

``docs/format.md`` lists the order. Both directions are pure; files are the container's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.code_model import BitSwap, BitSwapConfig
from drrpack.errors import CorruptError
from drrpack.exact import IntEmbedding, freeze, int_layers
from drrpack.pixels import ActivationBits
from drrpack.streams import TABLE_PRECISION, StreamLayout
from drrpack.vqvae import VQVAE, VQVAEConfig

Config = dict[str, Any]
Network = TypeVar("Network", VQVAE, BitSwap)
# Of the numbers in a config: no honest model comes near, a hostile one stops here. Depths count
# layers, and thousands of layers take seconds to build even where they hold nothing.
SIZE_LIMIT = 4096
DEPTH_LIMIT = 64
DEPTHS = ("latents", "blocks", "residual_blocks")


def pack_vqvae(network: VQVAE, bits: ActivationBits) -> tuple[Config, bytes]:
    """Config and fp16 blob of a frozen VQ-VAE; the moving averages stay behind."""
    config = {**asdict(network.config), "activation_bits": bits.to_json()}
    tensors = _vqvae_tensors(network).values()
    return config, b"".join(t.cpu().half().numpy().astype("<f2").tobytes() for t in tensors)


def unpack_vqvae(config: Mapping[str, Any], data: bytes) -> tuple[VQVAE, ActivationBits]:
    """The inverse of `pack_vqvae`.

    Raises:
        CorruptError: the config is not one of ours, or the blob has another size.
    """
    bits = _parse(lambda: ActivationBits.from_json(config["activation_bits"]))
    sizes = _config(VQVAEConfig, config)
    if len(bits.hidden) != sizes.residual_blocks:
        found = f"{len(bits.hidden)} residual blocks have activation bits"
        raise CorruptError(f"{found}, the VQ-VAE has {sizes.residual_blocks}")
    network = _build(VQVAE, sizes, data, _vqvae_bytes)
    blob = _Blob(data)
    with torch.no_grad():
        for tensor in _vqvae_tensors(network).values():
            values = blob.read("<f2", tuple(tensor.shape)).astype(np.float32)
            if not np.isfinite(values).all():
                raise CorruptError("the VQ-VAE has weights that are no finite numbers")
            tensor.copy_(torch.from_numpy(values))
    for quantiser in (network.top, network.bottom):
        quantiser.start_averages()
    return network.eval().requires_grad_(False), bits


def _vqvae_tensors(network: VQVAE) -> dict[str, torch.Tensor]:
    averages = (".usage", ".total")
    state: dict[str, torch.Tensor] = network.state_dict()
    return {name: t for name, t in state.items() if not name.endswith(averages)}


def _vqvae_bytes(network: VQVAE) -> int:
    return sum(2 * tensor.numel() for tensor in _vqvae_tensors(network).values())


def _bitswap_bytes(network: BitSwap) -> int:
    """int8 weights, with int32 bias and int8 shift for each channel; then priors and tables."""
    layers = int_layers(network).values()
    size = sum(layer.weight.numel() for layer in layers)
    size += sum(5 * layer.bias.numel() for layer in layers if not isinstance(layer, IntEmbedding))
    priors = network.top.last.numel() + network.bottom.last.numel()
    return size + 2 * priors + 2 * len(LEVELS) * network.config.codebook_size


def _build(
    kind: Callable[[Any], Network], sizes: Any, data: bytes, count: Callable[[Network], int]
) -> Network:
    """The network, its tensors not filled yet, if ``data`` has the size that it needs; before that
    nothing is allocated."""
    with torch.device("meta"):
        network = kind(sizes)
    wanted = count(network)
    if wanted != len(data):
        raise CorruptError(
            f"a model section has {len(data)} bytes of weights; its config asks for {wanted}"
        )
    return network.to_empty(device="cpu")


LEVELS = ("top", "bottom")


def pack_bitswap(
    network: BitSwap,
    tables: Mapping[str, NDArray[np.uint32]],
    layouts: Mapping[str, StreamLayout],
) -> tuple[Config, bytes]:
    """Config and integer blob of a frozen Bit-Swap, its tables and the layout of the streams."""
    layers = int_layers(network).values()
    parts = [_little_endian(a) for layer in layers for a in layer.arrays().values()]
    parts += [getattr(network, name).last_integers().astype("<i2").tobytes() for name in LEVELS]
    parts += [tables[name].astype("<u2").tobytes() for name in LEVELS]
    kept = {name: asdict(layouts[name]) for name in LEVELS}
    return {**asdict(network.config), "streams": kept}, b"".join(parts)


def unpack_bitswap(
    config: Mapping[str, Any], data: bytes, carrier: torch.dtype = torch.float32
) -> tuple[BitSwap, dict[str, NDArray[np.uint32]], dict[str, StreamLayout]]:
    """The inverse of `pack_bitswap`; the network is frozen in ``carrier``.

    Raises:
        CorruptError: the config is not one of ours, or the blob has another size.
        ExactnessError: the weights break the bound under which sums are exact.
    """
    layouts = {name: _layout(config, name) for name in LEVELS}
    network = _build(BitSwap, _config(BitSwapConfig, config), data, _bitswap_bytes)
    blob = _Blob(data)
    for layer in int_layers(network).values():
        if isinstance(layer, IntEmbedding):
            layer.load_arrays({"weight": blob.read("i1", tuple(layer.weight.shape))})
            continue
        shape = tuple(layer.weight.shape)
        weight, bias = blob.read("i1", shape), blob.read("<i4", shape[:1])
        layer.load_arrays({"weight": weight, "bias": bias, "shift": blob.read("i1", shape[:1])})
    for name in LEVELS:
        level = getattr(network, name)
        level.load_last(blob.read("<i2", (2 * level.channels,)))
    tables = {name: _table(blob, network.config.codebook_size) for name in LEVELS}
    freeze(network, carrier)
    return network, tables, layouts


def _little_endian(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _table(blob: _Blob, size: int) -> NDArray[np.uint32]:
    table = blob.read("<u2", (size,)).astype(np.uint32)
    if table.min() < 1 or table.sum() != 1 << TABLE_PRECISION:
        raise CorruptError("a frequency table of the entropy model does not add up")
    return table


class _Blob:
    """Reads arrays one after the other; `_build` has seen to it that there are enough bytes."""

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
    """The dataclass ``kind`` from JSON, every number positive and below the limit."""
    values = _parse(lambda: {field.name: config[field.name] for field in fields(kind)})
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = isinstance(value, int) or isinstance(getattr(kind, name), float)
        limit = DEPTH_LIMIT if name in DEPTHS else SIZE_LIMIT
        if not number or not whole or not 0 < value <= limit:
            raise CorruptError(f"a model's config says {name} = {value!r}, which can't be")
    return _parse(lambda: kind(**values))


def _layout(config: Mapping[str, Any], name: str) -> StreamLayout:
    kept = _parse(lambda: config["streams"][name])
    names = [field.name for field in fields(StreamLayout)]
    values = _parse(lambda: [kept[field] for field in names])
    plain, group, lanes = values
    if not all(isinstance(v, int) for v in values) or plain < 0 or plain > 2**31:
        raise CorruptError(f"a stream layout is {kept!r}, which can't be")
    if not (1 <= group <= SIZE_LIMIT and 1 <= lanes <= SIZE_LIMIT):
        raise CorruptError(f"a stream layout is {kept!r}, which can't be")
    return StreamLayout(plain, group, lanes)
