"""Models come back from their bytes exactly; anything else is a named error, and at once."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from small_models import (
    CONTEXT,
    HALVES,
    LATENTS,
    SMALL,
    SMALL_VQVAE,
    first_version,
    frequency_table,
    small_network,
    small_vqvae,
)

from drrpack.core.codes import Levels
from drrpack.core.dense import IntEmbedding
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.errors import CorruptError, DrrError, ExactnessError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import int_layers
from drrpack.core.frequencies import Tables
from drrpack.core.pixels import ActivationBits
from drrpack.core.section import Section
from drrpack.core.streams import StreamLayout
from drrpack.core.vqvae import VQVAEConfig
from drrpack.core.weights import pack_vqvae, stored_stride, unpack_vqvae

BITS = ActivationBits(top=5, joined=5, residual=6, hidden=(6, 7), upsampled=(6,))
LARGER = replace(SMALL_VQVAE, stride=8)
RISING = replace(SMALL_VQVAE, stride=16, first_channels=SMALL_VQVAE.channels // 4)
BITS_OF = {
    LARGER: replace(BITS, upsampled=(6, 5)),
    RISING: replace(BITS, upsampled=(6, 5, 4)),
}
LAYOUTS = Levels(StreamLayout(31, 4, 16), StreamLayout(7))

Config = dict[str, Any]


def tables() -> Tables:
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, high, 1000) for high in (32, 5))
    return Levels(*(frequency_table(codes, SMALL.codebook_size) for codes in drawn))


def as_read(model: Section) -> Section:
    """The model after its config has been JSON."""
    return replace(model, config=json.loads(json.dumps(model.config)))


def packed(config: NetworkConfig = SMALL) -> Section:
    return as_read(pack_entropy(small_network(config=config).model(tables()), LAYOUTS))


def first_bitswap() -> Section:
    return as_read(first_version(small_network(), tables(), LAYOUTS))


def packed_table() -> Section:
    return as_read(pack_entropy(TableModel(tables()), LAYOUTS))


def packed_vqvae(config: VQVAEConfig = SMALL_VQVAE) -> Section:
    return as_read(pack_vqvae(small_vqvae(config=config), bits_of(config)))


def bits_of(config: VQVAEConfig) -> ActivationBits:
    return BITS_OF.get(config, BITS)


# --- round trips ---


@pytest.mark.parametrize(
    ("sizes", "version"),
    [(HALVES, "1.0"), (SMALL_VQVAE, "2.0"), (LARGER, "3.0"), (RISING, "4.0")],
)
def test_a_vqvae_comes_back(sizes: VQVAEConfig, version: str) -> None:
    network = small_vqvae(config=sizes)
    model = packed_vqvae(sizes)
    assert model.version == version
    assert model.config.get("stride", 4) == sizes.stride
    assert model.config.get("first_channels", 0) == sizes.first_channels
    assert ("stride" in model.config) == (sizes.stride != 4)
    again, bits = unpack_vqvae(model)
    assert bits == bits_of(sizes) and again.config == sizes
    assert stored_stride(model) == sizes.stride
    state = again.state_dict()
    stored = 0
    for name, tensor in network.state_dict().items():
        if name.endswith((".usage", ".total")):
            continue
        assert torch.equal(state[name], tensor), name
        stored += tensor.numel()
    assert len(model.data) == 2 * stored if not sizes.weight_bits else len(model.data) < stored
    assert as_read(pack_vqvae(again, bits)) == model
    assert not again.training and not any(p.requires_grad for p in again.parameters())


def test_weights_of_the_first_version_come_back() -> None:
    again, layouts = unpack_entropy(first_bitswap())
    assert again.network.config == SMALL and layouts == LAYOUTS
    assert as_read(pack_entropy(again, layouts)) == packed()


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [SMALL, CONTEXT, LATENTS], ids=["first", "context", "bitswap"])
def test_an_entropy_model_comes_back(sizes: NetworkConfig, carrier: torch.dtype) -> None:
    network, section = small_network(config=sizes), packed(sizes)
    model, layouts = unpack_entropy(section)
    model = model.on(torch.device("cpu"), carrier)
    again = model.network
    assert model.kind == sizes.kind and again.config == sizes and layouts == LAYOUTS
    for level in ("top", "bottom"):
        np.testing.assert_array_equal(model.tables[level], tables()[level])
    layers = int_layers(network)
    for name, layer in int_layers(again).items():
        for key, array in layer.arrays().items():
            np.testing.assert_array_equal(array, layers[name].arrays()[key])
        frozen = layer.frozen if isinstance(layer, IntEmbedding) else (layer.frozen or [None])[0]
        assert frozen is not None and frozen.dtype == carrier
    for level in ("top", "bottom"):
        kept = getattr(network, level).last_integers()
        np.testing.assert_array_equal(getattr(again, level).last_integers(), kept)
    assert as_read(pack_entropy(model, layouts)) == section


def test_a_table_comes_back() -> None:
    section = packed_table()
    model, layouts = unpack_entropy(section)
    assert (section.version, section.config["kind"], model.kind) == ("3.0", "table", "table")
    assert len(section.data) == 2 * 2 * SMALL.codebook_size
    for level in ("top", "bottom"):
        np.testing.assert_array_equal(model.tables[level], tables()[level])
    assert as_read(pack_entropy(model, layouts)) == section


def test_a_bitswap_computes_what_it_did() -> None:
    network, again = small_network(), unpack_entropy(packed())[0].network
    codes = torch.randint(32, (3, 4, 4))
    with exact_arithmetic(torch.device("cpu")):
        for a, b in zip(
            network.top.posterior(0, codes, None), again.top.posterior(0, codes, None), strict=True
        ):
            assert torch.equal(a, b)


def test_unpacking_draws_no_random_numbers() -> None:
    models = packed_vqvae(), packed()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    unpack_vqvae(models[0])
    unpack_entropy(models[1])
    assert torch.equal(torch.get_rng_state(), before)


# --- damage ---


@dataclass(frozen=True)
class TableSizes:
    """The numbers in the config of a table."""

    codebook_size: int = SMALL.codebook_size


Unpack = Callable[[Section], object]
KINDS: dict[str, tuple[Callable[[], Section], Unpack, Any]] = {
    "vqvae 1.0": (lambda: packed_vqvae(HALVES), unpack_vqvae, SMALL_VQVAE),
    "vqvae 2.0": (packed_vqvae, unpack_vqvae, SMALL_VQVAE),
    "vqvae 3.0": (lambda: packed_vqvae(LARGER), unpack_vqvae, LARGER),
    "vqvae 4.0": (lambda: packed_vqvae(RISING), unpack_vqvae, RISING),
    "bitswap 1.0": (first_bitswap, unpack_entropy, SMALL),
    "bitswap 2.0": (packed, unpack_entropy, SMALL),
    "context 2.0": (lambda: packed(CONTEXT), unpack_entropy, CONTEXT),
    "bitswap 3.0": (lambda: packed(LATENTS), unpack_entropy, LATENTS),
    "table 3.0": (packed_table, unpack_entropy, TableSizes()),
}
GRIDS = ("weight_bits", "codebook_bits")


def made(kind: str) -> tuple[Config, bytes]:
    model = KINDS[kind][0]()
    return model.config, model.data


def unpacked(kind: str, config: Any, blob: bytes) -> object:
    return KINDS[kind][1](Section(kind.split()[1], config, blob))


def refused(kind: str, config: Any, blob: bytes, error: type[DrrError] = CorruptError) -> None:
    """It raises ``error`` within 2 seconds, in less than 64 MiB of Python's own memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(error):
            unpacked(kind, config, blob)
        assert time.process_time() - began < 2
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_blobs_of_another_size_are_refused(kind: str) -> None:
    config, blob = made(kind)
    for damaged in (b"", blob[:1], blob[: len(blob) // 2], blob[:-1], blob + b"\0", blob * 2):
        refused(kind, config, damaged)


def sizes(kind: str) -> list[str]:
    """The names of the numbers in a config, which versions have more and more of."""
    absent = {
        "1.0": (*GRIDS, "stride", "first_channels"),
        "2.0": ("stride", "first_channels"),
        "3.0": ("first_channels",),
    }.get(kind.split()[1], ())
    return [name for name in asdict(KINDS[kind][2]) if name not in absent]


BAD = [-1, 0, 4097, 10**18, "8", "", None, [8], {}, True, False, float("nan"), float("inf")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_hostile_numbers_are_refused(kind: str, bad: object) -> None:
    config, blob = made(kind)
    for name in sizes(kind):
        if config[name] != bad and not (name in GRIDS and bad == 0 and bad is not False):
            refused(kind, {**config, name: bad}, blob)


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_of_channels_are_refused(kind: str) -> None:
    config, blob = made(kind)
    for name in sizes(kind):
        if isinstance(config[name], int):
            refused(kind, {**config, name: config[name] + 0.5}, blob)
            refused(kind, {**config, name: float(config[name])}, blob)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_keys_and_other_shapes_of_config_are_refused(kind: str) -> None:
    config, blob = made(kind)
    for name in config:
        refused(kind, {k: v for k, v in config.items() if k != name}, blob)
    for other in ([], "config", None, 7):
        refused(kind, other, blob)
    refused(kind, {}, blob)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_other_sizes_than_the_blobs_are_refused(kind: str) -> None:
    config, blob = made(kind)
    of_latents = {"latents", "top_channels", "bottom_channels", "latent_width"}
    without = {*GRIDS, "residual_blocks", *(of_latents if kind == "context 2.0" else ())}
    for name in sizes(kind):
        if isinstance(config[name], int) and name not in without:
            refused(kind, {**config, name: config[name] * 2}, blob, DrrError)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("bitswap 2.0", "latents"), ("bitswap 1.0", "blocks"), ("vqvae 2.0", "residual_blocks")],
)
@pytest.mark.parametrize("depth", [65, 4096])
def test_thousands_of_layers_are_refused_before_they_are_built(
    kind: str, name: str, depth: int
) -> None:
    """Even layers that hold nothing yet take their time: 4096 latents took 20 seconds."""
    config, blob = made(kind)
    if kind == "vqvae 2.0":
        config["activation_bits"]["hidden"] = [6] * depth
    with pytest.raises(CorruptError, match=f"{name} = {depth}, which is not valid"):
        unpacked(kind, {**config, name: depth}, blob)


@pytest.mark.parametrize("name", ["top_channels", "bottom_channels"])
def test_latents_of_very_many_channels_are_refused(name: str) -> None:
    config, blob = made("bitswap 2.0")
    with pytest.raises(CorruptError, match="latents of 513 channels, expected 512 at most"):
        unpacked("bitswap 2.0", {**config, name: 513}, blob)


@pytest.mark.parametrize("name", ["top_cell", "bottom_cell"])
@pytest.mark.parametrize("side", [3, 16, 4096])
def test_cells_that_are_no_small_power_of_two_are_refused(name: str, side: int) -> None:
    config, blob = made("bitswap 2.0")
    refused("bitswap 2.0", {**config, name: side}, blob)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("vqvae 1.0", {"residual_channels": 4096}),
        ("vqvae 2.0", {"channels": 1024, "embedding": 1024}),
        ("bitswap 1.0", {"latents": 64, "latent_width": 512}),
        ("bitswap 2.0", {"width": 1024, "latents": 64}),
        ("context 2.0", {"prediction_width": 4096, "embedding": 512}),
    ],
)
def test_huge_networks_are_refused_before_they_are_built(
    kind: str, changes: dict[str, int]
) -> None:
    config, blob = made(kind)
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
        unpacked(kind, {**config, **changes}, blob)
    assert sum(built) < 10 * len(blob)


