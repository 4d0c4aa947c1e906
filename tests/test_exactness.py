"""Decoding gives the codes back however the networks run; in ordinary floats it would not.

The networks are the default ones, 20 classes side by side. DRRPACK_EXACTNESS_IMAGES sets the number
of images of all classes together, 2000 for the full check.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from process_settings import ALL_AND_EACH, SETTINGS
from small_models import Grid, convolutions_run, frequency_table, small_network, structured_codes
from torch import Tensor

from drrpack.core import int8, streams
from drrpack.core.ans import Words
from drrpack.core.codes import Levels
from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextConfig
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import BothLevels, NetworkConfig
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapConfig
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.errors import CorruptError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import freeze, use_int8
from drrpack.core.int_layer import IntProduct
from drrpack.core.probability import Categorical
from drrpack.core.streams import Level, StreamLayout

CLASSES = 20
IMAGES = int(os.environ.get("DRRPACK_EXACTNESS_IMAGES", "0"))
GROUPS = (1, 7, 16)  # images of a class in one step; with all classes 20, 140 and 320 in a call
LANES = 8
PLAIN = {  # images, enough for the first group
    ("top", 1): 9, ("top", 7): 33, ("top", 16): 72,
    ("bottom", 1): 6, ("bottom", 7): 24, ("bottom", 16): 54,
}  # fmt: skip
SHAPES = {"top": (4, 4), "bottom": (8, 8)}
# A level by latents and neighbours, by neighbours alone, and by latents alone.
NAMES = ["top", "bottom", "context top", "context bottom", "latents top", "latents bottom"]
CONFIGS: dict[str, NetworkConfig] = {
    "both": PhasedBitSwapConfig(),
    "context": ContextConfig(weight_bits=6),
    "latents": BitSwapConfig(),
}


@dataclass(frozen=True)
class Case:
    """The codes of all classes at one level, and those of the level above."""

    kind: str
    name: str
    group: int
    codes: list[Grid]
    tops: list[Grid] | None
    layout: StreamLayout

    def level(self, network: BothLevels) -> Level:
        model = getattr(network, self.name)
        table = frequency_table(np.concatenate(self.codes), model.config.codebook_size)
        return Level(model, table, self.layout)

    def network(self, carrier: torch.dtype = torch.float32) -> BothLevels:
        return network_of(carrier, self.kind)

    def encode(self, network: BothLevels) -> list[Words]:
        return streams.encode(self.level(network), self.codes, self.tops)

    def decode(
        self, network: BothLevels, coded: list[Words], only: slice = slice(None)
    ) -> list[Grid]:
        counts = [len(c) for c in self.codes[only]]
        tops = None if self.tops is None else self.tops[only]
        return streams.decode(self.level(network), coded[only], counts, SHAPES[self.name], tops)

    def check(self, network: BothLevels, coded: list[Words], only: slice = slice(None)) -> None:
        found = self.decode(network, coded, only)
        for a, b in zip(found, self.codes[only], strict=True):
            np.testing.assert_array_equal(a, b)


@lru_cache(maxsize=32)
def network_of(carrier: torch.dtype = torch.float32, kind: str = "both") -> BothLevels:
    return small_network(config=CONFIGS[kind], carrier=carrier)


def case_of(where: str, group: int) -> Case:
    kind, name = " ".join(["both", where]).split()[-2:]
    plain = PLAIN[name, group]
    images = max(plain + group, IMAGES // CLASSES)
    counts = [images + index % 3 for index in range(CLASSES)]
    codes = structured_codes(counts, SHAPES[name], 512, seed=group)
    tops = structured_codes(counts, SHAPES["top"], 512, seed=99) if name == "bottom" else None
    return Case(kind, name, group, codes, tops, StreamLayout(plain, group, LANES))


@lru_cache(maxsize=32)
def encoded(name: str, group: int) -> tuple[Case, list[Words]]:
    """Every class side by side, whole batches, one thread, oneDNN where there is one, float32."""
    case = case_of(name, group)
    with convolutions_run():
        return case, case.encode(case.network())


@pytest.fixture(params=NAMES)
def written(request: pytest.FixtureRequest) -> tuple[Case, list[Words]]:
    return encoded(request.param, 7)


CONDITIONS: dict[str, dict[str, Any]] = {
    "batch 1": {"micro_batch": 1},
    "batch 7": {"micro_batch": 7},
    "2 threads": {"threads": 2},
    "channels last": {"channels_last": True},
    "no mkldnn": {"mkldnn": False},
    "all of them": {"micro_batch": 7, "threads": 2, "channels_last": True, "mkldnn": False},
}


def test_bit_swap_codes_most_of_the_networks_work() -> None:
    for name, group in PLAIN:
        case = case_of(name, group)
        assert all(case.layout.steps(len(codes)) >= 1 for codes in case.codes)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", NAMES)
def test_groups_of_every_size_decode(name: str, group: int) -> None:
    case, coded = encoded(name, group)
    with convolutions_run(threads=2):
        case.check(case.network(), coded)


@pytest.mark.parametrize("how", CONDITIONS.values(), ids=CONDITIONS)
def test_decoding_does_not_depend_on_how_the_networks_run(
    written: tuple[Case, list[Words]], how: Mapping[str, Any]
) -> None:
    case, coded = written
    with convolutions_run(**how):
        case.check(case.network(), coded)


@pytest.mark.slow
@pytest.mark.parametrize("how", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("name", NAMES)
def test_batches_of_more_than_256_decode_in_every_way(name: str, how: Mapping[str, Any]) -> None:
    case, coded = encoded(name, 16)
    assert case.group * CLASSES >= 256
    with convolutions_run(**how):
        case.check(case.network(), coded)


@pytest.mark.slow
@pytest.mark.parametrize("how", CONDITIONS.values(), ids=CONDITIONS)
def test_encoding_does_not_depend_on_how_the_networks_run(
    written: tuple[Case, list[Words]], how: Mapping[str, Any]
) -> None:
    case, coded = written
    with convolutions_run(**how):
        again = case.encode(case.network())
    for a, b in zip(again, coded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("setting", ALL_AND_EACH)
def test_coding_does_not_depend_on_what_the_process_has_set(
    written: tuple[Case, list[Words]], setting: str
) -> None:
    """A network that is stored and loaded within the setting codes and reads the same words."""
    case, coded = written
    level = case.level(case.network())
    model = case.network().model(Levels(level.table, level.table))
    stored = pack_entropy(model, Levels(level.layout, level.layout))
    with SETTINGS[setting](), convolutions_run():
        again, _ = unpack_entropy(stored)
        assert isinstance(again, NetworkModel)
        network = again.network
        case.check(network, coded)
        words = case.encode(network)
    for a, b in zip(words, coded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("how", [{}, {"threads": 2, "mkldnn": False}], ids=["plain", "altered"])
def test_float64_reads_what_float32_wrote(
    written: tuple[Case, list[Words]], how: Mapping[str, Any]
) -> None:
    case, coded = written
    with convolutions_run(**how):
        case.check(case.network(torch.float64), coded)


@pytest.mark.skipif(not int8.available(), reason="no exact eight-bit kernels here")
@pytest.mark.parametrize("least", [0, 256])
@pytest.mark.parametrize("threads", [1, 2])
def test_eight_bit_kernels_read_and_write_the_same(
    written: tuple[Case, list[Words]], threads: int, least: int
) -> None:
    case, coded = written
    network = deepcopy(case.network())
    use_int8(network, least)
    with convolutions_run(threads=threads):
        case.check(network, coded)
        case.check(network, coded, slice(3, 4))  # alone
        words = case.encode(network)
    for a, b in zip(words, coded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_float32_reads_what_float64_wrote(name: str) -> None:
    case = case_of(name, 1)
    with convolutions_run(threads=2):
        coded = case.encode(case.network(torch.float64))
    with convolutions_run(micro_batch=1):
        case.check(case.network(), coded)


@pytest.mark.parametrize("index", [0, 7, CLASSES - 1])
def test_one_class_is_read_alone(written: tuple[Case, list[Words]], index: int) -> None:
    case, coded = written
    with convolutions_run():
        case.check(case.network(), coded, slice(index, index + 1))


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_one_read_what_one_batch_wrote(name: str) -> None:
    """Groups of one image and one class alone: no network ever sees a second image."""
    case, coded = encoded(name, 1)
    with convolutions_run(threads=2):
        for index in (0, 11):
            case.check(case.network(), coded, slice(index, index + 1))


CHILD = """
import sys
from pathlib import Path
import numpy as np
from small_models import convolutions_run
from test_exactness import case_of
folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    with np.load(folder / f"{name} words.npz") as kept:
        coded = [kept[key] for key in kept]
    with convolutions_run(threads=2, channels_last=True):
        case = case_of(name, 7)
        codes = case.decode(case.network(), coded)
    np.savez(folder / f"{name} codes.npz", *codes)
