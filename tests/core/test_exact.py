"""Integer layers against int64 arithmetic, however and wherever they run."""

from __future__ import annotations

import subprocess
import sys
import threading
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import convolutions_run

from drrpack.core.convolution import IntConv2d, IntConvTranspose2d
from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.errors import ExactnessError
from drrpack.core.exact import (
    SUM_LIMIT,
    exact_arithmetic,
    round_half_up,
)
from drrpack.core.int_layer import IntProduct

Int = NDArray[np.int64]
CPU = torch.device("cpu")


# --- convolutions ---


def int64_convolution(x: Int, weight: Int, bias: Int, padding: int) -> Int:
    """(B, I, H, W) with (O, I, k, k): plain sums of int64."""
    kernel = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))
    total: Int = np.einsum("bihwkl,oikl->bohw", windows, weight) + bias[:, None, None]
    return total


def int64_transposed(x: Int, weight: Int, bias: Int) -> Int:
    """Kernel 4, stride 2, padding 1: every input is spread over 4x4 outputs; (I, O, 4, 4)."""
    batch, _, height, width = x.shape
    out = np.zeros((batch, weight.shape[1], 2 * height + 2, 2 * width + 2), dtype=np.int64)
    for k in range(4):
        for m in range(4):
            spread = np.einsum("bihw,io->bohw", x, weight[:, :, k, m])
            out[:, :, k : k + 2 * height : 2, m : m + 2 * width : 2] += spread
    return out[:, :, 1:-1, 1:-1] + bias[:, None, None]


def expected_output(layer: IntProduct, x: Int) -> Int:
    kept = {name: array.astype(np.int64) for name, array in layer.arrays().items()}
    if isinstance(layer, IntLinear):
        total = np.einsum("ni,oi->no", x, kept["weight"]) + kept["bias"]
    elif isinstance(layer, IntConvTranspose2d):
        total = int64_transposed(x, kept["weight"], kept["bias"])
    else:
        total = int64_convolution(x, kept["weight"], kept["bias"], layer.padding)
    shift = kept["shift"] if x.ndim == 2 else kept["shift"][:, None, None]
    rounded = (2 * total + (1 << shift)) >> (shift + 1)  # floor(total / 2**shift + 1/2)
    return np.clip(rounded, layer.low, layer.high)


def layer_of(kind: str, spread: float, seed: int = 0, **options: Any) -> IntProduct:
    """A layer with heavy-tailed weights, some of them zero, and a channel of zeros."""
    torch.manual_seed(seed)
    made = {
        "3x3": lambda: IntConv2d(20, 12, **options),
        "1x1": lambda: IntConv2d(20, 12, 1, **options),
        "transposed": lambda: IntConvTranspose2d(20, 12, **options),
        "transposed, many": lambda: IntConvTranspose2d(20, 24, **options),
        "dense": lambda: IntLinear(20, 12, **options),
    }[kind]()
    with torch.no_grad():
        made.weight.mul_(spread * torch.randn_like(made.weight).abs() ** 3)
        made.weight[torch.rand_like(made.weight) < 0.2] = 0.0
        made.weight[(slice(None), 3) if kind.startswith("transposed") else 3] = 0.0
        made.bias.normal_(std=spread)
    return made


def inputs(layer: IntProduct, batch: int, seed: int = 0, low: int | None = None) -> Int:
    rng = np.random.default_rng(seed)
    low = -layer.in_max if low is None else low
    size = (20,) if isinstance(layer, IntLinear) else (20, 7, 5)
    x = rng.integers(low, layer.in_max + 1, (batch, *size))
    x[0] = layer.in_max  # the largest sums there are
    return x


