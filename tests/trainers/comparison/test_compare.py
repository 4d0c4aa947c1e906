"""What a comparison measures on real digits, and what it concludes from figures made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import CONTEXT, SMALL, small_model, small_vqvae, structured_codes

from drrpack.core.codec import finish
from drrpack.core.codes import Codes
from drrpack.core.encoder import Encoder
from drrpack.core.errors import CorruptError, OptionError, OutputError, ReadError, SourceError
from drrpack.core.layouts import lay_out
from drrpack.core.progress import Notice, Step
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.source import Source, open_source
from drrpack.trainers.comparison import (
    accuracy as compare_accuracy,
)
from drrpack.trainers.comparison import (
    chart as compare_chart,
)
from drrpack.trainers.comparison import (
    compare,
    peers,
    verdict,
)
from drrpack.trainers.comparison.accuracy import TrainPlan, accuracy, with_accuracy
from drrpack.trainers.comparison.choices import Choice, Comparison, Learned
from drrpack.trainers.fitting.estimate import expected_bytes
from drrpack.trainers.learning.recipes import get_recipe

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def file(family: str, quality: int, size: float, psnr: float) -> Choice:
    return Choice(family, f"q{quality}", size, 0, psnr, psnr / 40, 1.0, 1.0)


MEMORY = Choice("DRR", "q75", 50.0, 1_000_000, 24.0, 0.6, 1.0, 1.0)
JPEG = [file("JPEG", 10, 50, 20), file("JPEG", 20, 100, 22), file("JPEG", 40, 200, 26)]
AVIF = [file("AVIF", 10, 40, 20), file("AVIF", 20, 90, 25)]


def made(images: int = 10_000, memory: Choice = MEMORY) -> Comparison:
    raw = Choice("raw", "", 3072.0, 0, None, 1.0, None, None)
    return Comparison(images, 100, (32, 32), [raw, *JPEG, *AVIF, memory])


# --- conclusions ---


def test_bytes_of_equal_quality() -> None:
    assert verdict.equal_bytes(JPEG, 22) == pytest.approx(100)
    assert verdict.equal_bytes(JPEG, 24) == pytest.approx(100 * 2**0.5)
    assert verdict.equal_bytes(JPEG, 19) is verdict.equal_bytes(JPEG, 27) is None


def test_quality_of_equal_bytes() -> None:
    assert verdict.equal_quality(JPEG, 200) == pytest.approx(26)
    assert verdict.equal_quality(JPEG, 100 * 2**0.5) == pytest.approx(24)
    assert verdict.equal_quality(JPEG, 40) is verdict.equal_quality([], 40) is None
    assert verdict.equal_quality(JPEG, 300) == 26, "more bytes than it can use"
    assert verdict.equal_quality(JPEG[:1], 60) == 20


def test_from_how_many_images_on_models_pay() -> None:
    least = verdict.pays_from(MEMORY, JPEG)
    assert least is not None
    size = 100 * 2**0.5
    assert MEMORY.bytes_an_image(least) <= size < MEMORY.bytes_an_image(least - 1)
    assert verdict.pays_from(MEMORY, [file("X", 1, 30, 20), file("X", 2, 45, 25)]) is None
    assert verdict.pays_from(MEMORY, [file("X", 1, 30, 30), file("X", 2, 45, 35)]) is None


def test_the_winner_is_named() -> None:
    first, *rest = verdict.in_words(made(), MEMORY)  # 150 bytes an image, beyond AVIF's files
    found = "AVIF 25.00 dB, JPEG 24.34 dB, DRR q75 24.00 dB"
    assert first == f"at 150.0 bytes an image (10000 images): {found}; AVIF wins by PSNR"
    assert rest[0].startswith("DRR q75 is smaller from 10") and "JPEG" in rest[0]
    assert "AVIF" in rest[1]
    assert verdict.in_words(made(10**6), MEMORY)[0].endswith("DRR q75 wins by PSNR")


def test_where_no_quality_can_be_compared_nothing_is_called_never_smaller() -> None:
    """JPEG was measured from 20 to 26 dB; of a memory outside of that only this can be said."""
    for psnr, words in (
        (19.0, "DRR q75 has a lower PSNR than any quality of JPEG measured here"),
        (27.0, "DRR q75 has a PSNR that no quality of JPEG measured here reaches"),
        (20.0, "DRR q75 is never smaller than JPEG of its PSNR"),
    ):
        memory = replace(MEMORY, psnr_db=psnr)
        assert words in verdict.in_words(made(memory=memory), memory)
    thin = replace(MEMORY, fixed_bytes=0)
    assert "however few the images" in verdict.in_words(made(memory=thin), thin)[1]


def test_nothing_wins_over_what_is_smaller_and_loses_nothing() -> None:
    words = verdict.in_words(made(100), MEMORY)[0]  # 10,050 bytes an image, mostly of models
    assert "raw needs only 3072.0 bytes and loses nothing, JPEG 26.00 dB, AVIF 25.00 dB" in words
    assert words.endswith("DRR q75 24.00 dB; raw wins by PSNR")
    png = Choice("PNG", "", 2000.0, 0, None, 1.0, None, None)
    few = replace(made(100), choices=[*made().choices, png])
    assert verdict.in_words(few, MEMORY)[0].endswith("PNG wins by PSNR")
    enough = replace(few, images=1000)  # 1,050 bytes an image
    assert "loses nothing" not in verdict.in_words(enough, MEMORY)[0]


def test_accuracy_decides_where_it_was_measured() -> None:
    better = Choice("DRR", "q75", 50.0, 1_000_000, 24.0, 0.6, 1.0, 1.0, 61.0, None)
    words = verdict.in_words(made(memory=better), better)
    assert "DRR q75 wins by accuracy: 61.0 % of raw test images at 150.0" in words[1]
    larger = replace(JPEG[2], accuracy=70.0)  # 200 bytes: better, and no rival at 150
    comparison = Comparison(10_000, 100, (32, 32), [larger, better])
    assert "DRR q75 wins by accuracy" in verdict.in_words(comparison, better)[1]
    smaller = replace(JPEG[1], accuracy=70.0)
    comparison = Comparison(10_000, 100, (32, 32), [smaller, better])
    assert "JPEG q20 wins by accuracy" in verdict.in_words(comparison, better)[1]


def test_what_is_level_does_not_win() -> None:
    level = [replace(JPEG[0], accuracy=24.0), replace(JPEG[1], accuracy=24.04)]
    memory = Choice("DRR", "q75", 50.0, 1_000_000, 24.0, 0.6, 1.0, 1.0, 24.0, None)
    words = verdict.in_words(Comparison(10_000, 100, (32, 32), [*level, memory]), memory)
    assert "none wins by accuracy: all come to 24.0 %" in words[1]


def test_bytes_that_teach_as_much() -> None:
    learned = [(400.0, 60.0), (100.0, 50.0), (200.0, 55.0)]
    assert verdict.for_accuracy(learned, 55.0) == ("about", pytest.approx(200))
    assert verdict.for_accuracy(learned, 57.5) == ("about", pytest.approx(200 * 2**0.5))
    assert verdict.for_accuracy(learned, 50.0) == ("at most", 100)
    assert verdict.for_accuracy(learned, 60.1) == ("more than", 400)
    wavering = [(100.0, 50.0), (200.0, 49.0), (400.0, 53.0)]
    words, needed = verdict.for_accuracy(wavering, 51.0)
    assert words == "about" and 200 < needed < 400

    memory = replace(MEMORY, accuracy=52.5)
    files = [replace(JPEG[0], accuracy=50.0), replace(JPEG[1], accuracy=55.0), JPEG[2]]
    words = verdict.in_words(Comparison(10_000, 100, (32, 32), [*files, memory]), memory)
    assert (
        "to teach as much as DRR q75 does with 150.0 bytes an image, JPEG needs about 70.7" in words
    )


def test_the_next_best_is_told_by_pairs() -> None:
    """Classes differ by more than formats do, so only differences within them say anything."""
    memory = replace(MEMORY, accuracy=50.0, accuracies=(30.0, 50.0, 70.0))
    thin = replace(memory, family="DRR thin", fixed_bytes=0)
    next_best = replace(JPEG[1], accuracy=48.0, accuracies=(29.0, 48.0, 67.0))
    worse = replace(JPEG[0], accuracy=40.0, accuracies=(20.0, 40.0, 60.0))
    choices = [worse, next_best, memory, thin]
    words = verdict.in_words(Comparison(10_000, 100, (32, 32), choices), memory)[1]
    assert words.endswith(
        "; JPEG q20 is next, 2.0 points below it over 3 pairs of classifiers, with a deviation of "
        "1.0"
    )
    assert "DRR q75 wins by accuracy" in words
    alone = verdict.in_words(Comparison(10_000, 100, (32, 32), [memory, thin]), memory)[1]
    assert "is next" not in alone


def test_nobody_wins_by_less_than_the_noise() -> None:
    memory = replace(MEMORY, accuracy=50.0, accuracies=(30.0, 50.0, 70.0))
    for others in ((29.0, 48.0, 70.0), (40.0, 50.0, 60.0), memory.accuracies):
        mean = sum(others) / 3
        rival = replace(JPEG[1], accuracy=mean, accuracies=others)
        low = replace(JPEG[0], accuracy=10.0, accuracies=(10.0, 10.0, 10.0))
        words = verdict.in_words(Comparison(10_000, 100, (32, 32), [memory, rival, low]), memory)
        assert "DRR q75 has the best accuracy, and does not clearly win: 50.0 %" in words[1]
        assert f"JPEG q20 is next, {50 - mean:.1f} points below it over 3 pairs" in words[1]


def learned(tested: int, chance: float = 20.0) -> Learned:
    return Learned([["a", "b", "c", "d", "e"]], 1, 4, 8, tested=tested, chance=chance)


def test_classifiers_that_guess_give_no_verdict() -> None:
    """Guesses among five classes on 400 images deviate by 2 points: 26 % is three of these."""
    assert learned(400).guessed_at_most == pytest.approx(26)
    memory, rival = replace(MEMORY, accuracy=22.0), replace(JPEG[1], accuracy=25.9)
    guessed = Comparison(10_000, 100, (32, 32), [rival, memory], learned=learned(400))
    told = " ".join(verdict.in_words(guessed, memory))
    assert "no verdict by accuracy" in told and "JPEG q20, comes to 25.9 %" in told
    assert "up to 26.0 %" in told and "more `epochs` than 4" in told and "more images" in told
    assert "wins by accuracy" not in told and "to teach as much" not in told
    more = replace(guessed, learned=learned(1600))  # guesses come to 23 % at most
    told = " ".join(verdict.in_words(more, memory))
    assert "JPEG q20 wins by accuracy: 25.9 %" in told and "to teach as much" not in told
    memory = replace(memory, accuracy=24.0)
    told = " ".join(verdict.in_words(replace(more, choices=[rival, memory]), memory))
    assert "to teach as much as DRR q75" in told


def test_what_fits_into_a_budget() -> None:
    best = verdict.within(made(), 1_600_000)
    chosen = {family: choice and choice.name for family, choice in best.items()}
    assert chosen == {"raw": None, "JPEG": "JPEG q20", "AVIF": "AVIF q20", "DRR": "DRR q75"}
    assert verdict.within(made(), 1_400_000)["DRR"] is None


def test_rivals_to_train_take_no_more_bytes() -> None:
    comparison = made()
    chosen = [comparison.choices[n].name for n in compare_accuracy.to_train(comparison)]
    assert chosen == ["raw", "DRR q75", "JPEG q20", "AVIF q20"]
    more = compare_accuracy.to_train(comparison, [60, 250])
    chosen = [comparison.choices[n].name for n in more]
    assert chosen == ["raw", "DRR q75", "JPEG q20", "JPEG q10", "JPEG q40", "AVIF q20", "AVIF q10"]


def test_other_qualities_of_the_memory_are_trained_at_their_sizes() -> None:
    comparison = made()  # 150 bytes an image, of which 100 are models
    better = replace(MEMORY, setting="q100", image_bytes=60.0)
    comparison = replace(comparison, choices=[*comparison.choices, better])
    for sizes, wanted in (([], {"q75"}), ([159], {"q75"}), ([160], {"q75", "q100"})):
        chosen = [comparison.choices[n] for n in compare_accuracy.to_train(comparison, sizes)]
        assert {choice.setting for choice in chosen if choice.family == "DRR"} == wanted


# --- measurements ---


@pytest.fixture(scope="module")
def source(digits_folder: Path) -> Source:
    return open_source(digits_folder)


@pytest.fixture(scope="module")
def codec(bitswap_drr: Path) -> compare.Codec:
    with Reader(bitswap_drr) as reader:
        return load_codec(reader, CPU)


@pytest.fixture(scope="module")
def compared(source: Source, codec: compare.Codec) -> Comparison:
    return compare.compare(source, [codec], range(2, 6), 40, lambda _: None)


def test_all_that_can_be_is_measured(compared: Comparison) -> None:
    assert (compared.images, compared.sample) == (120, 40)
    families = list(dict.fromkeys(choice.family for choice in compared.choices))
    memories = ["DRR", "DRR decoder-only"]  # a codec that does not come along can't be left out
    assert families == ["raw", "PNG", "WebP lossless", *peers.available(), *memories]
    assert compared.of("raw")[0].image_bytes == 32 * 32 * 3
    for choice in compared.choices:
        assert choice.psnr_db is None or 5 < choice.psnr_db < 60
        assert choice.ssim <= 1 and (choice.psnr_db is None) == (choice.ssim == 1)
    (whole,), (decoder,) = (compared.of(family) for family in memories)
    assert whole.name == "DRR q100", "without a context model there is no choice"
    assert whole.fixed_bytes > decoder.fixed_bytes > 0
    assert whole.bytes_an_image(120) == whole.image_bytes + whole.fixed_bytes / 120
    for choice in compared.choices:
        rival = peers.LOSSY.get(choice.family)
        assert rival is None or {**rival.options, **choice.options} == choice.options
        assert choice.read_together == (
            30 if choice.family in memories or (rival and rival.sheets) else 1
        )
    again = json.loads(json.dumps(compared.to_json()))
    assert {**peers.libraries(), **again["versions"]} == again["versions"]
    assert {c["options"]["method"] for c in again["choices"] if c["family"] == "WebP"} == {6}
    assert again["choices"][-1]["bytes_an_image"] == decoder.bytes_an_image(120)


def test_the_bits_of_the_model_are_those_of_the_streams() -> None:
    """Beyond the plain images, few with few lanes, and a few bytes for each stream. With latents
    they are so on average alone, and for codes as the model expects them: see test_bitswap.py."""
    tops, bottoms = (structured_codes([400], shape, 32)[0] for shape in ((4, 4), (8, 8)))
    codes = Codes.of(tops, bottoms)
    context = finish(small_vqvae(), small_model(codes, CONTEXT), codes, CPU)
    context, (made,) = lay_out(context, [codes], widths=[(4, 2)])
    coded = 4 * (len(made.top) + len(made.bottom)) / len(codes)
    plain = context.top.layout.plain_images
    assert plain < 12
    assert expected_bytes(context, codes) == pytest.approx(coded, rel=0.02)


@pytest.mark.slow
def test_a_memory_in_all_its_qualities(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context model chooses codes, for Bit-Swap too; the default quality comes first."""
    monkeypatch.setattr("drrpack.core.rdoq._UNIT", 1)  # random networks ask for strong incentives
    images = np.concatenate([source.load(c) for c in (0, 1)])
    codes = small_codes(images)
    codecs = [
        finish(small_vqvae(), small_model(codes, config), codes, CPU) for config in (CONTEXT, SMALL)
    ]
    comparison = compare.compare(source, codecs, [0, 1], 40, lambda _: None)
    whole = comparison.of("DRR")
    assert [choice.setting for choice in whole] == ["q75", "q100", "q50"]
    assert comparison.memory == whole[0]
    assert len({choice.psnr_db for choice in whole}) == 3  # other codes at each quality
    default, nearest, cheap = (choice.image_bytes for choice in whole)
    assert nearest > max(default, cheap)


