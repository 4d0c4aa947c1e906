"""Models come back from their bytes exactly; anything else is a named error, and at once."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from small_models import SMALL, SMALL_VQVAE, small_bitswap, small_vqvae

from drrpack.code_model import BitSwap
from drrpack.errors import CorruptError, DrrError, ExactnessError
from drrpack.exact import IntEmbedding, exact_arithmetic, int_layers
from drrpack.pixels import ActivationBits
from drrpack.streams import StreamLayout, frequency_table
from drrpack.weights import pack_bitswap, pack_vqvae, unpack_bitswap, unpack_vqvae

BITS = ActivationBits(top=5, joined=5, residual=6, hidden=(6, 7), upsampled=6)
LAYOUTS = {"top": StreamLayout(31, 4, 16), "bottom": StreamLayout(7)}

Config = dict[str, Any]


def tables() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        name: frequency_table(rng.integers(0, high, 1000), SMALL.codebook_size)
        for name, high in (("top", 32), ("bottom", 5))
    }


def packed_bitswap() -> tuple[Config, bytes]:
    config, blob = pack_bitswap(small_bitswap(), tables(), LAYOUTS)
    return json.loads(json.dumps(config)), blob


def packed_vqvae() -> tuple[Config, bytes]:
    config, blob = pack_vqvae(small_vqvae(), BITS)
    return json.loads(json.dumps(config)), blob


# --- round trips ---


def test_a_vqvae_comes_back() -> None:
    network = small_vqvae()
    config, blob = packed_vqvae()
    again, bits = unpack_vqvae(config, blob)
    assert bits == BITS and again.config == SMALL_VQVAE
    state = again.state_dict()
    stored = 0
    for name, tensor in network.state_dict().items():
        if name.endswith((".usage", ".total")):
            continue
        assert torch.equal(state[name], tensor), name
        stored += tensor.numel()
    assert len(blob) == 2 * stored
    assert pack_vqvae(again, bits) == (pack_vqvae(network, BITS)[0], blob)
    assert not again.training and not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_a_bitswap_comes_back(carrier: torch.dtype) -> None:
    network = small_bitswap()
    config, blob = packed_bitswap()
    again, found_tables, layouts = unpack_bitswap(config, blob, carrier)
    assert again.config == SMALL and layouts == LAYOUTS
    for name, table in tables().items():
        np.testing.assert_array_equal(found_tables[name], table)
    layers = int_layers(network)
    for name, layer in int_layers(again).items():
        for key, array in layer.arrays().items():
            np.testing.assert_array_equal(array, layers[name].arrays()[key])
        frozen = layer.frozen if isinstance(layer, IntEmbedding) else (layer.frozen or [None])[0]
        assert frozen is not None and frozen.dtype == carrier
    for level in ("top", "bottom"):
        kept = getattr(network, level).last_integers()
        np.testing.assert_array_equal(getattr(again, level).last_integers(), kept)
    assert pack_bitswap(again, found_tables, layouts)[1] == blob


def test_a_bitswap_computes_what_it_did() -> None:
    network, (config, blob) = small_bitswap(), packed_bitswap()
    again, _, _ = unpack_bitswap(config, blob)
    codes = torch.randint(32, (3, 4, 4))
    with exact_arithmetic(torch.device("cpu")):
        for a, b in zip(
            network.top.posterior(0, codes, None), again.top.posterior(0, codes, None), strict=True
        ):
            assert torch.equal(a, b)


def test_unpacking_draws_no_random_numbers() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    unpack_vqvae(*packed_vqvae_quietly())
    assert torch.equal(torch.get_rng_state(), before)


def packed_vqvae_quietly() -> tuple[Config, bytes]:
    with torch.random.fork_rng(devices=[]):
        return packed_vqvae()


# --- damage ---

UNPACK = {"vqvae": (packed_vqvae, unpack_vqvae), "bitswap": (packed_bitswap, unpack_bitswap)}


def refused(kind: str, config: Any, blob: bytes, error: type[DrrError] = CorruptError) -> None:
    """It raises ``error`` within 2 seconds, in less than 64 MiB of Python's own memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(error):
            UNPACK[kind][1](config, blob)
        assert time.process_time() - began < 2
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", UNPACK)
def test_blobs_of_another_size_are_refused(kind: str) -> None:
    config, blob = UNPACK[kind][0]()
    for damaged in (b"", blob[:1], blob[: len(blob) // 2], blob[:-1], blob + b"\0", blob * 2):
        refused(kind, config, damaged)


def sizes(kind: str) -> list[str]:
    config: Mapping[str, Any] = asdict(SMALL_VQVAE if kind == "vqvae" else SMALL)
    return list(config)


BAD = [-1, 0, 4097, 10**18, "8", "", None, [8], {}, True, False, float("nan"), float("inf")]


@pytest.mark.parametrize("kind", UNPACK)
@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_hostile_numbers_are_refused(kind: str, bad: object) -> None:
    config, blob = UNPACK[kind][0]()
    for name in sizes(kind):
        refused(kind, {**config, name: bad}, blob)


@pytest.mark.parametrize("kind", UNPACK)
def test_fractions_of_channels_are_refused(kind: str) -> None:
    config, blob = UNPACK[kind][0]()
    for name in sizes(kind):
        if isinstance(config[name], int):
            refused(kind, {**config, name: config[name] + 0.5}, blob)
            refused(kind, {**config, name: float(config[name])}, blob)


@pytest.mark.parametrize("kind", UNPACK)
def test_missing_keys_and_other_shapes_of_config_are_refused(kind: str) -> None:
    config, blob = UNPACK[kind][0]()
    for name in config:
        refused(kind, {k: v for k, v in config.items() if k != name}, blob)
    for other in ({}, [], "config", None, 7):
        refused(kind, other, blob)


@pytest.mark.parametrize("kind", UNPACK)
def test_other_sizes_than_the_blobs_are_refused(kind: str) -> None:
    config, blob = UNPACK[kind][0]()
    for name in sizes(kind):
        if isinstance(config[name], int) and name != "residual_blocks":
            refused(kind, {**config, name: config[name] * 2}, blob, DrrError)


@pytest.mark.parametrize(
    ("kind", "name"), [("bitswap", "latents"), ("bitswap", "blocks"), ("vqvae", "residual_blocks")]
)
@pytest.mark.parametrize("depth", [65, 4096])
def test_thousands_of_layers_are_refused_before_they_are_built(
    kind: str, name: str, depth: int
) -> None:
    """Even layers that hold nothing yet take their time: 4096 latents took 20 seconds."""
    config, blob = UNPACK[kind][0]()
    if kind == "vqvae":
        config["activation_bits"]["hidden"] = [6] * depth
    with pytest.raises(CorruptError, match=f"{name} = {depth}, which can't be"):
        UNPACK[kind][1]({**config, name: depth}, blob)


@pytest.mark.parametrize("name", ["top_cell", "bottom_cell"])
@pytest.mark.parametrize("side", [3, 16, 4096])
def test_cells_that_are_no_small_power_of_two_are_refused(name: str, side: int) -> None:
    config, blob = packed_bitswap()
    refused("bitswap", {**config, name: side}, blob)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("vqvae", {"residual_channels": 4096}),
        ("vqvae", {"channels": 1024, "embedding": 1024}),
        ("bitswap", {"latents": 64, "latent_width": 512}),
        ("bitswap", {"width": 1024, "latents": 64}),
    ],
)
def test_huge_networks_are_refused_before_they_are_built(
    kind: str, changes: dict[str, int]
) -> None:
    config, blob = UNPACK[kind][0]()
    built = []

    class Watched(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.device.type != "meta":
                built.append(out.numel())
            return out

    with Watched(), pytest.raises(CorruptError):
        UNPACK[kind][1]({**config, **changes}, blob)
    assert sum(built) < 10 * len(blob)


@pytest.mark.parametrize("bad", [-9, 17, "5", 5.0, None, float("nan")])
def test_bad_activation_bits_are_refused(bad: object) -> None:
    config, blob = packed_vqvae()
    bits = config["activation_bits"]
    for name in ("top", "joined", "residual", "upsampled"):
        refused("vqvae", {**config, "activation_bits": {**bits, name: bad}}, blob)
    refused("vqvae", {**config, "activation_bits": {**bits, "hidden": [bad, 3]}}, blob)
    refused("vqvae", {**config, "activation_bits": bad}, blob)
    without = {k: v for k, v in bits.items() if k != "hidden"}
    refused("vqvae", {**config, "activation_bits": without}, blob)


@pytest.mark.parametrize("hidden", [[], [3], [3, 3, 3]])
def test_activation_bits_of_another_number_of_blocks_are_refused(hidden: list[int]) -> None:
    config, blob = packed_vqvae()
    bits = {**config["activation_bits"], "hidden": hidden}
    refused("vqvae", {**config, "activation_bits": bits}, blob)


@pytest.mark.parametrize(
    "change",
    [{"plain_images": -1}, {"plain_images": 2**40}, {"group": 0}, {"group": 5000}, {"lanes": 0},
     {"lanes": 10**9}, {"lanes": "8"}, {"group": 2.0}, {"plain_images": None},
     {"plain_images": float("nan")}],
)  # fmt: skip
def test_bad_layouts_are_refused(change: dict[str, object]) -> None:
    config, blob = packed_bitswap()
    for level in ("top", "bottom"):
        kept = {**config["streams"], level: {**config["streams"][level], **change}}
        refused("bitswap", {**config, "streams": kept}, blob)
        kept = {k: v for k, v in config["streams"].items() if k != level}
        refused("bitswap", {**config, "streams": kept}, blob)


def test_weights_that_are_no_numbers_are_refused() -> None:
    config, blob = packed_vqvae()
    for bits in (0x7C00, 0xFC00, 0x7E00):  # infinities, NaN
        damaged = blob[:100] + bits.to_bytes(2, "little") + blob[102:]
        refused("vqvae", config, damaged)


def test_tables_that_do_not_add_up_are_refused() -> None:
    config, blob = packed_bitswap()
    table = np.frombuffer(blob[-2 * 32 :], "<u2").copy()
    for index, change in ((0, 1), (3, -1)):
        damaged = table.copy()
        damaged[index] = int(damaged[index]) + change & 0xFFFF
        refused("bitswap", config, blob[: -2 * 32] + damaged.tobytes())
    damaged = table.copy()
    damaged[np.argmax(damaged)] += damaged[1]
    damaged[1] = 0
    refused("bitswap", config, blob[: -2 * 32] + damaged.tobytes())


def test_random_blobs_are_errors_of_ours_or_models() -> None:
    config, blob = packed_bitswap()
    for seed in range(5):
        noise = np.random.default_rng(seed).bytes(len(blob))
        with pytest.raises((CorruptError, ExactnessError)):
            unpack_bitswap(config, noise)


def test_flipped_bits_never_give_another_kind_of_error() -> None:
    config, blob = packed_bitswap()
    for bit in np.random.default_rng(0).choice(8 * len(blob), 60, replace=False):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << int(bit) % 8
        try:
            network, _, _ = unpack_bitswap(config, bytes(damaged))
        except DrrError:
            continue
        assert isinstance(network, BitSwap)
