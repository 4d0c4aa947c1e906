"""The default path and small models under all that a process may have set: always the same bytes.

The codec is loaded, images encoded, codes compressed and read again within each setting.
"""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from process_settings import ALL_AND_EACH, SETTINGS
from small_models import CONTEXT, LATENTS, SMALL, small_model, small_vqvae, structured_codes
from torch import nn

from drrpack.core import packing, probability
from drrpack.core.codec import Codec, assemble, finish
from drrpack.core.codes import Codes, Levels
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.exact import exact_arithmetic
from drrpack.core.pricing import with_quality
from drrpack.core.rdoq import DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.core.settings import _operators, float_arithmetic, own_settings, seeded, unfilled
from drrpack.core.streams import StreamLayout
from drrpack.core.vqvae import VQVAE
from drrpack.core.weights import pack_vqvae, unpack_vqvae
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, sections

pytestmark = pytest.mark.usefixtures("one_thread", "tables_anew")

CPU = torch.device("cpu")
PACKAGE = Path(__file__).resolve().parents[2] / "drrpack"
LAYOUTS = Levels(*2 * [StreamLayout(plain_images=24, group=2, lanes=2)])
IMAGES = 28  # two groups beside the plain ones


@pytest.fixture
def tables_anew() -> Iterator[None]:
    """The tables of probabilities are made within the test, and not kept for others."""
    made = (probability.exp2_table, probability.logistic_table)
    for table in made:
        table.cache_clear()
    yield
    for table in made:
        table.cache_clear()


@lru_cache(maxsize=1)
def images() -> NDArray[np.uint8]:
    """Smooth colours, (IMAGES, 32, 32, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (IMAGES, 4, 4, 3)).astype(np.uint8)
    large = [Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one) for one in large])


@dataclass(frozen=True)
class Outcome:
    """All that comes out of a codec on the way there and back."""

    codes: bytes
    streams: tuple[bytes, bytes]
    models: tuple[bytes, bytes]
    pixels: bytes


def outcome(codec: Codec, coded: Codes | None = None) -> Outcome:
    """Of the images, and of ``coded`` instead of their codes where those are too cheap to code."""
    codec = replace(codec, layouts=LAYOUTS)
    codes = codec.encode(images())
    coded = codes if coded is None else coded
    (made,) = codec.compress([coded])
    (found,) = codec.decompress([made], coded.top.shape[1:])
    np.testing.assert_array_equal(found.flat, coded.flat)
    return Outcome(
        codes.flat.tobytes(),
        (made.top.tobytes(), made.bottom.tobytes()),
        tuple(section.data for section in sections(codec)),
        codec.decode(codes, (32, 32)).tobytes(),
    )


def shipped_codec(kind: str) -> Codec:
    packing._unpack.cache_clear()  # what was unpacked within another setting
    for path in shipped.paths():
        with Reader(path) as reader:
            if kind in path.name:
                (codec,) = with_quality([load_codec(reader, CPU)], DEFAULT_QUALITY)
                return codec
    raise AssertionError(f"no codec called {kind} is shipped")


@lru_cache(maxsize=2)
def shipped_outcome(kind: str) -> Outcome:
    return outcome(shipped_codec(kind))


@pytest.mark.parametrize("setting", ALL_AND_EACH)
def test_the_default_path(setting: str) -> None:
    expected = shipped_outcome("context")
    with SETTINGS[setting]():
        assert outcome(shipped_codec("context")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_shipped_codec_with_latents(setting: str) -> None:
    expected = shipped_outcome("bitswap")
    with SETTINGS[setting]():
        assert outcome(shipped_codec("bitswap")) == expected


@lru_cache(maxsize=1)
def made_up() -> Codes:
    (top,), (bottom,) = (structured_codes([IMAGES], shape, 32) for shape in ((4, 4), (8, 8)))
    return Codes.of(top, bottom)


@lru_cache(maxsize=2)
def stored(config: NetworkConfig) -> tuple[Section, Section]:
    """Small models as a file holds them."""
    codec = finish(small_vqvae(), small_model(made_up(), config), made_up(), CPU)
    return pack_vqvae(codec.vqvae, codec.pixels.bits), pack_entropy(codec.entropy, LAYOUTS)


def loaded(config: NetworkConfig) -> Codec:
    packing._unpack.cache_clear()  # what was unpacked within another setting
    vqvae, entropy = stored(config)
    return assemble(*unpack_vqvae(vqvae), *unpack_entropy(entropy), CPU)


@lru_cache(maxsize=2)
def small_outcome(config: NetworkConfig) -> Outcome:
    return outcome(loaded(config), made_up())


@pytest.mark.parametrize("setting", ALL_AND_EACH)
@pytest.mark.parametrize("config", [SMALL, CONTEXT, LATENTS], ids=["first", "context", "bitswap"])
def test_small_models(config: NetworkConfig, setting: str) -> None:
    expected = small_outcome(config)
    with SETTINGS[setting]():
        assert outcome(loaded(config), made_up()) == expected


@pytest.mark.parametrize("setting", ALL_AND_EACH)
def test_a_codec_loaded_outside_of_a_setting(setting: str) -> None:
    codec, expected = loaded(SMALL), small_outcome(SMALL)
    with SETTINGS[setting]():
        assert outcome(codec, made_up()) == expected


@lru_cache(maxsize=1)
def finished_outcome() -> Outcome:
    return outcome(finish(*fitted_parts()), made_up())


def fitted_parts() -> tuple[VQVAE, NetworkModel, Codes, torch.device]:
    return small_vqvae(), small_model(made_up(), CONTEXT), made_up(), CPU


@pytest.mark.parametrize("setting", ALL_AND_EACH)
def test_what_is_finished_after_a_fit(setting: str) -> None:
    """The scales of activations come from float convolutions."""
    expected, parts = finished_outcome(), fitted_parts()
    with SETTINGS[setting]():
        assert outcome(finish(*parts), made_up()) == expected


def test_a_network_loaded_in_inference_mode_can_be_fitted_further() -> None:
    with torch.inference_mode():
        model, _ = unpack_entropy(stored(CONTEXT)[1])
    assert isinstance(model, NetworkModel)
    assert not any(one.is_inference() for one in model.network.parameters())


# --- settings stay as they were ---


def state() -> tuple[Any, ...]:
    return (
        torch.get_default_dtype(), torch.empty(0, dtype=torch.int8).device, torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(), torch.is_grad_enabled(), np.geterr(),
        *(operator.fp32_precision for operator in _operators()),
    )  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_are_put_back(setting: str) -> None:
    with SETTINGS[setting]():
        before = state()
        with pytest.raises(RuntimeError, match="stop"), float_arithmetic(), exact_arithmetic(CPU):
            raise RuntimeError("stop")
        assert state() == before


def test_a_default_device_that_was_taken_back() -> None:
    """PyTorch 2.6 cannot say then which one it is."""
    torch.set_default_device("meta")
    torch.set_default_device(None)
    with float_arithmetic():
        assert torch.empty(0, dtype=torch.int8).device == CPU


def test_the_default_dtype_of_other_threads_is_never_another() -> None:
    """It belongs to the process: a training in another thread would see a change."""
    stop, seen = Event(), set()

    def watch() -> None:
        while not stop.is_set():
            seen.add(torch.get_default_dtype())

    with SETTINGS["bfloat16 by default"]():
        watcher = Thread(target=watch)
        watcher.start()
        outcome(loaded(CONTEXT), made_up())
        stop.set()
        watcher.join()
    assert seen == {torch.bfloat16}


@pytest.mark.parametrize("allowed", [True, False])
def test_convolutions_on_a_gpu_are_in_full_precision_and_the_setting_is_put_back(
    allowed: bool,
) -> None:
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, allowed
    try:
        with float_arithmetic():
            assert not cudnn.allow_tf32
        assert cudnn.allow_tf32 == allowed
    finally:
        cudnn.allow_tf32 = before


NEWER_SETTING = """
import torch
from drrpack.core.settings import float_arithmetic
conv = torch.backends.cudnn.conv
torch.backends.cudnn.allow_tf32 = False  # and not what the newer setting says
conv.fp32_precision = "tf32"
with float_arithmetic():
    assert conv.fp32_precision == "ieee"
