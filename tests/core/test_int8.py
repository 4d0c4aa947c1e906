"""Eight-bit kernels give the integers that int64 gives, or they are not used."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import SMALL_VQVAE, small_vqvae

from drrpack.core import int8
from drrpack.core.convolution import IntConv2d
from drrpack.core.dense import IntLinear
from drrpack.core.errors import ExactnessError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import thaw
from drrpack.core.int8 import Int8Convolution, Int8Linear
from drrpack.core.int_layer import IntProduct
from drrpack.core.pixels import PixelDecoder, calibrate

CPU = torch.device("cpu")
needs_kernels = pytest.mark.skipif(
    not int8.available(), reason="this processor or PyTorch has no exact eight-bit kernels"
)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    int8.available.cache_clear()
    yield
    int8.available.cache_clear()


def sums(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, padding: int) -> np.ndarray:
    """The convolution in int64, tap by tap."""
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[2]
    rows, columns = (length - side + 1 for length in x.shape[2:])
    out = np.zeros((len(x), len(weight), rows, columns), dtype=np.int64) + bias[:, None, None]
    for i in range(side):
        for j in range(side):
            part = x[:, :, i : i + rows, j : j + columns]
            out += np.einsum("bihw,oi->bohw", part, weight[:, :, i, j].astype(np.int64))
    return out


@needs_kernels
@given(
    sizes=st.tuples(*(st.integers(1, high) for high in (5, 33, 33, 9, 9))),
    window=st.sampled_from([(1, 0), (2, 1), (3, 1), (5, 2)]),
    signed=st.booleans(), extreme=st.booleans(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_sums_are_those_of_int64(
    sizes: tuple[int, ...], window: tuple[int, int], signed: bool, extreme: bool, seed: int
) -> None:
    (batch, inputs, outputs, height, width), (side, padding) = sizes, window
    height, width = max(height, side), max(width, side)
    rng = np.random.default_rng(seed)
    lowest, highest = (-127, 127) if signed else (0, 255)
    x = rng.integers(lowest, highest + 1, (batch, inputs, height, width))
    weight = rng.integers(-128, 128, (outputs, inputs, side, side))
    if extreme:
        x, weight = np.where(x > 0, highest, lowest), np.where(weight > 0, 127, -128)
    largest = int(np.abs(sums(np.abs(x), np.abs(weight), np.zeros(outputs), padding)).max())
    bias = rng.integers(-1000, 1000, outputs)
    if largest + 1000 >= 2**23:  # what no layer may have
        return
    kernel = Int8Convolution(torch.from_numpy(weight), padding, signed)
    found = kernel(torch.from_numpy(x).float(), torch.from_numpy(bias).float())
    np.testing.assert_array_equal(found.numpy(), sums(x, weight, bias, padding))


def decoded(decoder: PixelDecoder) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    top = torch.randint(32, (5, 3, 4), generator=generator)
    bottom = torch.randint(32, (5, 6, 8), generator=generator)
    with exact_arithmetic(CPU):
        return decoder(top, bottom)


def made(carrier: torch.dtype = torch.float32) -> PixelDecoder:
    network = small_vqvae(config=SMALL_VQVAE)
    codes = torch.arange(64).reshape(16, 2, 2) % 32
    scales = calibrate(network, codes, codes.repeat_interleave(2, 1).repeat_interleave(2, 2))
    return PixelDecoder(network, scales, carrier).move(CPU)


@needs_kernels
def test_pixels_are_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = made()
    layers = [layer for layer in with_it.modules() if isinstance(layer, IntProduct)]
    assert layers and all(layer.int8 is not None for layer in layers)
    monkeypatch.setattr(int8, "available", lambda: False)
    for without in (made(), made(torch.float64)):
        assert all(m.int8 is None for m in without.modules() if isinstance(m, IntProduct))
        assert torch.equal(decoded(with_it), decoded(without))


@needs_kernels
def test_copies_compute_the_same_without(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = made()
    wanted = decoded(decoder)
    for again in (copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
        assert decoder.out.int8 is not None and again.out.int8 is None
        assert torch.equal(decoded(again), wanted)


@needs_kernels
@pytest.mark.parametrize("change", ["arrays", "freeze", "thaw", "move"])
def test_other_weights_are_not_multiplied_by_old_kernels(change: str) -> None:
    layer, other = IntConv2d(8, 4), IntConv2d(8, 4)
    for one in (layer, other):
        one.freeze()
    layer.use_int8()
    assert layer.int8 is not None
    if change == "arrays":
        layer.load_arrays(other.arrays())
    elif change == "freeze":
        layer.freeze()
    else:
        thaw(layer) if change == "thaw" else layer.to("cpu")
    assert layer.int8 is None


@needs_kernels
def test_a_layer_whose_kernel_errs_keeps_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = IntConv2d(8, 4)
    layer.freeze()
    original = Int8Convolution.__call__

    def wrong_in_a_corner(self: Int8Convolution, x: torch.Tensor, bias: torch.Tensor) -> object:
        sums = original(self, x, bias)
        sums[-1, -1, -1, -1] += x.shape[-1] == 9
        return sums

    monkeypatch.setattr(Int8Convolution, "__call__", wrong_in_a_corner)
    layer.use_int8()
    assert layer.int8 is None


@needs_kernels
@pytest.mark.parametrize("outputs", [16, 12], ids=["in a block", "the last"])
@pytest.mark.parametrize("fault", [None, RuntimeError], ids=["errs", "is missing"])
def test_pixels_are_the_same_where_a_layer_has_no_kernel(
    fault: type[Exception] | None, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layers before it give bytes."""
    wanted, is_exact = decoded(made()), Int8Convolution.is_exact

    def tried(self: Int8Convolution) -> bool:
        if self.outputs != outputs:
            return is_exact(self)
        if fault is not None:
            raise fault
        return False

    monkeypatch.setattr(Int8Convolution, "is_exact", tried)
    decoder = made()
    layers = [layer for layer in decoder.modules() if isinstance(layer, IntProduct)]
    assert any(layer.in_bytes and layer.int8 is not None for layer in layers)
    assert any(layer.int8 is None for layer in layers)
    assert torch.equal(decoded(decoder), wanted)