@pytest.mark.parametrize("bad", [-9, 17, "5", 5.0, True, None, float("nan")])
def test_bad_activation_bits_are_refused(bad: object) -> None:
    config, blob = made("vqvae 2.0")
    bits = config["activation_bits"]
    for name in ("top", "joined", "residual", "upsampled"):
        refused("vqvae 2.0", {**config, "activation_bits": {**bits, name: bad}}, blob)
    refused("vqvae 2.0", {**config, "activation_bits": {**bits, "hidden": [bad, 3]}}, blob)
    refused("vqvae 2.0", {**config, "activation_bits": bad}, blob)
    without = {k: v for k, v in bits.items() if k != "hidden"}
    refused("vqvae 2.0", {**config, "activation_bits": without}, blob)


@pytest.mark.parametrize("upsampled", [6, [], [6], [6, 17], [6, "5"], [6, 5, 4]])
def test_bad_activation_bits_of_doublings_are_refused(upsampled: object) -> None:
    config, blob = made("vqvae 3.0")
    assert config["activation_bits"]["upsampled"] == [6, 5]
    bits = {**config["activation_bits"], "upsampled": upsampled}
    refused("vqvae 3.0", {**config, "activation_bits": bits}, blob)


@pytest.mark.parametrize("upsampled", [[6], [6, 5]])
def test_the_first_versions_have_one_doubling_before_the_last(upsampled: object) -> None:
    config, blob = made("vqvae 2.0")
    bits = {**config["activation_bits"], "upsampled": upsampled}
    refused("vqvae 2.0", {**config, "activation_bits": bits}, blob)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_stride_has_no_meaning_in_the_first_versions(version: str) -> None:
    config, blob = made(f"vqvae {version}")
    again, _ = unpack_vqvae(Section(version, {**config, "stride": 8}, blob))
    assert again.config.stride == 4