def small_codes(images: np.ndarray) -> Codes:
    return Encoder(small_vqvae()).encode(images)


def test_fewer_large_images_are_measured() -> None:
    sizes = {(32, 32): 1000, (64, 64): 1000, (64, 128): 500, (224, 224): 81, (4096, 4096): 50}
    assert {size: compare.default_sample(size) for size in sizes} == sizes


def test_classes_have_equal_shares_and_sheets_hold_them_whole(source: Source) -> None:
    sample = compare.draw_sample(source, [4, 7], 10)
    assert [len(part) for part in sample.classes] == [30, 30] and len(sample.images) == 10
    np.testing.assert_array_equal(sample.classes[1], source.load(7))
    np.testing.assert_array_equal(sample.images[0], source.load(4)[0])
    np.testing.assert_array_equal(sample.images[-1], source.load(7)[-1])
    few = compare.draw_sample(source, range(10), 20)  # sheets of 80 images: three whole classes
    assert len(few.classes) == 3 and len(few.images) == 3 * 7
    np.testing.assert_array_equal(few.classes[-1], source.load(9))


def rival_of(sizes: dict[float, float], step: float) -> peers.Rival:
    """Files of a known size at each quality, and a note of what was encoded."""

    class Known(peers.Rival):
        def pack(self, classes: Sequence[np.ndarray], quality: float) -> peers.Packed:
            encoded.append(quality)
            images = np.concatenate(classes)
            return peers.Packed(images ^ 1, np.full(len(images), sizes[quality]), (1.0, 1.0))

    encoded: list[float] = []
    rival = Known("known", "none", 0, (0, 10, 100), {"encoded": encoded}, step)
    return rival