KINDS = ["3x3", "1x1", "transposed", "transposed, many", "dense"]
SPREADS = [1e-4, 0.05, 1.0, 4.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_frozen_layers_equal_int64(kind: str, spread: float, carrier: torch.dtype) -> None:
    layer = layer_of(kind, spread)
    layer.freeze(carrier)
    x = inputs(layer, 7)
    with exact_arithmetic(CPU):
        out = layer(torch.from_numpy(x).to(carrier))
    assert out.dtype == carrier
    np.testing.assert_array_equal(out.numpy(), expected_output(layer, x))


@pytest.mark.parametrize(
    "options",
    [
        {"in_max": 127, "in_bits": 5, "out_bits": 6, "low": -512, "high": 511},
        {"in_max": 64, "in_bits": 3, "low": 0, "high": 255},
        {"out_bits": 12, "low": -8192, "high": 8192},
        {"in_bits": 9, "out_bits": 2},
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_other_scales_and_limits_equal_int64(kind: str, options: dict[str, int]) -> None:
    layer = layer_of(kind, 0.1, **options)
    layer.freeze()
    x = inputs(layer, 3)
    with exact_arithmetic(CPU):
        out = layer(torch.from_numpy(x).float())
    np.testing.assert_array_equal(out.numpy(), expected_output(layer, x))


def loaded(
    weight: int, bias: int, shift: int, inputs: int = 20, transposed: bool = False
) -> IntProduct:
    """A layer of one output whose weights, bias and shift are all the same."""
    high = 2**23
    if transposed:
        layer: IntProduct = IntConvTranspose2d(inputs, 1, low=-high, high=high)
    else:
        layer = IntConv2d(inputs, 1, low=-high, high=high)
    arrays = {
        "weight": np.full(layer.weight.shape, weight, np.int8),
        "bias": np.array([bias], np.int32),
        "shift": np.array([shift], np.int8),
    }
    layer.load_arrays(arrays)
    return layer


@pytest.mark.parametrize("shift", [0, 1, 2, 10, 22, 23, 24, 30, 40])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_are_rounded_half_up_exactly(shift: int, sign: int) -> None:
    room = SUM_LIMIT - 1 - 255 * 127 * 20 * 9
    for bias in (room, room - 1, 0, 1):
        layer = loaded(sign * 127, sign * bias, shift)
        x = np.full((1, 20, 5, 5), 255)
        x[:, :, :2] = 0
        with exact_arithmetic(CPU):
            out = layer(torch.from_numpy(x).float())
        np.testing.assert_array_equal(out.numpy(), expected_output(layer, x))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_weights_that_break_the_bound_are_refused(transposed: bool, sign: int) -> None:
    taps = 20 * (4 if transposed else 9)  # a transposed output sees a quarter of its 16 taps
    room = SUM_LIMIT - 1 - 255 * 127 * taps
    loaded(sign * 127, sign * room, 5, transposed=transposed)
    with pytest.raises(ExactnessError, match="may reach"):
        loaded(sign * 127, sign * (room + 1), 5, transposed=transposed)


def test_fitted_weights_that_break_the_bound_are_refused() -> None:
    layer = IntConv2d(512, 2)
    with torch.no_grad():
        layer.weight.fill_(1000.0)
    with pytest.raises(ExactnessError, match="may reach"):
        layer.freeze()


@pytest.mark.parametrize("shift", [-1, 41])
def test_shifts_out_of_range_are_refused(shift: int) -> None:
    with pytest.raises(ExactnessError, match="shift"):
        loaded(1, 0, shift)


def test_arrays_of_another_shape_are_refused() -> None:
    layer = layer_of("3x3", 0.1)
    layer.freeze()
    arrays = layer.arrays()
    for name, array in arrays.items():
        with pytest.raises(ExactnessError, match="shape"):
            IntConv2d(20, 12).load_arrays({**arrays, name: array[:-1]})
    with pytest.raises(ExactnessError, match="shape"):
        IntEmbedding(5, 4).load_arrays({"weight": np.zeros((4, 5), np.int8)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", SPREADS)
def test_a_layer_in_training_computes_what_it_computes_frozen(kind: str, spread: float) -> None:
    layer = layer_of(kind, spread)
    x = torch.from_numpy(inputs(layer, 4)).float().requires_grad_(True)
    training = layer(x)
    training.sum().backward()
    assert x.grad is not None
    layer.freeze()
    torch.testing.assert_close(layer(x), training, rtol=0, atol=0)


def test_gradients_reach_the_weights() -> None:
    layer = layer_of("3x3", 0.05)
    layer(torch.from_numpy(inputs(layer, 2)).float()).square().sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None
    assert layer.weight.grad.abs().sum() > 0
    assert layer.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_quantisation_is_close_to_the_float_layer(kind: str) -> None:
    layer = layer_of(kind, 1.0)
    with torch.no_grad():
        layer.weight.clamp_(-0.3, 0.3)
    x = torch.from_numpy(inputs(layer, 4, low=0)).float()
    x = x / 8  # an output is not to be clamped
    with torch.no_grad():
        wanted = layer.sums(x / 32, layer.weight, layer.bias) * 32
        found = layer(x.round())
    inside = wanted.abs() < 500
    error = (found - wanted)[inside].abs().mean()
    assert inside.float().mean() > 0.9
    assert error < 0.02 * wanted[inside].abs().mean() + 1.0


CONDITIONS = [
    {"threads": 1},
    {"threads": 2},
    {"mkldnn": False},
    {"mkldnn": False, "threads": 2},
    {"channels_last": True},
    {"channels_last": True, "mkldnn": False},
    {"micro_batch": 1},
    {"micro_batch": 7, "channels_last": True, "threads": 2},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_bits_do_not_depend_on_how_a_layer_runs(kind: str, carrier: torch.dtype) -> None:
    layer = layer_of(kind, 1.0)
    layer.freeze(carrier)
    whole = inputs(layer, 64)
    wanted = expected_output(layer, whole)
    for condition in CONDITIONS:
        for batch in (1, 7, 64):
            x = torch.from_numpy(whole[:batch]).to(carrier)
            with exact_arithmetic(CPU), convolutions_run(**condition):
                np.testing.assert_array_equal(layer(x).numpy(), wanted[:batch], str(condition))


@pytest.mark.parametrize("mkldnn", [True, False])
@pytest.mark.parametrize("size", [4, 8])
def test_no_library_may_use_transforms(mkldnn: bool, size: int) -> None:
    """Convolutions by Fourier or Winograd transforms are wrong by more than rounding repairs.

    PyTorch hands batches of 16 and more to NNPACK, which uses them, where oneDNN is not there.
    """
    torch.manual_seed(0)
    layer = IntConv2d(64, 64)
    layer.freeze()
    assert layer.frozen is not None
    weight, bias, _ = layer.frozen
    x = torch.randint(256, (32, 64, size, size))
    wanted = int64_convolution(x.numpy(), weight.long().numpy(), bias.long().numpy(), 1)
    with exact_arithmetic(CPU), convolutions_run(mkldnn=mkldnn):
        total = layer.sums(x.float(), weight, bias)
    np.testing.assert_array_equal(total.numpy(), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_knows_the_frozen_integers(kind: str) -> None:
    """They go wherever the weights go; the state dict is that of the weights, frozen or not."""
    layer = layer_of(kind, 0.5)
    state = {*layer.state_dict()}
    layer.freeze()
    assert state == {*layer.state_dict()} == {"weight", "bias"}
    for moved in (deepcopy(layer).to("meta"), deepcopy(layer).double()):
        assert moved.frozen is not None and layer.frozen is not None
        assert {part.device for part in moved.frozen} == {moved.weight.device}
        assert {part.dtype for part in moved.frozen} == {moved.weight.dtype}
        assert {part.device for part in layer.frozen} == {CPU}
    layer.thaw()
    assert not [*layer.buffers()] and not layer.is_frozen


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_come_back(kind: str) -> None:
    layer = layer_of(kind, 0.5)
    layer.freeze()
    kept = layer.arrays()
    assert [str(a.dtype) for a in kept.values()] == ["int8", "int32", "int8"]
    again = layer_of(kind, 2.0, seed=9)
    again.load_arrays(kept)
    again.freeze(torch.float64)
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, kept[name])
    x = torch.from_numpy(inputs(layer, 3))
    torch.testing.assert_close(again(x.double()).float(), layer(x.float()), rtol=0, atol=0)
    scaled = again.weight.double() * 32 * 2.0**5
    assert (scaled.abs() > 0).any()


def test_an_embedding_is_its_rounded_table() -> None:
    torch.manual_seed(0)
    layer = IntEmbedding(50, 6)
    with torch.no_grad():
        layer.weight.mul_(3.0)
    codes = torch.randint(50, (2, 3, 4))
    training = layer(codes)
    table = np.clip(np.floor(layer.weight.detach().numpy() * 32 + 0.5), -127, 127)
    wanted = table[codes.numpy()].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(training.detach().numpy(), wanted)
    layer.freeze(torch.float64)
    np.testing.assert_array_equal(layer(codes).numpy(), wanted)
    again = IntEmbedding(50, 6)
    again.load_arrays(layer.arrays())
    np.testing.assert_array_equal(again(codes).numpy(), wanted)


def test_exact_arithmetic_holds_until_the_last_thread_is_out() -> None:
    enabled = torch._C._get_nnpack_enabled
    before, seen = enabled(), list[bool]()
    inside, others_out = threading.Barrier(2), threading.Event()

    def last() -> None:
        with exact_arithmetic(CPU):
            inside.wait(10)
            others_out.wait(10)
            seen.append(enabled())

    thread = threading.Thread(target=last)
    with exact_arithmetic(CPU):
        thread.start()
        inside.wait(10)
    others_out.set()
    thread.join()
    assert (seen, enabled()) == ([False], before)


def test_exact_arithmetic_leaves_the_settings_as_they_were() -> None:
    x = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.backends.nnpack.flags(enabled=True):
        with pytest.raises(RuntimeError, match="stop"), exact_arithmetic(CPU):
            assert torch.is_inference_mode_enabled()
            assert (x @ x).dtype == torch.float32
            raise RuntimeError("stop")
        assert (x @ x).dtype == torch.bfloat16
        assert not torch.is_inference_mode_enabled()


def test_round_half_up_goes_up_at_halves() -> None:
    x = torch.tensor([-1.5, -0.5, -0.25, 0.5, 1.5, 2.49])
    assert round_half_up(x).tolist() == [-1.0, 0.0, 0.0, 1.0, 2.0, 2.0]


PRECISION_SETTINGS = """
import torch
from drrpack.core.exact import exact_arithmetic
{setting} = "{value}"
with exact_arithmetic(torch.device("cpu")):
    pass
assert {setting} == "{value}"
"""


@pytest.mark.slow  # eight processes
@pytest.mark.parametrize("value", ["tf32", "ieee"])
@pytest.mark.parametrize(
    "setting",
    [
        "torch.backends.fp32_precision",
        "torch.backends.cudnn.fp32_precision",
        "torch.backends.cudnn.conv.fp32_precision",
        "torch.backends.cuda.matmul.fp32_precision",
    ],
)
def test_callers_may_have_set_precisions_the_new_way(setting: str, value: str) -> None:
    """PyTorch 2.9 and later refuse to mix its two sets of switches for TF32."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this PyTorch has but one set of switches")
    script = PRECISION_SETTINGS.format(setting=setting, value=value)
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [0, 1])
def test_looking_up_is_multiplying(carrier: torch.dtype, seed: int) -> None:
    """Rows of tables that are added up give what the vectors give in a product, bit for bit."""
    torch.manual_seed(seed)
    size, dim, places, outputs = 40, 6, 9, 12
    embedding, layer = IntEmbedding(size, dim), IntLinear(dim * places, outputs, in_max=127)
    layer.bias.data.normal_()
    for each in (embedding, layer):
        each.freeze(carrier)
    table = embedding.frozen
    assert table is not None
    numbers = torch.randint(0, size + 1, (300, places))  # 0 is none
    numbers[0] = 0
    vectors = torch.cat([torch.zeros(1, dim, dtype=carrier), table])[numbers]  # (N, P, D)
    wanted = layer(vectors.transpose(1, 2).flatten(1))
    found = layer.looked_up(numbers, layer.tables(table))
    assert found.dtype == carrier and torch.equal(found, wanted)
    assert wanted.unique().numel() > 50