@pytest.mark.parametrize("version", ["1.0", "2.0", "3.0"])
def test_channels_that_rise_have_no_meaning_in_earlier_versions(version: str) -> None:
    config, blob = made(f"vqvae {version}")
    again, _ = unpack_vqvae(Section(version, {**config, "first_channels": 2}, blob))
    assert again.config.first_channels == 0


@pytest.mark.parametrize("first", [1, 16])
def test_channels_that_do_not_rise_to_all_are_refused(first: int) -> None:
    config, blob = made("vqvae 4.0")
    refused("vqvae 4.0", {**config, "first_channels": first, "stride": 4}, blob)


def test_a_network_whose_half_of_the_channels_is_none_is_refused() -> None:
    config, _ = made("vqvae 1.0")
    data = bytes(2 * 2721)  # the numbers of its layers, without those of layers of no channels
    refused("vqvae 1.0", {**config, "channels": 1}, data)


@pytest.mark.parametrize("stride", [1, 12, 32, 64])
def test_strides_that_no_network_has_are_refused(stride: int) -> None:
    config, blob = made("vqvae 3.0")
    refused("vqvae 3.0", {**config, "stride": stride}, blob)


@pytest.mark.parametrize("hidden", [[], [3], [3, 3, 3]])
def test_activation_bits_of_another_number_of_blocks_are_refused(hidden: list[int]) -> None:
    config, blob = made("vqvae 2.0")
    bits = {**config["activation_bits"], "hidden": hidden}
    refused("vqvae 2.0", {**config, "activation_bits": bits}, blob)