def test_a_rival_is_judged_at_the_largest_size_within_the_target() -> None:
    images = np.zeros((4, 16, 16, 3), np.uint8)
    sample = compare.Sample([images], np.arange(4))
    sizes = {float(quality): 10.0 + 2 * quality for quality in range(101)}
    rival = rival_of(sizes, 1)
    found = compare.measured(rival, sample, [95.0])
    fitting = [choice for choice in found if choice.image_bytes <= 95]
    assert fitting[-1].setting == "q42" and fitting[-1].image_bytes == 94
    assert len(rival.options["encoded"]) <= 3 + 7, "10 to 100 is halved seven times"
    for beyond in (
        5.0,
        500.0,
    ):  # less than its smallest, more than its largest: nothing to look for
        assert [c.setting for c in compare.measured(rival, sample, [beyond])] == [
            "q0",
            "q10",
            "q100",
        ]


def test_a_rival_is_looked_for_below_its_curve() -> None:
    images = np.zeros((4, 16, 16, 3), np.uint8)
    sample = compare.Sample([images], np.arange(4))
    sizes = {float(quality): 10.0 + 2 * quality for quality in range(101)}
    for lowest, target, best in ((0, 31.0, "q10"), (0, 10.0, "q0"), (3, 31.0, "q10")):
        rival = replace(rival_of(sizes, 1), curve=(20, 40), lowest=lowest)
        found = compare.measured(rival, sample, [target])
        assert [c.setting for c in found if c.image_bytes <= target][-1] == best
        assert len(rival.options["encoded"]) <= 2 + 1 + 5, "0 to 20 is halved five times"
    rival = replace(rival_of(sizes, 1), curve=(20, 40), lowest=3)
    found = compare.measured(rival, sample, [15.0])
    assert [c.setting for c in found] == ["q3", "q20", "q40"], "even its smallest takes more"


