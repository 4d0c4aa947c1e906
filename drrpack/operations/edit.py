"""Drop classes and merge files. Streams are copied without decoding them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drrpack.core.entropy.sections import STREAMS
from drrpack.core.errors import OptionError
from drrpack.core.section import Section
from drrpack.core.wording import shortened, sides
from drrpack.formats import metadata, shipped
from drrpack.formats.class_names import look
from drrpack.formats.container import Memory
from drrpack.formats.encoder import decoder_alone
from drrpack.formats.layout import Json
from drrpack.operations.merged_notes import merged_notes


@dataclass(frozen=True)
class Written:
    """A file that was written: how many classes it has, and its size in bytes."""

    path: Path
    classes: int
    file_bytes: int


def drop(path: Path, memory: Memory, names: Sequence[str]) -> Memory:
    """The memory of ``path`` without some of its classes; the others keep their order.

    Raises:
        OptionError: it would have no class left.
    """
    dropped = set(names)
    kept = [name for name in memory.classes if name not in dropped]
    if not kept:
        raise OptionError(f"{path}: no class would be left; delete the file instead")
    return of_classes(memory, kept)


def of_classes(memory: Memory, kept: Sequence[str]) -> Memory:
    """The memory with some of its classes alone, in the same order."""
    places = {name: place for place, name in enumerate(kept)}
    number = {n: places[name] for n, name in enumerate(memory.classes) if name in places}
    return replace(
        memory,
        classes=[*kept],
        chunks=[
            replace(chunk, class_index=number[chunk.class_index])
            for chunk in memory.chunks
            if chunk.class_index in number
        ],
        raw=[
            replace(record, class_index=number[record.class_index])
            for record in memory.raw
            if record.class_index in number
        ],
        metadata=changed_metadata(
            memory.metadata, sources=_sources_of(memory, kept), **_class_order([memory], kept)
        ),
    )


def merge(memories: Mapping[Path, Memory]) -> Memory:
    """One memory with the classes of all files, in this order, whose models must be the same.

    Raises:
        OptionError: the files have different codecs or image sizes, or share a class; the message
            says how they differ.
    """
    _refuse_others(memories, {"VQ-VAE": "vqvae", "entropy model": "entropy_model"})
    first = next(iter(memories.values()))
    check_no_class_twice({path: memory.classes for path, memory in memories.items()})
    classes: list[str] = []
    chunks, raw, sources = [], [], []
    for memory in memories.values():
        start = len(classes)
        classes += memory.classes
        chunks += [replace(c, class_index=start + c.class_index) for c in memory.chunks]
        raw += [replace(r, class_index=start + r.class_index) for r in memory.raw]
        sources += _sources_of(memory, memory.classes)
    notes = merged_notes([one.metadata for one in memories.values()], sources)
    notes |= _class_order(memories.values(), classes)
    return replace(first, classes=classes, chunks=chunks, raw=raw, metadata=notes)


def check_no_class_twice(classes: Mapping[Path, Sequence[str]]) -> None:
    """Raise OptionError if two files have a class of the same name, or of names that look alike."""
    owner: dict[str, tuple[Path, str]] = {}  # by the look of a class: the file, its name there
    for path, names in classes.items():
        for name in names:
            other, twin = owner.setdefault(look(name), (path, name))
            if other != path:
                same = name == twin
                what = f"a class {name!r}" if same else f"one class, as {twin!r} and {name!r}"
                raise OptionError(
                    f"both {other} and {path} have {what}: "
                    "drop it from one of them, or rename it where it comes from"
                )


def _class_order(memories: Collection[Memory], classes: Sequence[str]) -> Json:
    """Those of some ``classes`` in the order of each memory; empty if no file records one.

    It names no class that is dropped, so that one that comes back later comes last.
    """
    if not any("class_order" in memory.metadata for memory in memories):
        return {}
    dropped = {name for memory in memories for name in memory.classes} - {*classes}
    ordered = dict.fromkeys(
        name
        for memory in memories
        for name in metadata.ordered_names(memory.metadata, memory.classes)
    )
    return {"class_order": [name for name in ordered if name not in dropped]}


def check_one_vqvae(memories: Mapping[Path, Memory]) -> None:
    """Refuse memories of different VQ-VAEs; their codes mean different things.

    Raises:
        OptionError: different VQ-VAEs or image sizes; the message says how they differ.
    """
    _refuse_others(memories, {"VQ-VAE": "vqvae"}, shipped.key)


def _refuse_others(
    memories: Mapping[Path, Memory],
    models: Mapping[str, str],
    essence: Callable[[Section], object] = lambda model: model,
) -> None:
    """Raise OptionError unless all have images of one size, and ``models`` of one ``essence``."""
    (first_path, first), *others = memories.items()
    for path, other in others:
        if first.image_size != other.image_size:
            sizes = [sides(memory.image_size) for memory in (first, other)]
            raise OptionError(f"{first_path} has images of {sizes[0]}, {path} of {sizes[1]}")
        different = []
        for what, name in models.items():
            one = shipped.whole(getattr(first, name), first_path)
            two = shipped.whole(getattr(other, name), path)
            if essence(one) != essence(two):
                different.append(f"{what} ({_difference(one, two)})")
        if different:
            _refuse_decoder_alone({first_path: first.vqvae, path: other.vqvae})
            raise OptionError(
                f"{first_path} and {path} were made by different codecs, so neither codec can read "
                f"both; they differ in the {' and the '.join(different)}. Encode the images of one "
                "file again, with the other file as `codec`"
            )


def _refuse_decoder_alone(of_files: Mapping[Path, Section]) -> None:
    """Raise OptionError if one of two VQ-VAEs is the decoder of the other one."""
    models = {path: shipped.whole(section, path) for path, section in of_files.items()}
    whole = [path for path, model in models.items() if model.config.get("encoder") is True]
    alone = [path for path, model in models.items() if model.config.get("encoder") is False]
    if len(whole) != 1 or len(alone) != 1:
        return
    if shipped.key(decoder_alone(models[whole[0]])) == shipped.key(models[alone[0]]):
        raise OptionError(
            f"{whole[0]} and {alone[0]} were made by one codec, and the second lacks the encoder "
            f"of the VQ-VAE (`decoder_only`). Encode the images of {alone[0]} again, with "
            f"{whole[0]} as `codec`"
        )


def _difference(one: Section, two: Section) -> str:
    """Describe the difference between two models."""
    if one.version != two.version:
        return f"versions {one.version} and {two.version}"
    names = sorted({*one.config, *two.config} - {STREAMS})
    keys = [name for name in names if one.config.get(name) != two.config.get(name)]
    if not keys and one.data == two.data:
        keys = [STREAMS]
    if keys:
        values = f"{shortened(one.config.get(keys[0]))} and {shortened(two.config.get(keys[0]))}"
        return f"{keys[0]}: {values}"
    return "other weights"


def changed_metadata(kept: Json, **changes: object) -> Json:
    """Metadata of a file whose classes have changed, without figures of the old classes."""
    measured = metadata.part(kept, "figures")
    figures = {name: measured[name] for name in measured if name != "reference_bits"}
    return {**kept, "figures": figures, **changes}


def _sources_of(memory: Memory, classes: Sequence[str]) -> list[Json]:
    """The recorded sources of some classes."""
    rows, wanted = [], set(classes)
    for row in metadata.shared_sources(memory.metadata):
        kept = [name for name in row["classes"] if name in wanted]
        if kept:
            lost = len(kept) < len(row["classes"])
            fitted = metadata.fitted_classes({**memory.metadata, "sources": [row]}) if lost else []
            rows.append({**row, "classes": kept, **({"fitted": fitted} if fitted else {})})
    return rows