@pytest.mark.parametrize(
    "change",
    [{"plain_images": -1}, {"plain_images": 2**40}, {"group": 0}, {"group": 5000}, {"lanes": 0},
     {"lanes": 10**9}, {"lanes": "8"}, {"group": True}, {"lanes": True},
     {"plain_images": False}, {"group": 2.0}, {"plain_images": None},
     {"plain_images": float("nan")}],
)  # fmt: skip
def test_bad_layouts_are_refused(change: dict[str, object]) -> None:
    config, blob = made("bitswap 2.0")
    for level in ("top", "bottom"):
        kept = {**config["streams"], level: {**config["streams"][level], **change}}
        refused("bitswap 2.0", {**config, "streams": kept}, blob)
        kept = {k: v for k, v in config["streams"].items() if k != level}
        refused("bitswap 2.0", {**config, "streams": kept}, blob)


@pytest.mark.parametrize("kind", ["vqvae 1.0", "vqvae 2.0"])
def test_weights_that_are_no_numbers_are_refused(kind: str) -> None:
    config, blob = made(kind)
    for bits in (0x7C00, 0xFC00, 0x7E00):  # infinities, NaN
        damaged = blob[:100] + bits.to_bytes(2, "little") + blob[102:]
        refused(kind, config, damaged)


@pytest.mark.parametrize(
    ("kind", "start"), [("bitswap 1.0", -2 * 32), ("bitswap 2.0", 0), ("table 3.0", 0)]
)
def test_tables_that_do_not_add_up_are_refused(kind: str, start: int) -> None:
    config, blob = made(kind)
    start %= len(blob)
    before, table, after = blob[:start], blob[start : start + 64], blob[start + 64 :]
    for index, change in ((0, 1), (3, -1)):
        damaged = np.frombuffer(table, "<u2").copy()
        damaged[index] = int(damaged[index]) + change & 0xFFFF
        refused(kind, config, before + damaged.tobytes() + after)
    damaged = np.frombuffer(table, "<u2").copy()
    damaged[np.argmax(damaged)] += damaged[1]
    damaged[1] = 0
    refused(kind, config, before + damaged.tobytes() + after)


@pytest.mark.parametrize("kind", ["bitswap 1.0", "bitswap 2.0", "context 2.0", "table 3.0"])
def test_random_blobs_are_errors_of_ours_or_models(kind: str) -> None:
    config, blob = made(kind)
    for seed in range(5):
        noise = np.random.default_rng(seed).bytes(len(blob))
        with pytest.raises((CorruptError, ExactnessError)):
            unpacked(kind, config, noise)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_never_give_another_kind_of_error(kind: str) -> None:
    config, blob = made(kind)
    for bit in np.random.default_rng(0).choice(8 * len(blob), 60, replace=False):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << int(bit) % 8
        try:
            found = unpacked(kind, config, bytes(damaged))
        except DrrError:
            continue
        assert isinstance(found, tuple)


@pytest.mark.parametrize("beyond", [128, -128, 3000])
def test_embeddings_beyond_the_bound_are_refused(beyond: int) -> None:
    """The bound of the sums rests on 127, and packed integers may be larger."""
    layer = IntEmbedding(4, 2)
    table = np.full((4, 2), 127, np.int16)
    layer.load_arrays({"weight": table})
    table[3, 1] = beyond
    with pytest.raises(ExactnessError, match="an embedding is outside"):
        layer.load_arrays({"weight": table})


def test_latents_of_many_channels_are_refused() -> None:
    config, blob = made("bitswap 3.0")
    refused("bitswap 3.0", {**config, "channels": 65}, blob)