@pytest.mark.parametrize("name", peers.available())
def test_no_files_are_smaller_than_those_of_the_lowest_quality(name: str, source: Source) -> None:
    rival, images = peers.LOSSY[name], source.load(3)[:4]
    lowest = rival.pack([images], rival.lowest).image_bytes
    others = (*rival.curve, *range(0, 100, 9))
    assert lowest <= min(rival.pack([images], quality).image_bytes for quality in others)


def test_webp_is_judged_between_whole_qualities(source: Source) -> None:
    sample = compare.draw_sample(source, [0, 1], 30)
    at = [peers.LOSSY["WebP"].pack([sample.images], q).image_bytes for q in (0, 1)]
    target = (at[0] + 2 * at[1]) / 3
    found = compare.measured(peers.LOSSY["WebP"], sample, [target])
    best = max((c for c in found if c.image_bytes <= target), key=lambda c: c.image_bytes)
    assert 0 < best.options["quality"] < 1 and at[0] < best.image_bytes <= target
    higher = peers.LOSSY["WebP"].pack([sample.images], best.options["quality"] + 0.1)
    assert higher.image_bytes > target, "as near as its encoder gets"


def test_accuracy_of_what_comes_back(
    compared: Comparison, source: Source, codec: compare.Codec
) -> None:
    plan, told = TrainPlan(CPU, epochs=2, width=2, seeds=2), list[Step | Notice]()
    trained = with_accuracy(compared, source, [codec], range(2, 6), plan, told.append)
    measured = [choice for choice in trained.choices if choice.accuracy is not None]
    assert {choice.family for choice in measured} == {
        "raw", "DRR", "DRR decoder-only", *compared.rivals()
    }  # fmt: skip
    memories = [c for c in measured if c.family.startswith("DRR")]
    assert len(memories) == 2 and len({c.accuracy for c in memories}) == 1
    assert all(
        0 <= c.accuracy <= 100 and c.accuracy_std is not None for c in measured if c.accuracy
    )
    assert [e.stage for e in told if isinstance(e, Step)][:2] == ["raw", "DRR q100"]
    scores = [e.text.split(":")[0] for e in told if isinstance(e, Notice)]
    assert scores == [e.stage for e in told if isinstance(e, Step)]


