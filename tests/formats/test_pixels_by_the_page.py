"""Another program decodes the pixels of golden files, by what docs/format.md says of them alone.

It shares no code with drrpack, from which it takes the codes: all others are Python's and numpy's
integers and doubles.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from drrpack import DRRDataset

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# VQ-VAEs of versions 1.0, 2.0, 2.0 without encoder, 3.0 and 4.0
NAMES = ("digits", "context", "decoder", "stride", "rising")

Array = NDArray[Any]


# --- weights -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """Weights (outputs, inputs, k, k), or (inputs, outputs, 4, 4) of a transposed convolution."""

    weight: Array
    bias: Array
    transposed: bool


def channels(version: str, config: dict[str, Any]) -> list[int]:
    halvings = int(math.log2(config.get("stride", 4)))
    c = config["channels"]
    if version == "4.0":
        return [3, *(min(c, config["first_channels"] << i) for i in range(halvings))]
    return [3, c // 2, *[c] * (halvings - 1)]


def shapes(version: str, config: dict[str, Any]) -> dict[str, list[tuple[bool, tuple[int, ...]]]]:
    """Of each part its layers: whether they are transposed, and the shape of their weights."""
    c, d, r = (config[name] for name in ("channels", "embedding", "residual_channels"))
    w = channels(version, config)

    def conv(inputs: int, outputs: int, k: int) -> tuple[bool, tuple[int, ...]]:
        return False, (outputs, inputs, k, k)

    def up(inputs: int, outputs: int) -> tuple[bool, tuple[int, ...]]:
        return True, (inputs, outputs, 4, 4)

    blocks = [conv(c, r, 3), conv(r, c, 1)] * config["residual_blocks"]
    halvings = [conv(w[i], w[i + 1], 4) for i in range(len(w) - 1)]
    doublings = [up(w[i], w[i - 1]) for i in range(len(w) - 1, 0, -1)]
    encoder = {
        "encoder_bottom": [*halvings, conv(c, c, 3), *blocks],
        "encoder_top": [conv(c, c // 2, 4), conv(c // 2, c, 3), *blocks],
        "to_top": [conv(c, d, 1)],
        "decoder_top": [conv(d, c, 3), *blocks, up(c, d)],
        "to_bottom": [conv(c + d, d, 1)],
    }
    decoder = {"upsample_top": [up(d, d)], "decoder": [conv(2 * d, c, 3), *blocks, *doublings]}
    return decoder if config.get("encoder") is False else {**encoder, **decoder}


def read_weights(
    version: str, config: dict[str, Any], data: bytes
) -> tuple[dict[str, list[Layer]], list[Array]]:
    """The layers of each part, and both codebooks."""
    parts = shapes(version, config)
    layers = [layer for part in parts.values() for layer in part]
    outputs = [shape[1] if transposed else shape[0] for transposed, shape in layers]
    codebook = (config["codebook_size"], config["embedding"])
    if version == "1.0":
        numbers = iter(np.frombuffer(data, "<f2").astype(np.float64))
        weights, biases = [], []
        for (_, shape), count in zip(layers, outputs, strict=True):
            weights.append(take(numbers, shape))
            biases.append(take(numbers, (count,)))
        books = [take(numbers, codebook), take(numbers, codebook)]
        assert next(numbers, None) is None
    else:
        halves = iter(np.frombuffer(data, "<f2", sum(outputs)).astype(np.float64))
        biases = [take(halves, (count,)) for count in outputs]
        every = [*(shape for _, shape in layers), codebook, codebook]
        found = unpacked(data[2 * sum(outputs) :], every)
        weights = [array * 2.0 ** -config["weight_bits"] for array in found[:-2]]
        books = [array * 2.0 ** -config["codebook_bits"] for array in found[-2:]]
    made = iter(
        Layer(weight, bias, transposed)
        for (transposed, _), weight, bias in zip(layers, weights, biases, strict=True)
    )
    return {name: [next(made) for _ in part] for name, part in parts.items()}, books


def take(numbers: Any, shape: tuple[int, ...]) -> Array:
    return np.array([next(numbers) for _ in range(math.prod(shape))]).reshape(shape)


class Message:
    """A message of one lane or several, in Python's integers."""

    def __init__(self, words: list[int]) -> None:
        self.heads, self.tail = [words[0] << 32 | words[1]], words[:1:-1]  # its end is on top

    def pop(self, lane: int, bits: int, interval: Any) -> int:
        head = self.heads[lane]
        point = head % 2**bits
        symbol, start, length = interval(point)
        head = length * (head >> bits) + point - start
        if head < 2**31:
            head = head << 32 | self.tail.pop()
        self.heads[lane] = head
        return int(symbol)

    def pop_bits(self, bits: int) -> int:
        return self.pop(0, bits, lambda point: (point, point, 1))

    def widen(self, lanes: int) -> None:
        for _ in range(lanes - 1):
            e = self.pop_bits(5)
            u = self.pop_bits(e)
            self.heads.append(2 ** (e + 31) + u * 2**31 + self.pop_bits(31))


