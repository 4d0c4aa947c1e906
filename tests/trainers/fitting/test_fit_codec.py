"""Both networks fitted in a row: the codec they give, its log, and going on from checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import CONTEXT, LATENTS, SMALL, SMALL_VQVAE
from tiny_memory import TINY_BITSWAP, TINY_CONTEXT, TINY_PLAN, TINY_WIDTHS

from drrpack.core.codec import Codec
from drrpack.core.layouts import lay_out
from drrpack.formats import memory
from drrpack.formats.sources.source import open_source
from drrpack.trainers.fitting.codec import fit_codec
from drrpack.trainers.fitting.estimate import expected_bytes
from drrpack.trainers.fitting.loop import Budget, FitProgress
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.fitting.presets import PRESETS

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(digits_folder: Path) -> NDArray[np.uint8]:
    source = open_source(digits_folder, splits=["train"])
    return np.concatenate([source.load(0), source.load(1)])


def plan_of(epochs: int = 1, seed: int = 0, checkpoints: Path | None = None) -> FitPlan:
    return TINY_PLAN(Budget(epochs=epochs), CPU, seed, checkpoints=checkpoints)


LABELS = np.repeat([0, 1], 30)


def fitted(images: NDArray[np.uint8], plan: FitPlan) -> Codec:
    return fit_codec(images, plan, labels=LABELS)[0][0]


def weights(codec: Codec) -> tuple[bytes, bytes]:
    vqvae, entropy = memory.sections(codec)
    return vqvae.data, entropy.data


@pytest.fixture(scope="module")
def undisturbed(images: NDArray[np.uint8]) -> Codec:
    return fitted(images, plan_of())


def test_the_codec_codes_what_it_was_fitted_on(
    undisturbed: Codec, images: NDArray[np.uint8]
) -> None:
    codes = [undisturbed.encode(images[:30]), undisturbed.encode(images[30:])]
    codec, made = lay_out(undisturbed, codes, TINY_WIDTHS)  # decodes it, and compares
    assert codec.top.layout.plain_images < 30
    assert [streams.images for streams in made] == [30, 30]


def test_a_layout_that_cant_be_paid_for_is_made_anew(
    undisturbed: Codec, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [undisturbed.encode(images[:30]), undisturbed.encode(images[30:])]
    monkeypatch.setattr("drrpack.core.layouts.plain_images_needed", lambda *_: 0)  # too few
    codec, made = lay_out(undisturbed, codes, TINY_WIDTHS)
    assert codec.top.layout.plain_images > 0
    assert codec.decompress(made, (4, 4))[1].digest == codes[1].digest


def test_what_is_used_is_what_is_stored(undisturbed: Codec) -> None:
    for name, tensor in undisturbed.vqvae.state_dict().items():
        kept = tensor.half().float()
        if name.endswith((".weight", ".codebook")):
            unit = 2.0 ** (8 if name.endswith(".codebook") else 7)
            kept = (tensor * unit).round() / unit
        assert torch.equal(tensor, kept), name


@pytest.mark.parametrize("labelled", [True, False])
def test_log_and_reports(images: NDArray[np.uint8], labelled: bool) -> None:
    reports: list[FitProgress] = []
    labels = LABELS[22:38] if labelled else np.zeros(16, np.int64)
    _, log = fit_codec(images[22:38], plan_of(), reports.append, labels)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == [*["features"][: int(labelled)], "VQ-VAE", "bitswap top", "bitswap bottom"]
    assert {"steps", "epochs", "seconds", "psnr_db"} <= set(log["vqvae"])
    for level in ("bitswap_top", "bitswap_bottom"):
        assert {"steps", "bits_per_code"} <= set(log[level])
    assert [fitted.get("steps") for fitted in log.values()] == [1] * (3 + labelled)


def test_labels_matter(undisturbed: Codec, images: NDArray[np.uint8]) -> None:
    (plain,), _ = fit_codec(images, plan_of())
    assert weights(plain)[0] != weights(undisturbed)[0]


def test_the_seed_decides(undisturbed: Codec, images: NDArray[np.uint8]) -> None:
    assert weights(fitted(images, plan_of())) == weights(undisturbed)
    other = weights(fitted(images, plan_of(seed=1)))
    assert other[0] != weights(undisturbed)[0] and other[1] != weights(undisturbed)[1]


def test_checkpoints_are_of_these_data_and_this_network(
    undisturbed: Codec, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = tmp_path / "fit"
    fitted(images, plan_of(checkpoints=folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "bitswap-bottom.pt", "bitswap-top.pt", "features.pt", "vqvae.pt",
    ]  # fmt: skip
    other = images.copy()
    other[0] ^= 255
    changed = fitted(other, plan_of(checkpoints=folder))
    assert weights(changed) == weights(fitted(other, plan_of()))
    smaller = replace(plan_of(), vqvae=replace(plan_of().vqvae, channels=8))
    kept = replace(smaller, checkpoints=folder)
    assert weights(fitted(images, kept)) == weights(fitted(images, smaller))
    assert weights(fitted(images, plan_of(checkpoints=folder))) == weights(undisturbed)


def test_two_entropy_models_share_a_vqvae(images: NDArray[np.uint8]) -> None:
    plan = replace(plan_of(), entropy=(TINY_CONTEXT, TINY_BITSWAP))
    (context, bitswap), log = fit_codec(images, plan)
    codes = [context.encode(images)]
    for codec in (context, bitswap):
        lay_out(codec, codes, TINY_WIDTHS)  # decodes it, and compares
    assert weights(context)[0] == weights(bitswap)[0]
    assert [codec.entropy.kind for codec in (context, bitswap)] == ["context", "bitswap"]
    stages = ("context", "thrifty", "bitswap")
    levels = [f"{stage}_{level}" for stage in stages for level in ("top", "bottom")]
    assert list(log) == ["vqvae", *levels, "decoder"]


def test_a_context_model_begins_with_the_likelihood_of_the_first_bitswap() -> None:
    torch.manual_seed(0)
    earlier, context = SMALL.network(), CONTEXT.network()
    assert context.start_likelihood_from(earlier)
    for name, tensor in context.state_dict().items():
        assert torch.equal(tensor, earlier.state_dict()[name]), name
    assert not context.start_likelihood_from(LATENTS.network())
    assert not replace(CONTEXT, width=16).network().start_likelihood_from(earlier)


def test_the_best_quality_is_not_fitted_to_thrift(images: NDArray[np.uint8]) -> None:
    context = TINY_CONTEXT
    _, log = fit_codec(images, replace(plan_of(), entropy=(context,), quality=100))
    assert list(log) == ["vqvae", "context_top", "context_bottom"]


def quality(codec: Codec, images: NDArray[np.uint8]) -> tuple[float, float]:
    """Squared error, and the bytes of the codes."""
    codes = codec.encode(images)
    error = codec.decode(codes, (32, 32)).astype(float) - images
    return float(np.square(error).mean()), expected_bytes(codec, codes)


def test_a_fit_goes_on_from_a_codec(undisturbed: Codec, images: NDArray[np.uint8]) -> None:
    plan = replace(plan_of(epochs=8), start=[undisturbed])
    further = fitted(images, plan)
    before, after = quality(undisturbed, images), quality(further, images)
    assert after[0] < before[0] and after[1] < before[1]


def test_a_wide_start_is_narrowed(images: NDArray[np.uint8]) -> None:
    start = fitted(images, plan_of(epochs=8))
    narrow = replace(
        plan_of(),
        vqvae=replace(SMALL_VQVAE, embedding=4),
        entropy=(replace(TINY_BITSWAP, embedding=4),),
    )
    further = fitted(images, replace(narrow, start=[start]))
    assert further.vqvae.config.embedding == further.entropy.network.config.embedding == 4
    before, after = quality(start, images), quality(further, images)
    anew = quality(fitted(images, narrow), images)
    assert after[0] < 1.02 * before[0]
    assert after[1] < anew[1] / 2, "it has not begun from scratch"


def test_a_start_of_another_grid_and_size(images: NDArray[np.uint8]) -> None:
    """What is fitted further keeps the size of its networks, but for embeddings that are wider than
    the plan's; its grid is the plan's."""
    coarse = replace(plan_of(), entropy=(replace(TINY_BITSWAP, weight_bits=4),))
    halves = replace(coarse, vqvae=replace(SMALL_VQVAE, weight_bits=0, codebook_bits=0))
    start = fitted(images, halves)
    further = fitted(images, replace(plan_of(), start=[start]))
    assert further.vqvae.config == SMALL_VQVAE
    assert further.entropy.network.config == TINY_BITSWAP


PARTS: dict[str, tuple[dict[str, object], NDArray[np.int64] | None]] = {
    "all": ({}, LABELS),
    "no labels": ({}, None),
    "nearest codes": ({"quality": 100}, LABELS),
    "latents alone": ({"entropy": (TINY_BITSWAP,)}, LABELS),
    "as the paper": ({"entropy": (TINY_BITSWAP,), "preset": PRESETS["paper"]}, LABELS),
    "no entropy model": ({"entropy": ()}, LABELS),
}


@pytest.mark.parametrize("given", PARTS)
def test_minutes_are_for_whatever_is_fitted(given: str, images: NDArray[np.uint8]) -> None:
    """Each network stops when its share of the time is over, so together they take all of it."""
    changes, labels = PARTS[given]
    plan = replace(TINY_PLAN(Budget(minutes=2 / 60), CPU), **changes)  # type: ignore[arg-type]
    log = fit_codec(images, plan, labels=labels)[1]
    assert sum(one["seconds"] for one in log.values()) >= 2 * 0.99