def test_sizes_that_nothing_reaches_are_named(
    compared: Comparison, source: Source, codec: compare.Codec
) -> None:
    plan, told = TrainPlan(CPU, epochs=1, width=2, sizes=[1.0]), list[Step | Notice]()
    only = replace(compared, choices=[*compared.of("raw"), *compared.of("AVIF"), compared.memory])
    with_accuracy(only, source, [codec], [2, 3], plan, told.append)
    warned = [event.text for event in told if isinstance(event, Notice) and event.warning]
    assert warned == ["no quality of DRR, AVIF takes as little as 1 bytes an image"]


def test_what_is_said_of_a_size_is_so() -> None:
    """A memory is measured at three qualities, and might be smaller at another."""
    comparison = made()  # a memory of 150 bytes, JPEG from 50 on, AVIF from 40 on
    assert compare_accuracy._out_of_reach(comparison, 45) == [
        "no quality of DRR, JPEG takes as little as 45 bytes an image"
    ]
    better = replace(MEMORY, setting="q100", image_bytes=60.0)
    comparison = replace(comparison, choices=[*comparison.choices, better])
    assert compare_accuracy._out_of_reach(comparison, 45) == [
        "DRR takes more than 45 bytes an image at q75 and q100, models included",
        "no quality of JPEG takes as little as 45 bytes an image",
    ]
    assert compare_accuracy._out_of_reach(comparison, 150) == []


