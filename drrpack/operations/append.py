"""New classes for a ``.drr`` file that is there: what ``drrpack append`` does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from drrpack.core import codec as codecs
from drrpack.core.codec import ClassCodes, Codec
from drrpack.core.errors import CorruptError, MessageError, OptionError, OutputError
from drrpack.core.settings import float_arithmetic
from drrpack.core.streams import frequency_table
from drrpack.core.vqvae import grid_shapes
from drrpack.core.weights import unpack_bitswap
from drrpack.formats import container, memory, metadata, originals, shipped
from drrpack.formats.class_names import look
from drrpack.formats.container import Memory, Reader
from drrpack.formats.files.beside import beside
from drrpack.formats.files.publish import changing
from drrpack.formats.hdf5.build import build_image, check_classes
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Source, open_as
from drrpack.operations import figures
from drrpack.operations.edit import changed_metadata
from drrpack.operations.encode import encode_classes
from drrpack.operations.encode_plan import Report
from drrpack.operations.recode import all_codes, coded
from drrpack.trainers.fitting.codec import FitPlan, Log, tune_bitswap
from drrpack.trainers.fitting.loop import Budget, checkpoint_folder
from drrpack.trainers.incremental import exemplars

DEFAULT_MINUTES = {"cpu": 10.0, "cuda": 3.0}  # of tuning: the model has been fitted already


@dataclass(frozen=True)
class AppendOptions:
    """Which images to add to which file, and how to code them."""

    memory: Path
    source: Path
    device: torch.device
    budget: Budget  # of tuning Bit-Swap
    size: int | None = None  # where nothing is said of pictures: as the file's were read
    skip_bad: bool = False
    extend: bool = False  # classes that exist get more images
    keep_entropy_model: bool = False  # no tuning: only the new streams are coded
    seed: int = 0
    depth: int | None = None  # what is white in deep grey pictures: see `Reading`
    value_range: tuple[float, float] | None = None
    max_megapixels: float | None = None

    @property
    def reading(self) -> Reading:
        """How pictures become pixels."""
        return Reading(self.size, self.depth, self.value_range, self.max_megapixels)


@dataclass(frozen=True)
class Plan:
    """What is about to be done; shown before the work starts."""

    source: Source
    options: AppendOptions
    fingerprint: str  # of the file

    @property
    def checkpoints(self) -> Path:
        """The folder beside the file from which an interrupted tuning goes on."""
        return beside(self.options.memory, ".fit")


@dataclass(frozen=True)
class Appended:
    """The sizes of the file with the entropy model as it was and tuned, in bytes; the smaller has
    been written. Without tuning there is but one."""

    kept_bytes: int
    tuned_bytes: int | None


def plan_append(options: AppendOptions) -> Plan:
    """Check everything that can be checked before the work.

    Raises:
        FormatError, OutputError, SourceError, OptionError: each names the path and the fix.
    """
    with Reader(options.memory) as reader:
        container.check_output(options.memory, overwrite=True)
        reading = options.reading.or_as(originals.recorded_reading(reader))
        source = open_as(options.source, reading, skip_bad=options.skip_bad)
        _check(reader, source, options)
        _raw_choice(reader)
        memory.load_codec(reader, options.device, encoder=True)
        return Plan(source, options, reader.fingerprint)


def _check(reader: Reader, source: Source, options: AppendOptions) -> None:
    known = [name for name in source.classes if name in reader.classes]
    if known and not options.extend:
        raise OptionError(
            f"{reader.path} has a class {known[0]!r} already, as {source.root} does; "
            "say --extend to add images to it"
        )
    new = [name for name in source.classes if name not in known]
    check_classes(reader.path, [*reader.classes, *new])
    _refuse_twins(reader, new, source)
    if source.image_size != reader.image_size:
        sizes = ["{}x{}".format(*size) for size in (source.image_size, reader.image_size)]
        raise OptionError(
            f"{source.root}: its images are {sizes[0]}, those of {reader.path} are {sizes[1]}; "
            "bring them to that size, with --size where it is square"
        )


def _refuse_twins(reader: Reader, new: Sequence[str], source: Source) -> None:
    """Raise OptionError where a new class looks like one of the file's."""
    there = {look(name): name for name in reader.classes}
    for name in new:
        twin = there.get(look(name))
        if twin is not None:
            raise OptionError(
                f"{source.root}: found a class {name!r}, which differs from {twin!r} of "
                f"{reader.path} only by case, outer space or Unicode form; expected distinct "
                f"names: rename the folder, to {twin!r} where it is the same class"
            )


