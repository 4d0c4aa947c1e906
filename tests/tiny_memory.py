"""Real ``.drr`` files of scikit-learn's digits in seconds: by tiny networks or a given codec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import SMALL_VQVAE

from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextConfig
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.families import FAMILIES, Family
from drrpack.operations import encode as encoding
from drrpack.operations import encode_codecs
from drrpack.operations.encode_plan import plan_encode
from drrpack.operations.encoding import models
from drrpack.operations.encoding.options import EncodeOptions
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.fitting.plan import FitPlan, FitSizes
from drrpack.trainers.fitting.presets import OWN

GOLDEN_BITSWAP = Path(__file__).parent / "golden" / "bitswap.drr"
GOLDEN_CONTEXT = GOLDEN_BITSWAP.with_name("context.drr")
TRAIN, TEST, SIDE = 30, 8, 32  # pictures of each digit, and pixels
TINY_BITSWAP = BitSwapConfig(
    codebook_size=32, latents=3, same_grid=1, channels=1, embedding=8, width=8, latent_width=8,
    prediction_width=16,
)  # fmt: skip
TINY_CONTEXT = ContextConfig(codebook_size=32, embedding=8, width=8)
# A stream of 30 images must have images that Bit-Swap codes: few lanes are soon paid for. A larger
# group means fewer calls of the networks, which is what tests wait for.
TINY_WIDTHS = ((4, 2),)  # images of a group, lanes
TINY_SIZES = FitSizes(features_width=2, vqvae_batch=16, entropy_batch=128)  # more, smaller steps
TINY_PLAN = partial(FitPlan, vqvae=SMALL_VQVAE, entropy=(TINY_BITSWAP,), sizes=TINY_SIZES)
TINY_FAMILIES = {
    "small": Family("small", 48, SMALL_VQVAE),
    "medium": Family("medium", 128, replace(SMALL_VQVAE, stride=8)),
}


def write_digits(folder: Path, train: int = TRAIN, test: int = TEST, side: int = SIDE) -> Path:
    """``folder``/train and test with classes "0" to "9", scans enlarged to ``side`` pixels."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    for digit in range(10):
        for place, index in enumerate(np.flatnonzero(digits.target == digit)[: train + test]):
            split = "train" if place < train else "test"
            picture = folder / split / str(digit) / f"{index:04}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[index]).resize((side, side)).save(picture)
    return folder


@contextmanager
def tiny_networks(*entropy: NetworkConfig) -> Iterator[None]:
    """Within it `drrpack.operations.encode_codecs` fits networks of this file's size, with these
    entropy models, or Bit-Swap."""
    entropy = entropy or (TINY_BITSWAP,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode_codecs, "FitPlan", TINY_PLAN)
        patch.setattr(models, "OWN", replace(OWN, entropy=entropy))
        for name, family in TINY_FAMILIES.items():
            patch.setitem(FAMILIES, name, family)
        patch.setattr("drrpack.core.layouts.WIDTHS", TINY_WIDTHS)
        yield


@contextmanager
def one_thread_alone() -> Iterator[None]:
    """Networks this small lose more time between threads than in them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def options_for(source: Path, output: Path, epochs: int = 1, **more: Any) -> EncodeOptions:
    """What to encode, with a codec of its own unless one is given."""
    given = {"fit": "no" if "codec" in more else "scratch", **more}
    return EncodeOptions(source, output, torch.device("cpu"), Budget(epochs=epochs), **given)


def encode_tiny(source: Path, output: Path, epochs: int = 1, **more: Any) -> Path:
    """What ``drrpack encode`` does; where it fits networks they are tiny."""
    with tiny_networks(), one_thread_alone():
        return encoding.carry_out(plan_encode(options_for(source, output, epochs, **more)))