"""


def test_a_second_process_reads_them(tmp_path: Path) -> None:
    for name in NAMES:
        np.savez(tmp_path / f"{name} words.npz", *encoded(name, 7)[1])
    tests = Path(__file__).parent
    path = f"import sys; sys.path[:0] = [{str(tests)!r}, {str(tests.parent)!r}]\n"
    command = [sys.executable, "-c", path + CHILD, str(tmp_path), *NAMES]
    subprocess.run(command, check=True, timeout=280)
    for name in NAMES:
        with np.load(tmp_path / f"{name} codes.npz") as found:
            for key, wanted in zip(found, encoded(name, 7)[0].codes, strict=True):
                np.testing.assert_array_equal(found[key], wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_cuda_and_the_cpu_read_each_other(
    written: tuple[Case, list[Words]], carrier: torch.dtype
) -> None:
    case, coded = written
    there = small_network(config=CONFIGS[case.kind], carrier=carrier)
    there.to("cuda")
    case.check(there, coded)
    for a, b in zip(case.encode(there), coded, strict=True):
        np.testing.assert_array_equal(a, b)


# --- the same check fails in ordinary floats ---


def ordinary(layer: IntProduct, x: Tensor) -> Tensor:
    """What a float network would do: the unrounded weights, and no rounding of the sums."""
    unit = 2.0 ** (layer.out_bits - layer.in_bits)
    bias = layer.bias * 2.0**layer.out_bits
    return layer.sums(x, layer.weight * unit, bias).clamp(layer.low, layer.high)


@pytest.fixture
def floats(monkeypatch: pytest.MonkeyPatch) -> Iterator[BothLevels]:
    network = small_network(config=PhasedBitSwapConfig())
    freeze(network)
    monkeypatch.setattr(IntProduct, "forward", ordinary)
    yield network


def lost(case: Case, network: BothLevels, coded: list[Words], only: slice = slice(None)) -> bool:
    try:
        case.check(network, coded, only)
    except (CorruptError, AssertionError):
        return True
    return False


@pytest.mark.parametrize("name", ["top", "bottom"])
def test_ordinary_floats_lose_the_codes(name: str, floats: BothLevels) -> None:
    case = case_of(name, 7)
    with convolutions_run():
        coded = case.encode(floats)
        assert not lost(case, floats, coded)  # in the very same way they decode: it proves nothing
    ways = [{"micro_batch": 1}, {"mkldnn": False}, {"mkldnn": False, "micro_batch": 1}]
    outcomes = []
    for how in ways:
        with convolutions_run(**how):
            outcomes.append(lost(case, floats, coded))
    assert any(outcomes)


def frequencies(network: BothLevels, batch: int) -> Tensor:
    """Of some codes in a late phase of 256 images, in batches of ``batch``."""
    codes = torch.from_numpy(structured_codes([256], (4, 4), 512)[0])
    model = network.top
    parts = []
    with exact_arithmetic(torch.device("cpu")):
        for part in codes.split(batch):
            latent = torch.zeros(len(part), model.channels, 4, 4)
            logits = model.phased.logits(model.phased.places(12, part, latent, None))
            categorical = Categorical(logits[:, None])
            chosen = [np.full((len(part), 1), code) for code in range(0, 512, 37)]
            lengths = [categorical.interval(code, slice(None))[1] for code in chosen]
            parts.append(torch.from_numpy(np.stack(lengths, 2).astype(np.int64)))
    return torch.cat(parts)


def test_the_probabilities_are_equal_in_any_batch() -> None:
    with convolutions_run():
        whole = frequencies(network_of(), 256)
        for batch in (1, 7):
            assert torch.equal(frequencies(network_of(), batch), whole)
    with convolutions_run(mkldnn=False):
        assert torch.equal(frequencies(network_of(), 256), whole)


def test_the_probabilities_of_ordinary_floats_are_not(floats: BothLevels) -> None:
    with convolutions_run():
        whole = frequencies(floats, 256)
        one_by_one = frequencies(floats, 1)
    with convolutions_run(mkldnn=False):
        other = frequencies(floats, 256)
    assert not (torch.equal(one_by_one, whole) and torch.equal(other, whole))
