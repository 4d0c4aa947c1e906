"""The verdict: which format wins at a size, and from how many images on a memory is smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev

from drrpack.core.wording import counted
from drrpack.trainers.comparison.choices import Choice, Comparison, Learned


def equal_bytes(rivals: Sequence[Choice], psnr: float) -> float | None:
    """The bytes at which files of one family reach ``psnr`` dB: interpolated between qualities, the
    logarithm of the bytes against dB. None outside of the qualities."""
    curve = sorted((c.psnr_db, c.image_bytes) for c in rivals if c.psnr_db is not None)
    for (low, small), (high, large) in pairwise(curve):
        if low <= psnr <= high and high > low:
            share = (psnr - low) / (high - low)
            return math.exp(math.log(small) * (1 - share) + math.log(large) * share)
    return None


def equal_quality(rivals: Sequence[Choice], size: float) -> float | None:
    """The dB that files of one family reach at ``size`` bytes an image: their best where all are
    smaller; None where all are larger."""
    curve = sorted((c.image_bytes, c.psnr_db) for c in rivals if c.psnr_db is not None)
    if curve and size >= curve[-1][0]:
        return max(psnr for _, psnr in curve)
    for (small, low), (large, high) in pairwise(curve):
        if small <= size <= large and large > small:
            share = math.log(size / small) / math.log(large / small)
            return low * (1 - share) + high * share
    return None


def for_accuracy(learned: Sequence[tuple[float, float]], accuracy: float) -> tuple[str, float]:
    """What files of one family need to teach ``accuracy`` percent, by the bytes an image and the
    accuracy of those that were learned from.

    Returns words and bytes: ``"about"`` where two of them enclose it, interpolated by the logarithm
    of the bytes; ``"at most"`` the smallest, or ``"more than"`` the largest, where none does.
    """
    curve = sorted(learned)
    if curve[0][1] >= accuracy:
        return "at most", curve[0][0]
    for (small, low), (large, high) in pairwise(curve):
        if low < accuracy <= high:
            share = (accuracy - low) / (high - low)
            return "about", math.exp(math.log(small) * (1 - share) + math.log(large) * share)
    return "more than", curve[-1][0]


def pays_from(memory: Choice, rivals: Sequence[Choice]) -> int | None:
    """From how many images on a memory is smaller than files of the same PSNR.

    None if it never is, or if the files do not reach its PSNR.
    """
    assert memory.psnr_db is not None
    size = equal_bytes(rivals, memory.psnr_db)
    if size is None or size <= memory.image_bytes:
        return None
    return math.ceil(memory.fixed_bytes / (size - memory.image_bytes))


def within(comparison: Comparison, budget_bytes: int) -> dict[str, Choice | None]:
    """The best choice of each family that keeps all images within a budget; None: none does."""
    best: dict[str, Choice | None] = {}
    for choice in comparison.choices:
        fits = choice.bytes_an_image(comparison.images) * comparison.images <= budget_bytes
        known = best.setdefault(choice.family, None)
        if fits and (known is None or choice.ssim > known.ssim):
            best[choice.family] = choice
    return best


def largest_within(comparison: Comparison, family: str, size: float) -> Choice | None:
    """The best quality of one family that takes ``size`` bytes an image at most, all told."""
    sizes = {c: c.bytes_an_image(comparison.images) for c in comparison.of(family)}
    fitting = [choice for choice in sizes if sizes[choice] <= size]
    return max(fitting, key=lambda choice: sizes[choice], default=None)


def in_words(comparison: Comparison, memory: Choice) -> list[str]:
    """Who wins at the size of ``memory``, and from how many images on it is smaller."""
    size = memory.bytes_an_image(comparison.images)
    return [
        _by_psnr(comparison, memory, size),
        *_by_accuracy(comparison, size),
        *_for_accuracy(comparison, memory, size),
        *_where_it_pays(comparison, memory),
        *_read_together(comparison, memory),
    ]


def _by_psnr(comparison: Comparison, memory: Choice, size: float) -> str:
    assert memory.psnr_db is not None
    found = {memory.name: memory.psnr_db}
    for family in comparison.rivals():
        quality = equal_quality(comparison.of(family), size)
        if quality is not None:
            found[family] = quality
    ranked = sorted(found, key=lambda name: -found[name])
    shown = [f"{name} {found[name]:.2f} dB" for name in ranked]
    whole = _lossless_within(comparison, size)
    if whole is not None:  # then nothing that loses something can win, nor is worth its bytes
        needed = whole.bytes_an_image(comparison.images)
        shown.insert(0, f"{whole.name} needs only {needed:.1f} bytes and loses nothing")
        ranked.insert(0, whole.name)
    at = f"at {size:.1f} bytes an image ({comparison.images} images)"
    return f"{at}: {', '.join(shown)}; {ranked[0]} wins by PSNR"


def _lossless_within(comparison: Comparison, size: float) -> Choice | None:
    """The smallest choice without loss that takes ``size`` bytes an image at most."""
    sizes = {c: c.bytes_an_image(comparison.images) for c in comparison.choices}
    fitting = [choice for choice in sizes if choice.psnr_db is None and sizes[choice] <= size]
    return min(fitting, key=lambda choice: sizes[choice], default=None)


def _by_accuracy(comparison: Comparison, size: float) -> list[str]:
    """Who teaches most of those that were learned from, are not raw, and take no more than
    ``size``; nobody wins by less than the noise, or where the best classifier only guesses."""
    said = [] if comparison.learned is None else [comparison.learned.in_words()]
    sizes = {c: c.bytes_an_image(comparison.images) for c in comparison.choices}
    lossy = [c for c in comparison.choices if c.psnr_db is not None and sizes[c] <= size]
    scores = {choice: choice.accuracy for choice in lossy if choice.accuracy is not None}
    if not scores:
        return said
    best = max(scores, key=lambda choice: scores[choice])
    if comparison.learned is not None and scores[best] <= comparison.learned.guessed_at_most:
        return [*said, _no_verdict(comparison.learned, best.name, scores[best])]
    if len(scores) > 1 and len({f"{score:.1f}" for score in scores.values()}) == 1:
        return [*said, f"at no more bytes none wins by accuracy: all come to {scores[best]:.1f} %"]
    ahead, clearly = _ahead(best, list(scores))
    wins = "wins by accuracy" if clearly else "has the best accuracy, and does not clearly win"
    return [
        *said,
        f"at no more bytes {best.name} {wins}: {scores[best]:.1f} % of raw test images at "
        f"{sizes[best]:.1f} bytes an image{ahead}",
    ]


def _no_verdict(learned: Learned, name: str, score: float) -> str:
    return (
        f"no verdict by accuracy: the classifiers have learned too little. At no more bytes the "
        f"best, {name}, comes to {score:.1f} % of raw test images, and guesses on "
        f"{counted(learned.tested, 'test image')} come to up to {learned.guessed_at_most:.1f} %. "
        f"Say more `epochs` than {learned.epochs}, or give more images of each class"
    )


def _ahead(best: Choice, learned: Sequence[Choice]) -> tuple[str, bool]:
    """By how much the ``best`` is ahead of the next, if several classifiers learned from each, and
    whether that is more than its deviation. Differences are between classifiers of the same classes
    and seed."""
    others = [choice for choice in learned if choice.decoded_as != best.decoded_as]
    if len(best.accuracies) < 2 or not others:
        return "", True
    second = max(others, key=lambda choice: fmean(choice.accuracies))
    apart = [a - b for a, b in zip(best.accuracies, second.accuracies, strict=True)]
    mean, deviation = fmean(apart), stdev(apart)
    return (
        f"; {second.name} is next, {mean:.1f} points below it over {len(apart)} pairs of "
        f"classifiers, with a deviation of {deviation:.1f}",
        mean > deviation,
    )


def _for_accuracy(comparison: Comparison, memory: Choice, size: float) -> list[str]:
    """The bytes at which each family teaches as much as the memory of ``size`` bytes an image."""
    how = comparison.learned
    if memory.accuracy is None or (how is not None and memory.accuracy <= how.guessed_at_most):
        return []
    needs = []
    for family in comparison.rivals():
        learned = [
            (choice.bytes_an_image(comparison.images), choice.accuracy)
            for choice in comparison.of(family)
            if choice.accuracy is not None
        ]
        if learned:
            words, needed = for_accuracy(learned, memory.accuracy)
            needs.append(f"{family} needs {words} {needed:.1f}")
    told = f"to teach as much as {memory.name} does with {size:.1f} bytes an image"
    return [f"{told}, {', '.join(needs)}"] if needs else []


def _where_it_pays(comparison: Comparison, memory: Choice) -> list[str]:
    return [
        f"{memory.name} {_beside(memory, family, comparison.of(family))}"
        for family in comparison.rivals()
    ]


def _beside(memory: Choice, family: str, rivals: Sequence[Choice]) -> str:
    """From how many images on a memory is smaller than files of its PSNR, or why it is unknown."""
    assert memory.psnr_db is not None
    reached = [choice.psnr_db for choice in rivals if choice.psnr_db is not None]
    if not reached or memory.psnr_db > max(reached):
        return f"has a PSNR that no quality of {family} measured here reaches"
    if memory.psnr_db < min(reached):
        return f"has a lower PSNR than any quality of {family} measured here"
    least = pays_from(memory, rivals)
    if least is None:
        return f"is never smaller than {family} of its PSNR"
    if least <= 1:
        return f"is smaller than {family} of its PSNR, however few the images"
    return f"is smaller from {least} images on than {family} of its PSNR"


def _read_together(comparison: Comparison, memory: Choice) -> list[str]:
    """The images to decode in order to read one, which is a whole class for sheets and memories."""
    counts = {memory.family: memory.read_together}
    for family in comparison.rivals():
        counts[family] = max(choice.read_together for choice in comparison.of(family))
    whole = [f"{count:,.0f} of {family}" for family, count in counts.items() if count > 1]
    return [f"images that are decoded to read one: {', '.join(whole)}"] if whole else []
