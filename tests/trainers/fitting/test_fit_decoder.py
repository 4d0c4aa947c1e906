"""The decoder fitted on the codes that are stored: what changes, what stays, and going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_memory import TINY_CONTEXT, TINY_PLAN

from drrpack.core.codec import Codec
from drrpack.core.entropy.sections import pack_entropy
from drrpack.core.pricing import with_quality
from drrpack.core.quality import psnr_db
from drrpack.core.vqvae import grid_bits, rounded
from drrpack.formats.sources.source import open_source
from drrpack.trainers.fitting import decoder as module
from drrpack.trainers.fitting.codec import fit_codec, fit_decoder
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.fitting.plan import FitPlan

pytestmark = pytest.mark.usefixtures("one_thread")

QUALITY = 25  # chooses many codes that are not the nearest
LABELS = np.repeat([0, 1], 30)


@pytest.fixture(scope="module")
def images(digits_folder: Path) -> NDArray[np.uint8]:
    source = open_source(digits_folder, splits=["train"])
    return np.concatenate([source.load(0), source.load(1)])


@pytest.fixture(scope="module")
def start(images: NDArray[np.uint8]) -> list[Codec]:
    """A codec whose decoder has seen the nearest codes alone."""
    context = TINY_CONTEXT
    plan = TINY_PLAN(Budget(epochs=20), torch.device("cpu"), quality=100, entropy=(context,))
    return fit_codec(images, plan)[0]


def plan_of(start: list[Codec], epochs: int = 10, checkpoints: Path | None = None) -> FitPlan:
    budget = Budget(epochs=epochs)
    return TINY_PLAN(
        budget, torch.device("cpu"), start=start, quality=QUALITY, checkpoints=checkpoints
    )


def decoded(codec: Codec, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    codec = with_quality([codec], QUALITY)[0]
    return codec.decode(codec.encode(images), (images.shape[1], images.shape[2]))


def test_better_images_of_the_same_codes(start: list[Codec], images: NDArray[np.uint8]) -> None:
    (made,), log = fit_decoder(images, plan_of(start))
    assert list(log) == ["decoder"] and {"steps", "psnr_db"} <= set(log["decoder"])
    before, after = (psnr_db(images, decoded(codec, images)) for codec in (start[0], made))
    assert after > before + 0.1
    old, new = (with_quality([codec], QUALITY)[0].encode(images) for codec in (start[0], made))
    assert old.digest == new.digest


@pytest.mark.parametrize("labels", [None, LABELS])
def test_minutes_are_for_whatever_is_fitted(
    start: list[Codec], images: NDArray[np.uint8], labels: NDArray[np.int64] | None
) -> None:
    plan = replace(plan_of(start), budget=Budget(minutes=2 / 60))
    log = fit_decoder(images, plan, labels=labels)[1]
    assert sum(one["seconds"] for one in log.values()) >= 2 * 0.99


def test_what_is_fitted_and_what_stays(start: list[Codec], images: NDArray[np.uint8]) -> None:
    before = {name: tensor.clone() for name, tensor in start[0].vqvae.state_dict().items()}
    (made,), log = fit_decoder(images, plan_of(start, epochs=20), labels=LABELS)
    assert list(log) == ["features", "decoder"]
    entropy = start[0].entropy
    kept = made.entropy.with_tables(entropy.tables)
    assert pack_entropy(kept, made.layouts) == pack_entropy(entropy, made.layouts)
    for name, tensor in made.vqvae.state_dict().items():
        assert torch.equal(start[0].vqvae.state_dict()[name], before[name]), "the start is kept"
        assert torch.equal(tensor, rounded(tensor, grid_bits(made.vqvae.config, name))), name
        if not name.startswith(("decoder.", "upsample_top.")):
            assert torch.equal(tensor, before[name]), name
    changed = made.vqvae.decoder[0].weight
    assert not torch.equal(changed, before["decoder.0.weight"])


def test_labels_matter(start: list[Codec], images: NDArray[np.uint8]) -> None:
    (plain,), _ = fit_decoder(images, plan_of(start))
    (seen,), _ = fit_decoder(images, plan_of(start), labels=LABELS)
    assert not np.array_equal(decoded(plain, images), decoded(seen, images))


class Killed(Exception):
    pass


def test_an_interrupted_fit_goes_on(
    start: list[Codec],
    images: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drrpack.trainers.fitting.loop.CHECKPOINT_SECONDS", 0.0)
    plan = plan_of(start, epochs=3, checkpoints=tmp_path)
    step = module.DecoderFit.step

    def killed(self: module.DecoderFit, *given: object) -> dict[str, float]:
        if self.steps == 4:
            raise Killed
        return step(self, *given)  # type: ignore[arg-type]

    (undisturbed,), _ = fit_decoder(images, replace(plan, checkpoints=None))
    with monkeypatch.context() as patch:
        patch.setattr(module.DecoderFit, "step", killed)
        with pytest.raises(Killed):
            fit_decoder(images, plan)
    (resumed,), _ = fit_decoder(images, plan)
    for name, tensor in undisturbed.vqvae.state_dict().items():
        assert torch.equal(tensor, resumed.vqvae.state_dict()[name]), name