@float_arithmetic()
def append(plan: Plan, report: Report) -> Appended:
    """Carry out ``plan``: encode the new images, tune Bit-Swap on all, keep the smaller file.

    The VQ-VAE stays as it is, so old codes stay what they were.

    Raises:
        OutputError: another process has changed the file, or is at it.
        DrrError: what was coded does not decode to the same codes; the file is as it was then.
    """
    options = plan.options
    with changing(options.memory), Reader(options.memory) as reader:
        if reader.fingerprint != plan.fingerprint:
            raise OutputError(f"{reader.path}: another process has changed it; start again")
        codec = memory.load_codec(reader, options.device, encoder=True)
        fresh = encode_classes(plan.source, codec, report)
        content = _with_classes(reader, plan, codec, fresh)
        kept = _kept(reader, plan, codec, content, fresh)
        outcome, smaller = Appended(len(build_image(reader.path, kept)), None), kept
        if not options.keep_entropy_model:
            every = _together(reader, plan, codec, content, fresh)
            tuned = _tuned(reader, plan, codec, content, every, report)
            tuned_bytes = len(build_image(reader.path, tuned))
            smaller = kept if outcome.kept_bytes <= tuned_bytes else tuned
            outcome = replace(outcome, tuned_bytes=tuned_bytes)
        container.write(options.memory, smaller, overwrite=True)
    originals.remember(plan.source)
    shutil.rmtree(plan.checkpoints, ignore_errors=True)
    return outcome


def _with_classes(reader: Reader, plan: Plan, codec: Codec, fresh: Sequence[ClassCodes]) -> Memory:
    """The content with the names, the origin and the raw exemplars of the new classes."""
    content, source = reader.memory(), plan.source
    new = [name for name in source.classes if name not in content.classes]
    classes = [*content.classes, *new]
    raw_per_class, raw_select = _raw_choice(reader)
    numbers = {source.classes.index(name): classes.index(name) for name in new}
    raw = exemplars.records(
        raw_select, raw_per_class, numbers, fresh,
        source.load, codec.vqvae, plan.options.seed,
    )  # fmt: skip
    rows = [*metadata.shared_sources(content.metadata), originals.record(source)]
    changed = changed_metadata(content.metadata, sources=rows)
    return replace(content, classes=classes, raw=[*content.raw, *raw], metadata=changed)


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


def _kept(
    reader: Reader, plan: Plan, codec: Codec, content: Memory, fresh: Sequence[ClassCodes]
) -> Memory:
    """New streams by the models that are there; the old ones stay as they are."""
    try:
        made = codec.compress(fresh)
    except MessageError:  # too few plain images for so short a class: all streams, laid out anew
        every = _together(reader, plan, codec, content, fresh)
        return coded(content, codec, every)
    numbers = [content.classes.index(name) for name in plan.source.classes]
    chunks = [memory.chunk(n, streams) for n, streams in zip(numbers, made, strict=True)]
    return replace(content, chunks=[*content.chunks, *chunks])


def _together(
    reader: Reader, plan: Plan, codec: Codec, content: Memory, fresh: Sequence[ClassCodes]
) -> list[ClassCodes]:
    """All codes, old and new, class by class."""
    every = all_codes(reader, codec)
    (rows, columns), (high, wide) = grid_shapes(*reader.image_size)
    empty = ClassCodes(np.empty((0, rows, columns), int), np.empty((0, high, wide), int))
    every += [empty] * (len(content.classes) - len(every))
    for name, codes in zip(plan.source.classes, fresh, strict=True):
        number = content.classes.index(name)
        old = every[number]
        every[number] = ClassCodes(
            np.concatenate([old.top, codes.top]), np.concatenate([old.bottom, codes.bottom])
        )
    return every


def _tuned(
    reader: Reader, plan: Plan, codec: Codec, content: Memory, every: list[ClassCodes],
    report: Report,
) -> Memory:  # fmt: skip
    """All streams by a Bit-Swap that was fitted further on all codes (the paper, section 4)."""
    options = plan.options
    network, _, layouts = unpack_bitswap(shipped.whole(reader.entropy_model, reader.path))
    fit_plan = FitPlan(options.budget, options.device, options.seed, checkpoints=plan.checkpoints)
    filled = [codes for codes in every if len(codes)]
    flat = np.concatenate([codes.flat for codes in filled])
    top_shape = grid_shapes(*reader.image_size)[0]
    with checkpoint_folder(plan.checkpoints):
        log: Log = tune_bitswap(network, flat, top_shape, fit_plan, report)
    tables = {
        level: frequency_table(
            np.concatenate([getattr(codes, level) for codes in filled]),
            network.config.codebook_size,
        )
        for level in ("top", "bottom")
    }
    tuned = codecs.assemble(codec.vqvae, codec.bits, network, tables, layouts, options.device)
    made = coded(content, tuned, every)
    known = metadata.part(made.metadata, "figures")
    measured = {**known, "reference_bits": figures.references(filled)}
    fit = {**metadata.part(made.metadata, "fit"), "tuned": log}
    return replace(made, metadata={**made.metadata, "figures": measured, "fit": fit})
