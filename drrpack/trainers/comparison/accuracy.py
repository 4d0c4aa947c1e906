"""Train classifiers on the decoded images of each format, and measure their accuracy."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Labelled, Pixels
from drrpack.core.codec import Codec
from drrpack.core.errors import CorruptError, OptionError, ReadError, SourceError
from drrpack.core.pricing import with_quality
from drrpack.core.progress import Notice, Step
from drrpack.core.settings import own_settings
from drrpack.formats.files.publish import write_atomic
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.choices import WHOLE, Choice, Comparison, Learned
from drrpack.trainers.comparison.compare import Report
from drrpack.trainers.comparison.defaults import DRAWS, EPOCHS, SEEDS, WIDTH
from drrpack.trainers.comparison.verdict import largest_within
from drrpack.trainers.guessing import chance
from drrpack.trainers.learning.classifier import train_classifier
from drrpack.trainers.learning.recipes import Recipe, get_recipe
from drrpack.trainers.learning.resnet import ResNet18, resnet18_for

CLASSES = 20  # a classifier of more tells no more, and takes longer
REVISION = 0  # of the training: add one where the same recipe and seed come to another accuracy


@dataclass(frozen=True)
class TrainPlan:
    """How the classifiers are trained: all alike, on all training images of their classes."""

    device: torch.device
    epochs: int = EPOCHS
    width: int = WIDTH
    seeds: int = SEEDS
    seed: int = 0
    draws: int = DRAWS  # random groups of the classes, each with classifiers of its own
    sizes: Sequence[float] = ()  # bytes an image at which more is learned from
    work: Path | None = None  # a folder of accuracies that are known already, and of new ones


@own_settings()
def with_accuracy(
    comparison: Comparison,
    source: Source,
    codecs: Sequence[Codec],
    classes: Sequence[int],
    plan: TrainPlan,
    report: Report,
) -> Comparison:
    """The comparison with accuracies of classifiers on raw test images.

    They are trained on raw images, on the memory's reconstructions, on the best files of each
    family that take no more bytes than the memory, and on memories and files of ``plan.sizes``.

    Raises:
        OptionError, SourceError: as of `check_groups`. CorruptError, WriteError: as of `accuracy`.
    """
    groups = drawn(classes, plan.draws, plan.seed)
    learned = [_all_of(source, group, "train") for group in groups]
    tested = [tested_images(source, group) for group in groups]
    choices = list(comparison.choices)
    wanted = to_train(comparison, plan.sizes)
    for size in plan.sizes:
        for text in _out_of_reach(comparison, size):
            report(Notice(text))
    for done, number in enumerate(wanted):
        choice = choices[number]
        report(Step(choice.name, done, len(wanted)))
        scores = []
        for (images, labels), test in zip(learned, tested, strict=True):
            given = decoded(choice, images, labels, codecs), labels
            scores += [accuracy(given, test, plan, plan.seed + run) for run in range(plan.seeds)]
        told = ", ".join(f"{score:.1f}" for score in scores)
        report(Notice(f"{choice.name}: {told} %", warning=False))
        for n, each in enumerate(choices):
            if each.decoded_as == choice.decoded_as:
                choices[n] = _with_scores(each, scores)
    names = [[source.classes[number] for number in group] for group in groups]
    guessed = [chance(np.bincount(labels).tolist()) for _, labels in tested]
    how = Learned(
        names, plan.seeds, plan.epochs, plan.width, tested=sum(len(labels) for _, labels in tested),
        chance=statistics.fmean(guessed),
    )  # fmt: skip
    return replace(comparison, choices=choices, learned=how)


def _with_scores(choice: Choice, scores: Sequence[float]) -> Choice:
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    mean = statistics.fmean(scores)
    return replace(choice, accuracy=mean, accuracy_std=deviation, accuracies=tuple(scores))


def drawn(classes: Sequence[int], draws: int, seed: int) -> list[list[int]]:
    """The groups of classes that classifiers learn, of equal size, each of at most `CLASSES`: the
    last of the classes or, for several ``draws``, as many of the last as fill them, dealt out at
    random.

    Raises:
        OptionError: fewer than two classes for a group.
    """
    if len(classes) < 2:
        raise OptionError("`train=True` needs two classes at least", option="train")
    if len(classes) < 2 * draws:
        raise OptionError(
            f"`draws={draws}` needs {2 * draws} classes at least, two for each; found "
            f"{len(classes)}",
            option="draws",
        )
    learned = list(classes[-min(CLASSES, len(classes) // draws) * draws :])
    if draws > 1:
        learned = [learned[n] for n in np.random.default_rng(seed).permutation(len(learned))]
    return [learned[first::draws] for first in range(draws)]


def check_groups(source: Source, classes: Sequence[int], plan: TrainPlan) -> None:
    """Find out before anything is measured whether `with_accuracy` has what it needs.

    Raises:
        OptionError: as of `drawn`. SourceError: as of `tested_images`.
    """
    for group in drawn(classes, plan.draws, plan.seed):
        tested_images(source, group)


def tested_images(source: Source, classes: Sequence[int]) -> Labelled:
    """The test images of the classes that are learned.

    Raises:
        SourceError: they have no test images.
    """
    images, labels = _all_of(source, classes, "test")
    if not len(images):
        raise SourceError(
            f"{source.place}: `train=True` found no test images of the {len(classes)} classes that "
            "are learned; choose other `classes`, or leave `train` out"
        )
    return images, labels


def to_train(comparison: Comparison, sizes: Sequence[float] = ()) -> list[int]:
    """The numbers of the choices to train on.

    These are raw images and, of the memory and each lossy family, the best choice that takes no
    more bytes than the memory does by default, and than each of ``sizes`` in bytes an image.
    """
    own = comparison.memory.bytes_an_image(comparison.images)
    found = [
        largest_within(comparison, family, size)
        for family in (WHOLE, *comparison.rivals())
        for size in (own, *sizes)
    ]
    wanted = [comparison.of("raw")[0], *(choice for choice in found if choice is not None)]
    return list(dict.fromkeys(comparison.choices.index(choice) for choice in wanted))


def _out_of_reach(comparison: Comparison, size: float) -> list[str]:
    """What is said of families that take more than ``size`` bytes an image in all their qualities,
    or, of a memory with a choice of qualities, in each that is measured."""
    families = (WHOLE, *comparison.rivals())
    larger = [each for each in families if largest_within(comparison, each, size) is None]
    of_memory, said = [choice.setting for choice in comparison.of(WHOLE)], list[str]()
    if WHOLE in larger and len(of_memory) > 1:
        larger.remove(WHOLE)
        measured = " and ".join([", ".join(of_memory[:-1]), of_memory[-1]])
        said.append(
            f"{WHOLE} takes more than {size:g} bytes an image at {measured}, models included"
        )
    if larger:
        named = ", ".join(larger)
        said.append(f"no quality of {named} takes as little as {size:g} bytes an image")
    return said


def decoded(
    choice: Choice, images: Pixels, labels: NDArray[np.int64], codecs: Sequence[Codec]
) -> Pixels:
    """The decoded images of ``choice`` for images (n, H, W, 3), which are sorted by class."""
    if choice.family == "raw":
        return images
    if choice.family == WHOLE:
        codec = with_quality(codecs, int(choice.quality))[0]
        return codec.decode(codec.encode(images), (images.shape[1], images.shape[2]))
    classes = np.split(images, np.flatnonzero(np.diff(labels)) + 1)
    return peers.LOSSY[choice.family].pack(classes, choice.quality).images


def accuracy(given: Labelled, tested: Labelled, plan: TrainPlan, seed: int) -> float:
    """Accuracy in percent on ``tested`` of a classifier trained on ``given``.

    Raises:
        WriteError: the plan's folder can't be written to. CorruptError, ReadError: it holds this
            accuracy already, and the file is damaged or can't be read.
    """
    recipe = get_recipe("fast", plan.epochs, plan.width)
    if plan.work is None:
        return _trained(given, tested, recipe, seed, plan.device)
    name = _fingerprint(given, tested, recipe, seed, plan.device)
    known = plan.work / f"{name}.json"
    if known.exists():
        return _kept(known)
    score = _trained(given, tested, recipe, seed, plan.device)
    text = json.dumps({"accuracy": score, "seed": seed, "device": plan.device.type})
    write_atomic(known, lambda file: file.write(f"{text}\n".encode()))
    return score


def _kept(known: Path) -> float:
    """The accuracy in a file of the plan's folder; raises CorruptError and ReadError."""
    try:
        content = json.loads(known.read_text("utf-8"))
    except OSError as error:
        raise ReadError(f"the accuracy in {known} can't be read: {error.strerror}") from error
    except ValueError:  # no JSON, no UTF-8
        content = None
    score = content.get("accuracy") if isinstance(content, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100:
        raise CorruptError(
            f"{known} is damaged: found no accuracy in it; delete the file and start again, and "
            "its classifier is trained anew"
        )
    return float(score)


def _trained(
    given: Labelled, tested: Labelled, recipe: Recipe, seed: int, device: torch.device
) -> float:
    count = int(given[1].max()) + 1
    classifier = train_classifier(
        torch.from_numpy(given[0]), torch.from_numpy(given[1]), classes=count, seen=count,
        recipe=recipe, seed=seed, device=device,
    )  # fmt: skip
    told = classifier.predict(torch.from_numpy(tested[0])).numpy()
    return 100 * float((told == tested[1]).mean())


def _fingerprint(
    given: Labelled, tested: Labelled, recipe: Recipe, seed: int, device: torch.device
) -> str:
    """What an accuracy is of: these pixels and labels, this recipe and seed, this kind of device,
    and the `REVISION` of the training."""
    shape = given[0].shape
    kind = resnet18_for((shape[1], shape[2]))
    network = "" if kind is ResNet18 else f" {kind.__name__}"  # earlier ones are all of that
    place = "" if device.type == "cpu" else f" on {device.type}"
    revision = f" revision {REVISION}" if REVISION else ""
    digest = sha256(f"{recipe} {seed} {shape}{network}{place}{revision}".encode())
    for array in (*given, *tested):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def _all_of(source: Source, classes: Sequence[int], split: str) -> tuple[Pixels, NDArray[np.int64]]:
    parts = [source.load(number, "train" if split == "train" else "test") for number in classes]
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), labels