def test_draws_are_random_groups_of_the_classes_each_with_its_own_classifier(
    compared: Comparison, source: Source, codec: compare.Codec
) -> None:
    groups = compare_accuracy.drawn(range(100), 3, seed=0)
    assert [len(group) for group in groups] == [20, 20, 20]
    assert sorted(c for group in groups for c in group) == list(range(40, 100)), (
        "no class twice, the last of them"
    )
    assert groups != compare_accuracy.drawn(range(100), 3, seed=1)
    assert compare_accuracy.drawn(range(100), 1, seed=0) == [list(range(80, 100))]
    assert [len(g) for g in compare_accuracy.drawn([7, 2, 5, 1, 3], 2, seed=0)] == [2, 2]
    with pytest.raises(OptionError, match="`draws=3` needs 6 classes at least") as caught:
        compare_accuracy.drawn(range(5), 3, seed=0)
    assert caught.value.option == "draws"

    plan = TrainPlan(CPU, epochs=1, width=2, seeds=2, draws=2)
    two = replace(compared, choices=[*compared.of("raw"), compared.memory])
    found = with_accuracy(two, source, [codec], range(2, 6), plan, print)
    (raw,) = found.of("raw")
    each = [
        with_accuracy(two, source, [codec], group, replace(plan, draws=1), print)
        for group in compare_accuracy.drawn(range(2, 6), 2, seed=0)
    ]
    alone = [score for one in each for score in one.of("raw")[0].accuracies]
    assert list(raw.accuracies) == alone
    told = found.to_json()["learned"]
    of_tests = {"tested": 4 * 8, "chance": 50.0}
    assert told == {"groups": told["groups"], "seeds": 2, "epochs": 1, "width": 2, **of_tests}
    assert sorted(name for group in told["groups"] for name in group) == [*"2345"]
    assert verdict.in_words(found, found.memory)[1] == (
        "accuracy: of classifiers of 2 random groups of 2 classes, 2 seeds each, with their "
        "standard deviation; width 2, 1 epoch; chance is 50.0 %"
    )
    assert raw.accuracy == pytest.approx(np.mean(raw.accuracies))
    assert raw.accuracy_std == pytest.approx(np.std(raw.accuracies, ddof=1))


