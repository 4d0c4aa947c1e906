"""A codec for images twice as large begins as the one that it is made of, on halved images."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import SMALL_VQVAE, small_vqvae

from drrpack.core.families import LARGE, MEDIUM
from drrpack.core.vqvae import as_stored
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("doubled")


def test_codes_and_pixels_are_those_of_halved_images(script: ModuleType) -> None:
    network = small_vqvae(config=replace(SMALL_VQVAE, channels=32, stride=8))
    made = as_stored(script.doubled(network))  # as it is stored
    assert made.config == replace(network.config, stride=16, first_channels=8)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    halved = [
        np.asarray(Image.fromarray(one).reduce(2), dtype=np.float32)  # Pillow's means of 2x2
        for one in pixels
    ]
    full, half = (torch.from_numpy(np.stack(list(x)).astype(np.float32)) for x in (pixels, halved))
    full, half = (x.permute(0, 3, 1, 2) / 127.5 - 1 for x in (full, half))
    with torch.inference_mode():
        codes, wanted = made.encode(full), network.encode(half)
        images = made.decode(*wanted)
        expected = network.decode(*wanted).repeat_interleave(2, 2).repeat_interleave(2, 3)
    same = [float((a == b).float().mean()) for a, b in zip(codes, wanted, strict=True)]
    assert min(same) > 0.9  # Pillow rounds to whole levels, so a few are near a tie
    torch.testing.assert_close(images, expected)
    unread = made.encoder_bottom[0].weight[6:]  # what a fit has to begin with
    assert len(unread) == 2 and float(unread.abs().max()) > 0


def test_the_file_is_a_codec_of_the_large_family(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (medium,) = shipped.paths(MEDIUM)
    output = tmp_path / "start.drr"
    monkeypatch.setattr("sys.argv", ["doubled.py", str(medium), "-o", str(output)])
    script.main()
    codecs = []
    for path in (output, medium):
        with Reader(path) as reader:
            codecs.append(load_codec(reader, torch.device("cpu"), encoder=True))
    made, before = codecs
    assert made.vqvae.config == LARGE.vqvae and made.encoder.quality == before.encoder.quality
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    picture = coarse.resize((128, 128), Image.Resampling.BICUBIC)
    pixels, halved = (np.array(one)[None] for one in (picture, picture.reduce(2)))
    found = made.decode(made.encode(pixels), (128, 128)).astype(float)
    wanted = before.decode(before.encode(halved), (64, 64)).repeat(2, 1).repeat(2, 2)
    assert np.abs(found - wanted).mean() < 8  # levels: ties, and scales of activations