def unpacked(data: bytes, every: list[tuple[int, ...]]) -> list[Array]:
    """Packed integers: tables, then a message."""
    tables = []
    for _ in every:
        low, count = struct.unpack_from("<hH", data)
        ends = np.cumsum(np.frombuffer(data, "<u2", count, 4).astype(np.int64))
        assert ends[-1] == 2**14
        tables.append((low, ends))
        data = data[4 + 2 * count :]
    message = Message(np.frombuffer(data, "<u4").tolist())
    total = sum(math.prod(shape) for shape in every)
    lanes = max(1, min(512, total // 256))
    message.widen(lanes)
    out = []
    for shape, (low, ends) in zip(every, tables, strict=True):

        def interval(point: int, ends: Array = ends) -> tuple[int, int, int]:
            symbol = int(np.searchsorted(ends, point, side="right"))
            start = int(ends[symbol - 1]) if symbol else 0
            return symbol, start, int(ends[symbol]) - start

        values = np.empty(math.prod(shape), np.int64)
        for first in reversed(range(0, len(values), lanes)):
            for lane in range(min(lanes, len(values) - first)):
                values[first + lane] = low + message.pop(lane, 14, interval)
        out.append(values.reshape(shape))
    assert not message.tail and set(message.heads) == {2**31}
    return out


# --- layers in integers --------------------------------------------------------------------------


def clamp(x: Array, low: int, high: int) -> Array:
    return np.minimum(np.maximum(x, low), high)


def half_up(x: Array) -> Array:
    return np.floor(x + 0.5).astype(np.int64)


def of_channel(layer: Layer, channel: int) -> tuple[Array, float, int]:
    """All weights of an output channel, the largest sum of |v| that one output sees, and how many
    weights it sees."""
    if not layer.transposed:
        v = layer.weight[channel]
        return v, float(np.abs(v).sum()), v.size
    v = layer.weight[:, channel]
    sums = [np.abs(v[:, p::2, q::2]).sum() for p in (0, 1) for q in (0, 1)]
    return v, float(max(sums)), 4 * len(v)


def integers(layer: Layer, largest: int, a: int, b: int) -> tuple[Layer, Array]:
    """The layer in integers, and its shifts."""
    weight, bias, shifts = np.empty(layer.weight.shape, np.int64), [], []
    for channel, u in enumerate(layer.bias):
        v, total, count = of_channel(layer, channel)
        room, reach = 2**23 - 1 - largest * count, largest * total + abs(u) * 2.0**a
        most = np.abs(v).max()
        limit = min(127 / most if most else math.inf, room / reach if reach else math.inf)
        least = max(0, b - a)
        exponent = 20 if limit == math.inf else math.floor(math.log2(limit))
        exponent = min(max(exponent, least), max(20, least))
        place = (slice(None), channel) if layer.transposed else channel
        weight[place] = clamp(half_up(v * 2.0**exponent), -127, 127)
        bias.append(math.floor(u * 2.0 ** (exponent + a) + 0.5))
        shifts.append(exponent + a - b)
    made = Layer(weight, np.array(bias), layer.transposed)
    for channel, u in enumerate(made.bias):
        assert largest * of_channel(made, channel)[1] + abs(u) < 2**23
    return made, np.array(shifts)


def sums(layer: Layer, x: Array) -> Array:
    images, _, height, width = x.shape
    k = layer.weight.shape[2]
    if layer.transposed:
        out = np.zeros((images, layer.weight.shape[1], 2 * height + 2, 2 * width + 2), np.int64)
        for p in range(4):
            for q in range(4):
                seen = np.einsum("bihw,io->bohw", x, layer.weight[:, :, p, q])
                out[:, :, p : p + 2 * height : 2, q : q + 2 * width : 2] += seen
        return out[:, :, 1:-1, 1:-1]  # row R stands at R + 1
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.zeros((images, len(layer.weight), height, width), np.int64)
    for p in range(k):
        for q in range(k):
            seen = padded[:, :, p : p + height, q : q + width]
            out += np.einsum("bihw,oi->bohw", seen, layer.weight[:, :, p, q])
    return out


def run(layer: Layer, x: Array, largest: int, a: int, b: int, low: int, high: int) -> Array:
    assert np.abs(x).max() <= largest
    made, shifts = integers(layer, largest, a, b)
    total = sums(made, x) + made.bias[:, None, None]
    return clamp(half_up(total / 2.0 ** shifts[:, None, None]), low, high)


def relu(x: Array) -> Array:
    return clamp(x, 0, 255)


def pixels(config: dict[str, Any], parts: dict[str, list[Layer]], embedded: list[Array]) -> Array:
    """Embedded top and bottom codes (B, d, H, W) to bytes (B, H, W, 3)."""
    bits, blocks = config["activation_bits"], config["residual_blocks"]
    residual, joined = bits["residual"], bits["joined"]
    first, *others = parts["decoder"]
    top = run(parts["upsample_top"][0], embedded[0], 127, bits["top"], joined, -127, 127)
    x = run(first, np.concatenate([top, embedded[1]], 1), 127, joined, residual, -4095, 4095)
    for block, hidden in enumerate(bits["hidden"]):
        inner = run(others[2 * block], relu(x), 255, residual, hidden, 0, 255)
        x = x + run(others[2 * block + 1], inner, 255, hidden, residual, -4095, 4095)
    x, before, upsampled = relu(x), residual, bits["upsampled"]
    *doublings, last = others[2 * blocks :]
    for layer, after in zip(doublings, np.atleast_1d(upsampled).tolist(), strict=True):
        x, before = run(layer, x, 255, before, after, 0, 255), after
    y = run(last, x, 255, before, 12, -8192, 8192)
    out = clamp((255 * y + 2**20) >> 13, 0, 255)
    return out.astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NAMES)
def test_the_page_gives_the_pixels_of_a_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.drr"
    with h5py.File(path) as file:
        model = file["vqvae"]
        config, data = json.loads(bytes(model["config"][:])), bytes(model["weights"][:])
        version = model.attrs["version"].decode().rstrip("\0")
        size = [int(file.attrs[key]) for key in ("image_height", "image_width")]
    parts, books = read_weights(version, config, data)
    dataset = DRRDataset(path)
    codes = [grid.numpy() for grid in dataset.codes(range(len(dataset)))]
    scales = config["activation_bits"]["top"], config["activation_bits"]["joined"]
    tables = [
        clamp(half_up(book * 2.0**bits), -127, 127)
        for book, bits in zip(books, scales, strict=True)
    ]
    embedded = [
        table[grid].transpose(0, 3, 1, 2) for table, grid in zip(tables, codes, strict=True)
    ]
    found = pixels(config, parts, embedded)[:, : size[0], : size[1]]
    labels = np.array(dataset.targets, np.int64)
    digest = hashlib.sha256(np.ascontiguousarray(found).tobytes() + labels.tobytes()).hexdigest()
    assert digest == json.loads((GOLDEN / "golden.json").read_text())[f"{name}.drr"]["pixels"]