def test_a_weight_of_128_is_refused() -> None:
    """It is no byte: kernels of bytes and floats would differ."""
    layer = IntConv2d(1, 1, 1)
    layer.freeze()
    for weight, fits in ((-128, True), (127, True), (128, False), (-129, False)):
        arrays = layer.arrays()
        arrays["weight"] = np.full((1, 1, 1, 1), weight, dtype=np.int16)
        with nullcontext() if fits else pytest.raises(ExactnessError, match="outside -128 to 127"):
            IntConv2d(1, 1, 1).load_arrays(arrays)


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.skipif(not int8.available(), reason="no exact eight-bit kernels here")
def test_the_default_device_does_not_matter() -> None:
    torch.set_default_device("meta")
    try:
        assert int8.available()
    finally:
        torch.set_default_device(None)


@needs_kernels
@given(
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 130), st.integers(1, 70)),
    signed=st.booleans(), extreme=st.booleans(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_dense_sums_are_those_of_int64(
    sizes: tuple[int, int, int], signed: bool, extreme: bool, seed: int
) -> None:
    rows, inputs, outputs = sizes
    rng = np.random.default_rng(seed)
    lowest, highest = (-127, 127) if signed else (0, 255)
    x = rng.integers(lowest, highest + 1, (rows, inputs))
    weight, bias = rng.integers(-128, 128, (outputs, inputs)), rng.integers(-9999, 9999, outputs)
    if extreme:
        x, weight = np.where(x > 0, highest, lowest), np.where(weight > 0, 127, -128)
    kernel = Int8Linear(torch.from_numpy(weight), signed)
    found = kernel(torch.from_numpy(x).float(), torch.from_numpy(bias).float())
    np.testing.assert_array_equal(found.numpy(), x @ weight.T + bias)


@needs_kernels
def test_small_inputs_and_gradients_go_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = IntLinear(8, 4)
    layer.freeze()
    layer.use_int8(least=5)
    calls = []
    narrow = layer.int8
    monkeypatch.setattr(layer, "int8", lambda x, bias: calls.append(len(x)) or narrow(x, bias))
    layer.int8.outputs = narrow.outputs
    for rows in (4, 5):
        x = torch.randint(256, (rows, 8)).float()
        slow = layer(x)  # gradients are wanted
        with exact_arithmetic(CPU):
            assert torch.equal(layer(x), slow)
    assert calls == [5]
    thaw(layer)
    assert layer.int8 is None


@pytest.mark.usefixtures("asked_anew")
def test_a_processor_without_the_instructions_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False, raising=False)
    assert not int8.available()


@pytest.mark.usefixtures("asked_anew")
def test_a_pytorch_without_the_kernels_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.ops, "onednn", None)
    assert not int8.available()


@pytest.mark.usefixtures("asked_anew")
def test_kernels_that_saturate_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a processor without VNNI does: pairs of products in 16 bits."""

    def saturating(self: Int8Convolution, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        padding, total = self.padding, 0.0
        for pair in range(0, x.shape[1], 2):
            two = slice(pair, pair + 2)
            part = torch.nn.functional.conv2d(
                x[:, two].double(), self.weight[:, two].double(), padding=padding
            )
            total = total + part.clamp(-(2**15), 2**15 - 1)
        return (total + bias[:, None, None]).float()

    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(Int8Convolution, "__call__", saturating)
    assert not int8.available()