def test_accuracies_that_are_known_are_not_trained_for_again(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = np.concatenate([source.load(c) for c in (0, 1)]), np.repeat([0, 1], 30)
    plan = TrainPlan(CPU, epochs=1, width=2, work=tmp_path)
    first = [accuracy(given, given, plan, seed) for seed in (0, 1)]
    assert first == [accuracy(given, given, replace(plan, work=None), seed) for seed in (0, 1)]
    assert len(list(tmp_path.iterdir())) == 2

    def trained(*_: object) -> float:
        raise AssertionError("trained again")

    monkeypatch.setattr(compare_accuracy, "_trained", trained)
    assert first == [accuracy(given, given, plan, seed) for seed in (0, 1)]
    other = given[0] ^ 1, given[1]
    for changed in (
        lambda: accuracy(other, given, plan, 0),
        lambda: accuracy(given, other, plan, 0),
        lambda: accuracy(given, given, plan, 2),
        lambda: accuracy(given, given, replace(plan, epochs=2), 0),
    ):
        with pytest.raises(AssertionError, match="trained again"):
            changed()


def test_accuracies_of_other_devices_and_trainings_have_files_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 1])
    recipe = get_recipe("fast", 16, 8)

    def name(device: str) -> str:
        return compare_accuracy._fingerprint(given, given, recipe, 0, torch.device(device))

    on_cpu, on_gpu = name("cpu"), name("cuda")
    known = sha256(f"{recipe} 0 (2, 32, 32, 3)".encode())  # as files were named before
    for array in (*given, *given):
        known.update(array.tobytes())
    assert on_cpu == known.hexdigest()[:32]
    monkeypatch.setattr(compare_accuracy, "REVISION", 1)
    assert len({on_cpu, on_gpu, name("cpu"), name("cuda")}) == 4
    assert name("cuda:1") == name("cuda")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[50.0]", b"7", b"{}", b'{"accuracy": "x"}', b'{"accuracy": null}',
     b'{"accuracy": true}', b'{"accuracy": NaN}', b'{"accuracy": 101}'],
)  # fmt: skip
def test_a_damaged_accuracy_is_named(source: Source, tmp_path: Path, content: bytes) -> None:
    given = np.concatenate([source.load(c)[:4] for c in (0, 1)]), np.repeat([0, 1], 4)
    plan = TrainPlan(CPU, epochs=1, width=2, work=tmp_path)
    score = accuracy(given, given, plan, 0)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(content)
    with pytest.raises(CorruptError, match="delete the file") as caught:
        accuracy(given, given, plan, 0)
    assert str(kept) in str(caught.value) and kept.read_bytes() == content
    kept.unlink()
    assert accuracy(given, given, plan, 0) == score


