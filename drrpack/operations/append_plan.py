"""The plan of ``append``: its options, and all checks that can be made before the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from drrpack.core.codec import Codec
from drrpack.core.errors import CorruptError, OptionError
from drrpack.core.wording import sides
from drrpack.formats import container, memory, metadata
from drrpack.formats.class_names import look
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import Left, left_beside
from drrpack.formats.hdf5.limits import check_classes, check_notes
from drrpack.formats.recorded import recorded_reading
from drrpack.formats.sources.source import Given, Opening, Source, open_as
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.incremental import exemplars
from drrpack.trainers.ranks import ALONE, Ranks

MOST_MINUTES = {"cpu": 10.0, "cuda": 3.0}  # of tuning: the model has been fitted already
MANY = 50_000  # images that are worth them


@dataclass(frozen=True)
class AppendOptions:
    """Which images to add to which file, and how to code them."""

    memory: Path
    source: Given = field(repr=False)
    device: torch.device
    budget: Budget | None  # of tuning the entropy model; None: by the number of images
    opening: Opening = field(default_factory=Opening)  # where silent: as the file's were read
    extend: bool = False  # classes that exist get more images
    keep_entropy_model: bool = False  # no tuning: only the new streams are coded
    seed: int = 0


@dataclass(frozen=True)
class AppendPlan:
    """What ``append`` is going to do; reported before the work starts."""

    source: Source
    options: AppendOptions
    codec: Codec = field(repr=False)
    raw_per_class: int  # raw exemplars that the file keeps of each class, and how it chooses them
    raw_select: exemplars.Selection
    budget: Budget  # of tuning the entropy model

    @cached_property
    def left(self) -> Left:
        """The folders that an interrupted append leaves, from which the next one goes on."""
        return left_beside(self.options.memory)


def plan_append(reader: Reader, source: Source, options: AppendOptions) -> AppendPlan:
    """Check everything that can be checked before the work.

    Raises:
        FormatError, OutputError, SourceError, OptionError: each names the path and the fix.
    """
    check_source(reader, source, options)
    raw = _raw_choice(reader)
    codec = memory.load_codec(reader, options.device, encoder=True)
    images = int(reader.images_per_class.sum()) + sum(source.images_per_class)
    budget = suited(images, options.device.type) if options.budget is None else options.budget
    return AppendPlan(source, options, codec, *raw, budget)


def opened_source(reader: Reader, options: AppendOptions, processes: Ranks = ALONE) -> Source:
    """The images to append, whose pictures several ``processes`` share out.

    Raises:
        OutputError: the file can't be written to. SourceError, OptionError: as `drrpack.encode`.
    """
    container.check_output(options.memory, overwrite=True)
    reading = options.opening.reading.or_as(recorded_reading(reader))
    return open_as(options.source, replace(options.opening, reading=reading, sharing=processes))


def suited(images: int, device: str) -> Budget:
    """How long to tune for so many images, in tenths of a minute."""
    minutes = MOST_MINUTES[device] * min(1.0, images / MANY)
    return Budget(minutes=max(0.1, round(minutes, 1)))


def check_source(reader: Reader, source: Source, options: AppendOptions) -> None:
    """Raise OptionError or OutputError unless the file can take the images of ``source``."""
    known, new = known_and_new(reader, source)
    if known and not options.extend:
        if holds(reader, source):
            raise OptionError(
                f"{reader.path} holds the images of {source.place} already, so nothing is left to "
                "do; say `extend=True` to have each of them once more",
                option="extend",
            )
        raise OptionError(
            f"{reader.path} has a class {known[0]!r} already, as {source.place} does; "
            "say `extend=True` to add images to it",
            option="extend",
        )
    check_classes(reader.path, [*reader.classes, *new])
    rows = [*metadata.shared_sources(reader.metadata), {"classes": [*source.classes]}]
    check_notes(reader.path, {**reader.metadata, "sources": rows})
    _refuse_twins(reader, new, source)
    if source.image_size != reader.image_size:
        sizes = [sides(one.image_size) for one in (source, reader)]
        raise OptionError(
            f"{source.place}: its images are {sizes[0]}, those of {reader.path} are {sizes[1]}; "
            "bring them to that size, with `size` where it is square",
            option="size",
        )


def holds(reader: Reader, source: Source) -> bool:
    """Whether the file has all images of a source, as far as it records where they came from."""
    return any(
        row.digests.get("train") == source.digest() and {*source.classes} <= {*row.classes}
        for row in metadata.sources(reader.metadata)
    )


def known_and_new(reader: Reader, source: Source) -> tuple[list[str], list[str]]:
    """The classes of a source that the file has already, and the others."""
    there = {*reader.classes}
    known = [name for name in source.classes if name in there]
    return known, [name for name in source.classes if name not in there]


def _refuse_twins(reader: Reader, new: Sequence[str], source: Source) -> None:
    """Raise OptionError if the name of a new class looks like that of a class in the file."""
    there = {look(name): name for name in reader.classes}
    for name in new:
        twin = there.get(look(name))
        if twin is not None:
            raise OptionError(
                f"{source.place}: found a class {name!r}, which differs from {twin!r} of "
                f"{reader.path} only by case, outer space or Unicode form; expected distinct "
                f"names: rename the folder, to {twin!r} where it is the same class"
            )


def _raw_choice(reader: Reader) -> tuple[int, exemplars.Selection]:
    """How many raw images the file keeps of each class, and how they were chosen."""
    kept = metadata.part(reader.metadata, "raw")
    count, select = kept.get("per_class", 0), kept.get("select", "herding")
    if type(count) is not int or count < 0 or select not in exemplars.SELECTIONS:
        raise CorruptError(
            f"{reader.path}: it keeps {count!r} raw images of each class by {select!r}, expected "
            f"a number and one of {', '.join(exemplars.SELECTIONS)}"
        )
    return count, select
