"""Add classes or images to an existing ``.drr`` file: the work of ``drrpack append``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from drrpack.core.codes import Codes
from drrpack.core.device import choose_device
from drrpack.core.errors import MessageError
from drrpack.core.lazily import Lazily
from drrpack.core.progress import Notice
from drrpack.core.settings import float_arithmetic
from drrpack.formats import container, metadata, originals
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader
from drrpack.formats.files.addresses import local_path
from drrpack.formats.files.beside import left_beside
from drrpack.formats.files.publish import changing
from drrpack.formats.files.spool import Spool
from drrpack.formats.hdf5.build import build_image
from drrpack.formats.sources.labelling import ClassesFrom, Labelling
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Given, LabelledDataset, Opening, Source
from drrpack.operations.append_models import Candidate, other_models
from drrpack.operations.append_outcome import Appended, record, recorded, remove_all
from drrpack.operations.append_plan import (
    AppendOptions,
    AppendPlan,
    holds,
    known_and_new,
    opened_source,
    plan_append,
)
from drrpack.operations.edit import changed_metadata, changed_since
from drrpack.operations.encoding.kept import kept_beside
from drrpack.operations.encoding.pieces import divide
from drrpack.operations.encoding.work import Work
from drrpack.operations.preparing import (
    Pathlike,
    as_seed,
    names_of,
    tell_of,
    tell_of_left,
    tidy,
    tuning_budget,
)
from drrpack.operations.progress import Report, heard, silent
from drrpack.operations.raw_exemplars import RawChoice, raw_exemplars
from drrpack.operations.recode import all_codes, coded
from drrpack.trainers.ranks import ALONE, Ranks, own_device, ranks


def append(
    memory: Pathlike,
    source: Given,
    *,
    keep_entropy_model: bool = False,
    extend: bool = False,
    epochs: int | None = None,
    minutes: float | None = None,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    classes_from: ClassesFrom | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    device: str = "auto",
    seed: int = 0,
    skip_bad: bool = False,
    class_names: Sequence[str] | None = None,
    test: LabelledDataset | None = None,
    report: Report | None = None,
) -> Appended:
    """Add classes to a ``.drr`` file: the next phase of class-incremental learning.

    The VQ-VAE does not change, so old codes stay the same. The entropy model is fine-tuned on old
    and new codes, and all images are coded again, unless the old entropy model makes the smaller
    file. A file that has outgrown its table of frequencies takes another entropy model.

    After an interruption the same call takes over what was encoded, and continues the fit. Several
    processes within `drrpack.trainers.ranks.sharing` share the new images, and write the file that
    one would.

    Args:
        memory: the file to add to.
        source: images of new classes, as for `drrpack.encode`.
        keep_entropy_model: code the new images with the file's entropy model as it is.
        extend: add images to classes that the file already has.
        epochs, minutes: how long to fine-tune the entropy model; by default a minute for each 5,000
            images that the file then has, and 10 minutes at most; on a GPU 3 at most.
        size, depth, value_range, max_megapixels: as for `drrpack.encode`; by default the values
            with which the images of the file were read.
        classes_from, image_column, label_column: as for `drrpack.encode`.
        device, seed, skip_bad, class_names, test, report: as for `drrpack.encode`.

    Raises:
        FormatError, OutputError, SourceError, OptionError: each names the path and the fix.
        DrrError: the streams do not decode to the same codes; the file is unchanged then.
    """
    processes = ranks()
    report, path = heard(report) if processes.first else silent, local_path(memory)
    place, seed = own_device(choose_device(device)), as_seed(seed)
    if processes.first:
        tidy(path, report)
    opening = Opening(
        Reading(size, depth, value_range, max_megapixels), skip_bad,
        class_names=names_of(class_names), test=test,
        labelling=Labelling(classes_from, image_column, label_column),
    )  # fmt: skip
    options = AppendOptions(
        path, source, place, tuning_budget(epochs, minutes, keep_entropy_model), opening,
        extend=extend, keep_entropy_model=keep_entropy_model, seed=seed,
    )  # fmt: skip
    with processes.holding(changing(path)), Reader(path) as reader:
        new = opened_source(reader, options, processes)
        made = processes.from_first(lambda: _ended(reader, new, path, report))
        if made is not None:
            return made
        tell_of_left(path, report, taken_over=True)
        plan = plan_append(reader, new, options)
        report(plan)
        tell_of(plan.source, report)
        if options.extend and holds(reader, plan.source):
            report(Notice(f"{path} holds these images already, and will have each once more"))
        return carry_out(reader, plan, report, processes)


def _ended(reader: Reader, source: Source, path: Path, report: Report) -> Appended | None:
    """What an append of this source has made that was killed once the file was written; what it has
    left beside the file goes. None if there was none."""
    left = left_beside(path)
    made = recorded(left, source, reader, path)
    if made is not None:
        remove_all(left)
        originals.remember(source)
        report(
            Notice(
                f"{path} has these images already: an append that was killed had written them, and "
                "what it left beside the file is removed",
                warning=False,
            )
        )
    return made


@float_arithmetic()
def carry_out(
    reader: Reader, plan: AppendPlan, report: Report, processes: Ranks = ALONE
) -> Appended:
    """Encode the new images, fine-tune the entropy model on all codes, keep the smaller file.

    Each of several ``processes`` calls this. They share the new images; the first one does the
    rest. It must hold the file's lock (`changing`).
    """
    with kept_beside(plan.left.parts, len(divide(plan.source)), processes) as kept:
        work = Work(plan.source, kept, processes, report)
        codes = work.encode([plan.codec])
        try:
            chunks = work.streams(plan.codec)
        except MessageError:  # too few plain images for so short a class: all are laid out anew
            chunks = None
        fresh = work.by_class(codes)
        return processes.from_first(lambda: _written(reader, plan, fresh, chunks, report))


def _written(
    reader: Reader, plan: AppendPlan, fresh: Sequence[Codes], chunks: Sequence[Chunk] | None,
    report: Report,
) -> Appended:  # fmt: skip
    """Write the smaller file. ``chunks`` are those of the ``fresh`` codes in the layout of the
    file; None where that does not suffice."""
    options, codec = plan.options, plan.codec
    classes, choice = _classes_and_raw(reader, plan)
    spool = Spool(options.memory.resolve().parent)
    raw = raw_exemplars(plan.source, choice, fresh, codec.vqvae, spool)
    content = _with_classes(reader, plan, classes, raw)
    every = cache(lambda: _together(reader, plan, content, fresh, spool))
    if chunks is None:
        made = coded(content, codec, every(), spool)
    else:
        made = _with_chunks(content, chunks, plan)
    kept = taken = Candidate(build_image(options.memory, made), codec.entropy.kind)
    outcome = Appended(options.memory, kept.image.length, None, False, kept.entropy_model)
    if not options.keep_entropy_model:
        tried = other_models(plan, content, every(), spool, report)
        other = min(tried, key=lambda one: one.image.length)
        taken = min(kept, other, key=lambda one: one.image.length)
        outcome = replace(
            outcome, tuned_bytes=other.image.length, tuned=other.tuned,
            entropy_model=taken.entropy_model,
        )  # fmt: skip
    noted = partial(record, plan.left, plan.source, outcome)
    container.write(options.memory, taken.image, overwrite=True, checked=noted)
    remove_all(plan.left)
    originals.remember(plan.source)
    return outcome


def _classes_and_raw(reader: Reader, plan: AppendPlan) -> tuple[list[str], RawChoice]:
    """All classes of the new file, and the raw exemplars that it keeps of the new images."""
    classes = [*reader.classes, *known_and_new(reader, plan.source)[1]]
    places = enumerate(_places(classes, plan))
    numbers = {number: place for number, place in places if place >= len(reader.classes)}
    return classes, RawChoice(plan.raw_per_class, plan.raw_select, plan.options.seed, numbers)


def _places(classes: Sequence[str], plan: AppendPlan) -> list[int]:
    """Where each class of the source is among ``classes`` of the new file."""
    there = {name: place for place, name in enumerate(classes)}
    return [there[name] for name in plan.source.classes]


def _with_classes(
    reader: Reader, plan: AppendPlan, classes: list[str], raw: list[RawRecord]
) -> Memory:
    """The content with the names, the origin and the raw exemplars of the new classes."""
    content = reader.stored()
    rows = [*metadata.shared_sources(content.metadata), originals.record(plan.source)]
    changed = changed_since(changed_metadata(content.metadata, sources=rows), "appended")
    return replace(content, classes=classes, raw=[*content.raw, *raw], metadata=changed)


def _with_chunks(content: Memory, chunks: Sequence[Chunk], plan: AppendPlan) -> Memory:
    """The content with chunks of the classes of the source behind the old ones."""
    places = _places(content.classes, plan)
    new = [replace(chunk, class_index=places[chunk.class_index]) for chunk in chunks]
    return replace(content, chunks=[*content.chunks, *new])


def _together(
    reader: Reader, plan: AppendPlan, content: Memory, fresh: Sequence[Codes], spool: Spool
) -> Sequence[Codes]:
    """All codes, old and new, class by class."""
    old = all_codes(reader, plan.codec, spool)
    place = {at: number for number, at in enumerate(_places(content.classes, plan))}

    def of_class(number: int) -> Codes:
        parts = [old[number]] if number < len(old) else []
        return Codes.concat([*parts, *([fresh[place[number]]] if number in place else [])])

    return Lazily(len(content.classes), of_class)
