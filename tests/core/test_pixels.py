"""Pixels from codes: the same bytes however the decoder runs, and close to the float decoder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import SMALL_VQVAE, convolutions_run, small_vqvae
from torch import Tensor

from drrpack.core import by_rows, codec
from drrpack.core.arrays import batches
from drrpack.core.codes import Codes
from drrpack.core.entropy.table import TableModel
from drrpack.core.exact import exact_arithmetic
from drrpack.core.int_layer import IntProduct
from drrpack.core.pixels import ActivationBits, PixelDecoder, calibrate
from drrpack.core.vqvae import VQVAE, VQVAEConfig

CPU = torch.device("cpu")
LARGER = replace(SMALL_VQVAE, stride=8)
RISING = replace(SMALL_VQVAE, stride=16, first_channels=4)


def random_codes(
    count: int, shape: tuple[int, int] = (4, 4), size: int = 32, seed: int = 0
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = shape
    top = torch.randint(size, (count, rows, columns), generator=generator)
    return top, torch.randint(size, (count, 2 * rows, 2 * columns), generator=generator)


def decoder_of(network: VQVAE, carrier: torch.dtype = torch.float32) -> PixelDecoder:
    bits = calibrate(network, *random_codes(64, size=network.config.codebook_size, seed=5))
    return PixelDecoder(network, bits, carrier)


def float_pixels(network: VQVAE, top: Tensor, bottom: Tensor) -> Tensor:
    with torch.inference_mode():
        return ((network.decode(top, bottom).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "config",
    [SMALL_VQVAE, VQVAEConfig(), LARGER, replace(SMALL_VQVAE, stride=16), RISING],
    ids=["small", "default", "stride 8", "stride 16", "rising"],
)
def test_pixels_are_close_to_the_float_decoders(seed: int, config: VQVAEConfig) -> None:
    network = small_vqvae(seed, config)
    side = 8 * config.stride
    codes = random_codes(16, size=config.codebook_size, seed=seed + 10)
    with exact_arithmetic(CPU):
        found = decoder_of(network)(*codes)
    wanted = float_pixels(network, *codes)
    assert found.dtype == torch.uint8 and found.shape == (16, side, side, 3)
    assert wanted.std() > 10  # there is something to be close to
    assert (found.float() - wanted).abs().mean() < 1.5


WAYS = [
    {},
    {"threads": 2},
    {"micro_batch": 1},
    {"micro_batch": 7},
    {"channels_last": True},
    {"mkldnn": False},
    {"micro_batch": 7, "channels_last": True, "mkldnn": False, "threads": 2},
]


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "config",
    [VQVAEConfig(codebook_size=32), LARGER, RISING],
    ids=["default", "stride 8", "rising"],
)
def test_bytes_do_not_depend_on_how_the_decoder_runs(
    config: VQVAEConfig, carrier: torch.dtype
) -> None:
    network = small_vqvae(config=config)
    top, bottom = random_codes(64, (2, 2))
    with exact_arithmetic(CPU), convolutions_run():
        reference = decoder_of(network)
        wanted = torch.cat([reference(t[None], b[None]) for t, b in zip(top, bottom, strict=True)])
        decoder = decoder_of(network, carrier)
    for way in WAYS:
        for batch in (1, 7, 64):
            with exact_arithmetic(CPU), convolutions_run(**way):
                assert torch.equal(decoder(top[:batch], bottom[:batch]), wanted[:batch]), way


def test_the_bytes_of_the_float_decoder_do_depend_on_it() -> None:
    """Else the test above could not fail."""
    network = small_vqvae(config=VQVAEConfig(codebook_size=32))
    top, bottom = random_codes(64, (2, 2))
    whole = float_pixels(network, top, bottom)
    alone = torch.cat([float_pixels(network, top[i : i + 1], bottom[i : i + 1]) for i in range(64)])
    with convolutions_run(mkldnn=False):
        other = float_pixels(network, top, bottom)
    assert not (torch.equal(whole, alone) and torch.equal(whole, other))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_cuda_gives_the_bytes_of_the_cpu(carrier: torch.dtype) -> None:
    network = small_vqvae(config=VQVAEConfig(codebook_size=32))
    top, bottom = random_codes(64)
    with exact_arithmetic(CPU):
        wanted = decoder_of(network)(top, bottom)
    cuda = torch.device("cuda")
    decoder = decoder_of(network, carrier).move(cuda)
    with exact_arithmetic(cuda):
        assert torch.equal(decoder(top.cuda(), bottom.cuda()).cpu(), wanted)


@pytest.mark.parametrize("in_bytes", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "config", [SMALL_VQVAE, LARGER, RISING], ids=["small", "stride 8", "rising"]
)
def test_rows_that_are_decoded_apart_are_those_of_the_whole(
    config: VQVAEConfig, blocks: int, in_bytes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_vqvae(config=replace(config, residual_blocks=blocks))
    codes = random_codes(2, (40, 3))
    decoder = decoder_of(network)
    decoder = decoder.move(CPU) if in_bytes else decoder
    sizes = list[int]()
    for layer in decoder.modules():
        if isinstance(layer, IntProduct):
            layer.register_forward_hook(lambda _, __, out: sizes.append(out.numel()))
    with exact_arithmetic(CPU):
        wanted = decoder(*codes)
        whole = max(sizes)
        sizes.clear()
        monkeypatch.setattr(by_rows, "NUMBERS_AT_ONCE", 1)
        found = decoder(*codes)
    assert torch.equal(found, wanted)
    assert max(sizes) <= whole / 2 * min(1, 3 * (3 + blocks) / 40), "of one image, and a few rows"


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
@pytest.mark.parametrize("config", [SMALL_VQVAE, LARGER], ids=["stride 4", "stride 8"])
def test_any_grid_goes(shape: tuple[int, int], config: VQVAEConfig) -> None:
    network = small_vqvae(config=config)
    codes = random_codes(2, shape)
    with exact_arithmetic(CPU):
        found = decoder_of(network)(*codes)
    side = 2 * config.stride
    assert found.shape == (2, side * shape[0], side * shape[1], 3)
    assert (found.float() - float_pixels(network, *codes)).abs().mean() < 3


def test_small_scales_hold_the_largest_activations() -> None:
    """Twice the weights in the middle: other scales are chosen, and the pictures stay close."""
    network = small_vqvae()
    with torch.no_grad():
        network.decoder[0].weight.mul_(16.0)
    codes = random_codes(8)
    plain = calibrate(small_vqvae(), *random_codes(64, seed=5))
    bits = calibrate(network, *random_codes(64, seed=5))
    assert bits.residual < plain.residual
    wanted = float_pixels(network, *codes)

    def error(chosen: ActivationBits) -> float:
        with exact_arithmetic(CPU):
            found = PixelDecoder(network, chosen)(*codes)
        return float((found.float() - wanted).abs().mean())

    assert error(bits) < 5  # of 255; the outputs are large now, and so are their roundings
    assert error(plain) > 2 * error(bits)


@pytest.mark.parametrize("config", [SMALL_VQVAE, VQVAEConfig(codebook_size=32)])
def test_a_residual_block_that_is_always_off_is_no_trouble(config: VQVAEConfig) -> None:
    network = small_vqvae(config=config)
    with torch.no_grad():
        network.decoder[1].conv3.bias.fill_(-100.0)
    codes = random_codes(8)
    bits = calibrate(network, *random_codes(64, seed=5))
    assert ActivationBits.from_json(bits.to_json()) == bits
    with exact_arithmetic(CPU):
        found = PixelDecoder(network, bits)(*codes)
    assert (found.float() - float_pixels(network, *codes)).abs().mean() < 1.5


# --- the scales as JSON ---

BITS = ActivationBits(top=5, joined=-8, residual=16, hidden=(3, 4), upsampled=(0,))


@pytest.mark.parametrize(
    ("images", "side", "calibrated"),
    [(600, 32, 600), (1_500, 32, 750), (1_500, 64, 250), (300, 256, 16), (2, 2048, 1)],
)
def test_scales_are_of_no_more_pixels_than_fit_into_memory(
    images: int, side: int, calibrated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(network: VQVAE, top: Tensor, bottom: Tensor) -> ActivationBits:
        seen.append(len(bottom))
        return calibrate(network, top[:1], bottom[:1])

    monkeypatch.setattr(codec, "calibrate", counted)
    codes = Codes.empty((side // 8, side // 8), images)
    codes.top[:] = codes.bottom[:] = 0
    codec.finish(small_vqvae(), TableModel.fitted(codes, 32), codes, torch.device("cpu"))
    assert seen == [calibrated]


def test_scales_come_back_from_json() -> None:
    for bits, upsampled in ((BITS, 0), (replace(BITS, upsampled=(4, 0)), [4, 0])):
        kept = json.loads(json.dumps(bits.to_json()))
        assert ActivationBits.from_json(kept) == bits
        assert kept["upsampled"] == upsampled


@pytest.mark.parametrize("bad", [-9, 17, 10**30, "5", 5.0, float("nan"), None, [5]])
def test_bad_scales_are_refused(bad: object) -> None:
    for name in ("top", "joined", "residual", "upsampled"):
        with pytest.raises(ValueError):
            ActivationBits.from_json({**BITS.to_json(), name: bad})
    with pytest.raises(ValueError):
        ActivationBits.from_json({**BITS.to_json(), "hidden": [3, bad]})


@pytest.mark.parametrize("bad", ["34", 3, None, {"0": 3}])
def test_scales_of_the_blocks_are_a_list(bad: object) -> None:
    with pytest.raises(ValueError, match="list"):
        ActivationBits.from_json({**BITS.to_json(), "hidden": bad})


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (3, 3), (10, 3)])
def test_batches_cover_everything_once(count: int, size: int) -> None:
    parts = list(batches(count, size))
    assert np.concatenate([np.arange(count)[p] for p in parts] or [[]]).tolist() == list(
        range(count)
    )
    assert all(p.stop - p.start <= size for p in parts)
