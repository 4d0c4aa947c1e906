"""Compare a memory with image formats on a user's images: the work of ``drrpack compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import torch

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.device import choose_device
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.errors import OptionError
from drrpack.core.families import get_family
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.files.addresses import local_path
from drrpack.formats.files.places import make_folder
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.labelling import ClassesFrom, Labelling
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Given, LabelledDataset, Opening, open_as
from drrpack.operations.entropy_models import with_adapted, with_table
from drrpack.operations.preparing import Classes, Pathlike, as_whole, chosen_classes, tell_of
from drrpack.operations.progress import Report, heard
from drrpack.trainers.comparison import chart as charts
from drrpack.trainers.comparison import compare as measuring
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.accuracy import TrainPlan, check_groups, with_accuracy
from drrpack.trainers.comparison.choices import Comparison
from drrpack.trainers.comparison.memories import MadeOf


def compare(
    source: Given,
    *,
    classes: Classes = None,
    sample: int | None = None,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    classes_from: ClassesFrom | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    skip_bad: bool = False,
    train: bool = False,
    epochs: int | None = None,
    width: int | None = None,
    seeds: int | None = None,
    draws: int | None = None,
    train_at: Sequence[float] | None = None,
    work: Pathlike | None = None,
    chart: Pathlike | None = None,
    force: bool = False,
    rivals: Sequence[str] | None = None,
    codec: Pathlike | None = None,
    family: str | None = None,
    device: str = "auto",
    class_names: Sequence[str] | None = None,
    test: LabelledDataset | None = None,
    report: Report | None = None,
) -> Comparison:
    """Compare a memory with raw images, PNG, JPEG, WebP and AVIF: bytes, PSNR, SSIM and speed.

    A memory counts with all its models. An image file counts without the headers and tables that
    all files share. A sheet is one picture that holds all images of a class side by side; it
    counts whole.

    Args:
        source: labelled pictures, as for `drrpack.encode`.
        classes: use only these classes, as for `drrpack.export`.
        sample: measure on about this many images; by default 1000, fewer if the images are larger
            than 64x64.
        size, depth, value_range, max_megapixels: how pictures become pixels, as for
            `drrpack.encode`.
        classes_from, image_column, label_column, skip_bad: as for `drrpack.encode`.
        train: train a small classifier on the decoded images of each format, and test it on raw
            images.
        epochs, width, seeds: epochs of each classifier, filters in its first block, and how many
            classifiers to train for each format; by default 16, 8 and 1.
        draws: split the classes into this many random groups, and train on each; by default they
            are one group.
        train_at: also train at these sizes, in bytes an image.
        work: keep measured accuracies in this folder, and reuse those that it already has.
        chart: plot PSNR and accuracy over bytes into this .png. An earlier chart is overwritten,
            another file only with ``force``.
        rivals: compare with these formats alone, such as ``["JPEG", "AVIF-sheet"]``: each takes
            time.
        codec: use the codec of this ``.drr`` file instead of one that comes with drrpack.
        family: use the codec of this family that comes with drrpack, such as ``"small"``, instead
            of the one that is meant for images of this size.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        class_names, test: names for the labels of a dataset, and a dataset that is its test split.
        report: called with a `Step` for each format that is measured, and with the comparison
            before the chart is drawn.

    Raises:
        SourceError, OptionError, FormatError, OutputError: each names what was found and the fix.
    """
    report = heard(report)
    training = {"epochs": epochs, "width": width, "seeds": seeds, "draws": draws}
    said = {name: as_whole(name, n, 1) for name, n in training.items() if n is not None}
    sample, sizes = as_whole("sample", sample, 1), _sizes(train_at or ())
    if chart is not None:
        charts.check(Path(chart), overwrite=force)
    place, against = choose_device(device), peers.chosen(rivals)
    named = None if codec is None and family is None else _named_codecs(codec, family)
    if not train:
        _check_unused(**said, train_at=sizes or None, work=work)
    folder = None if work is None else make_folder(Path(work))
    plan = TrainPlan(place, sizes=sizes, work=folder, **said)
    opening = Opening(
        Reading(size, depth, value_range, max_megapixels), skip_bad,
        ["train", "test"] if train else ["train"], class_names=class_names, test=test,
        labelling=Labelling(classes_from, image_column, label_column),
    )  # fmt: skip
    found = open_as(source, opening)
    tell_of(found, report)
    chosen = chosen_classes(found.classes, classes, report)
    if train:
        check_groups(found, chosen, plan)  # what can't be learned is refused before it is measured
    codecs = _loaded(named or shipped.paths_for(found.image_size), place)
    count = measuring.default_sample(found.image_size) if sample is None else sample
    made_of = _as_encode_makes() if codec is None else _nothing_more
    comparison = measuring.compare(
        found, codecs, chosen, count, report, plan.sizes, made_of, against
    )
    if train:
        comparison = with_accuracy(comparison, found, codecs, chosen, plan, report)
    report(comparison)
    if chart is not None:  # last: whoever hears of the figures has them should the disk be full
        charts.draw(comparison, Path(chart), overwrite=force)
    return comparison


def _sizes(train_at: Sequence[float]) -> list[float]:
    try:
        sizes = [float(size) for size in train_at]
    except (TypeError, ValueError):
        sizes = [0.0]
    if not all(0 < size < inf for size in sizes):
        raise OptionError(
            f"`train_at={list(train_at)}`: say bytes an image, as in `train_at=[60, 120, 240]`",
            option="train_at",
        )
    return sizes


def _check_unused(**said: object) -> None:
    """Raise OptionError for what is said of a training where nothing is to be trained."""
    for name, value in said.items():
        if value is not None:
            raise OptionError(
                f"`{name}={value}`: found no `train=True`, without which nothing is trained; add "
                "it, or leave this out",
                option=name,
            )


def _as_encode_makes() -> MadeOf:
    """What adds the entropy models that `drrpack.encode` makes of codes."""
    adapted = list[EntropyModel]()

    def made_of(codecs: Sequence[Codec], codes: Codes, counts: Sequence[int]) -> Sequence[Codec]:
        if not adapted:  # it takes seconds, and fits the codes of other qualities almost as well
            found = with_adapted(codecs, [codes], images=counts)
            adapted.extend(c.entropy for c in found if isinstance(c.entropy, AdaptedModel))
        more = [replace(codecs[0], entropy=model) for model in adapted]
        return with_table([*codecs, *more], [codes])

    return made_of


def _nothing_more(codecs: Sequence[Codec], codes: Codes, counts: Sequence[int]) -> Sequence[Codec]:
    """For a codec that is given: its own entropy model is meant."""
    return codecs


def _named_codecs(codec: Pathlike | None, family: str | None) -> list[Path]:
    """The file ``codec``, or those of a family: what can be told before any image is read."""
    if codec is None:
        assert family is not None
        return shipped.paths(get_family(family))
    if family is not None:
        raise OptionError(shipped.FAMILY_BESIDE_CODEC, option="family")
    return [local_path(codec)]


def _loaded(paths: Sequence[Path], device: torch.device) -> list[Codec]:
    """The codecs of one VQ-VAE to compare, each with its own entropy model."""
    codecs = []
    for path in paths:
        with Reader(path) as reader:
            codecs.append(load_codec(reader, device, encoder=True))
    return codecs
