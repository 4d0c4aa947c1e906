"""Drop classes and merge files. Streams are copied without decoding them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.formats import metadata
from drrpack.formats.class_names import look
from drrpack.formats.container import Memory
from drrpack.formats.layout import Json
from drrpack.operations.merged_notes import merged_notes
from drrpack.operations.one_codec import check_one_vqvae


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
    after = of_classes(memory, kept)
    return replace(after, metadata=changed_since(after.metadata, "dropped"))


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
    """One memory with the classes of all files, in this order, and their streams as they are.

    Its models are those of the first file: whether its entropy model reads all streams is for the
    caller to see (`recode.merged`).

    Raises:
        OptionError: the files have different VQ-VAEs or image sizes, or share a class; the message
            says how they differ.
    """
    check_one_vqvae(memories)
    _check_no_class_twice({path: memory.classes for path, memory in memories.items()})
    first = next(iter(memories.values()))
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


def _check_no_class_twice(classes: Mapping[Path, Sequence[str]]) -> None:
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


def changed_metadata(kept: Json, **changes: object) -> Json:
    """Metadata of a file whose classes have changed, without figures of the old classes.

    PSNR stays: it tells of the codec.
    """
    measured, old = metadata.part(kept, "figures"), ("reference_bits", "entropy_bytes")
    figures = {name: measured[name] for name in measured if name not in old}
    return {**kept, "figures": figures, **changes}


def changed_since(kept: Json, change: str) -> Json:
    """Metadata that say what the file went through after its PSNR was measured, if it was.

    ``change`` is a name of `metadata.SINCE`.
    """
    measured = metadata.part(kept, "figures")
    if metadata.psnr_db(measured) is None:
        return kept
    names = {*metadata.since_measured(measured), change}
    return {**kept, "figures": {**measured, "since": sorted(names)}}


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