def test_an_accuracy_that_cannot_be_read(source: Source, tmp_path: Path) -> None:
    given = np.concatenate([source.load(c)[:4] for c in (0, 1)]), np.repeat([0, 1], 4)
    plan = TrainPlan(CPU, epochs=1, width=2, work=tmp_path)
    accuracy(given, given, plan, 0)
    (kept,) = tmp_path.iterdir()
    kept.unlink()
    kept.mkdir()
    with pytest.raises(ReadError, match="can't be read") as caught:
        accuracy(given, given, plan, 0)
    assert str(kept) in str(caught.value)


def test_classes_without_test_images(tmp_path: Path) -> None:
    for folder in ("train/a", "train/b", "train/c", "test/c"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / folder / "x.png")
    opened = open_source(tmp_path)
    with pytest.raises(SourceError, match="no test images of the 2 classes") as caught:
        compare_accuracy.tested_images(opened, [0, 1])
    assert str(tmp_path) in str(caught.value)
    assert compare_accuracy.tested_images(opened, [0, 1, 2])[1].tolist() == [2]


def test_places_where_no_chart_can_be(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent" / "chart.png"):
        with pytest.raises(OutputError) as caught:
            compare_chart.check(place)
        assert str(place) in str(caught.value)
    with pytest.raises(OptionError, match="a chart is a PNG"):
        compare_chart.check(tmp_path / "chart.txt")
    photo = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(photo)
    with pytest.raises(OutputError, match="no page or chart of drrpack; say `force=True`"):
        compare_chart.check(photo)
    compare_chart.check(photo, overwrite=True)


def test_the_chart_tells_what_made_each_curve(compared: Comparison, tmp_path: Path) -> None:
    labels = {compare_chart.label(choice) for choice in compared.choices}
    wanted = {"WebP (method 6)", "JPEG (4:2:0)", "JPEG-sheet (4:2:0, optimize)", "DRR (bitswap)"}
    assert wanted <= labels and ("AVIF (4:2:0, speed 4)" in labels) == ("AVIF" in peers.available())
    compare_chart.draw(compared, tmp_path / "chart.png")
    compare_chart.check(tmp_path / "chart.png")  # drawn anew without being asked
    with Image.open(tmp_path / "chart.png") as picture:
        assert json.loads(picture.info["Description"]) == json.loads(json.dumps(compared.to_json()))


def test_what_cannot_be_compared(source: Source, codec: compare.Codec, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two classes"):
        with_accuracy(made(), source, [codec], [1], TrainPlan(CPU), lambda _: None)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / "x.png")
    small = open_source(tmp_path)
    with pytest.raises(OptionError, match="11x11"):
        compare.compare(small, [codec], [0, 1], 5, lambda _: None)
    with pytest.raises(SourceError, match="no test split"):
        with_accuracy(made(), small, [codec], [0, 1], TrainPlan(CPU), lambda _: None)