assert conv.fp32_precision == "tf32"
"""


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="since PyTorch 2.9")
def test_convolutions_are_in_full_precision_where_the_newer_setting_is_used() -> None:
    """In a process of its own, whose PyTorch does not answer to the older name any more."""
    child = subprocess.run([sys.executable, "-c", NEWER_SETTING], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


def test_precision_is_the_processs_again_when_the_last_thread_is_out() -> None:
    inside, leave = Event(), Event()

    def work() -> None:
        with float_arithmetic():
            inside.set()
            leave.wait(30)

    with SETTINGS["medium products"]():
        thread = Thread(target=work)
        with float_arithmetic():
            thread.start()
            assert inside.wait(30)
        x = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
        exact = x.double() @ x.double()
        assert (x @ x - exact).abs().max() < 1e-4, "the other thread is still inside"
        leave.set()
        thread.join()
        assert torch.get_float32_matmul_precision() == "medium"


# --- the random state ---


def test_a_network_made_to_be_filled_draws_nothing() -> None:
    before = torch.get_rng_state()
    made = unfilled(lambda: nn.Linear(3, 4))
    assert made.weight.shape == (4, 3) and made.weight.device.type == "cpu"
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_a_seed_leave_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = nn.Linear(3, 4).weight
    before = torch.manual_seed(7).get_state(), np.random.get_state()[1].tobytes(), random.getstate()
    with seeded(5):
        assert torch.equal(nn.Linear(3, 4).weight, expected)
    after = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_own_settings_are_those_that_pytorch_comes_with() -> None:
    with SETTINGS["all of them"](), own_settings():
        assert torch.zeros(1, dtype=torch.float32).device == CPU
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        np.log(np.zeros(0))
        assert (np.float32(1e-30) * np.float32(1e-30)) == 0, "an underflow is nothing to raise for"


# --- whatever makes tensors says what it makes ---

MAKERS = {
    "torch.empty", "torch.eye", "torch.linspace", "torch.ones", "torch.rand", "torch.randn",
    "torch.tensor", "torch.zeros", "nn.BatchNorm2d", "nn.Conv2d", "nn.ConvTranspose2d",
    "nn.Embedding", "nn.LayerNorm", "nn.Linear",
}  # fmt: skip


def makes_by_default(text: str) -> list[int]:
    """Lines on which a tensor or a layer is made of the process's default dtype."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) in MAKERS and "dtype" not in {word.arg for word in call.keywords}
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_tensor_is_made_of_a_dtype_that_is_said(path: Path) -> None:
    assert not makes_by_default(path.read_text("utf-8")), f"{path.name}: say dtype=..."


def test_a_tensor_of_the_default_dtype_is_found() -> None:
    assert makes_by_default("a = 1\nb = torch.zeros(3, device='cpu')") == [2]
    assert makes_by_default("nn.Linear(3, 4)") == [1]
    assert not makes_by_default("torch.zeros(3, dtype=torch.int64)\npartial(nn.Linear, dtype=x)")
