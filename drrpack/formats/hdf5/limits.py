"""What no ``.drr`` file can hold: refused before it is written, as a reader would refuse it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drrpack.core.errors import OutputError
from drrpack.formats import layout
from drrpack.formats.layout import AnyPath, Json, Memory

OTHER_NOTES_BYTES = 1 << 15  # of metadata that are not known before the work: figures, the fit


def check_memory(path: AnyPath, memory: Memory) -> None:
    """Raise OutputError for what a reader would refuse."""
    faults = [*_faults_of_classes(memory.classes), *_faults_of_chunks(memory)]
    faults += _faults_of_raw(memory)
    if not all(1 <= side <= layout.MAX_SIDE for side in memory.image_size):
        faults.append(f"image size {memory.image_size}: sides go from 1 to {layout.MAX_SIDE}")
    for section in (memory.vqvae, memory.entropy_model):
        if re.fullmatch("[0-9A-Za-z.+-]{1,32}", section.version) is None:
            faults.append(f"section version {section.version!r}: give one such as 1.0")
        if len(section.data) > layout.MAX_WEIGHTS_BYTES:
            faults.append(f"{len(section.data)} bytes of weights: use a smaller model")
    if faults:
        raise OutputError(f"{path}: can't be written: {faults[0]}")


def check_classes(path: AnyPath, classes: list[str]) -> None:
    """Refuse classes that no file can hold, before there is anything to write.

    Raises:
        OutputError: there are too many, or one has a name that won't do.
    """
    for fault in _faults_of_classes(classes):
        raise OutputError(f"{path}: can't be written: {fault}")


def check_notes(path: AnyPath, notes: Json) -> None:
    """Refuse metadata that are too large, before there is anything to write.

    ``notes`` are what is known of them by then: sources and class order, whose names of classes
    take the most.

    Raises:
        OutputError: they leave too little room for the rest.
    """
    size, most = len(layout.dump_json(notes)), layout.MAX_JSON_BYTES - OTHER_NOTES_BYTES
    if size > most:
        raise OutputError(
            f"{path}: can't be written: its metadata name the source and its classes in {size} "
            f"bytes of JSON, and there is room for {most}; shorten the names of the classes, leave "
            "out the class order, or write several files of fewer classes"
        )


def _faults_of_classes(classes: list[str]) -> Iterable[str]:
    if not 1 <= len(classes) <= layout.MAX_CLASSES:
        yield f"{len(classes)} classes: a file holds 1 to {layout.MAX_CLASSES}"
    if len(set(classes)) != len(classes):
        yield "two classes of the same name: rename one of them"
    for name in classes:
        size = len(name.encode("utf-8", "replace"))
        has_surrogate = any("\ud800" <= letter <= "\udfff" for letter in name)
        if not 1 <= size <= layout.MAX_NAME_BYTES or "\0" in name or has_surrogate:
            yield (
                f"class name {name!r}: rename the class; a name has 1 to {layout.MAX_NAME_BYTES} "
                "bytes of UTF-8 and no NUL"
            )


def _faults_of_chunks(memory: Memory) -> Iterable[str]:
    images = sum(chunk.images for chunk in memory.chunks)
    if len(memory.chunks) > layout.MAX_CHUNKS or images > layout.MAX_IMAGES:
        yield (
            f"{len(memory.chunks)} chunks of {images} images: a file holds {layout.MAX_CHUNKS} "
            f"chunks and {layout.MAX_IMAGES} images at most; write several files"
        )
    for chunk in memory.chunks:
        if not 0 <= chunk.class_index < len(memory.classes) or chunk.images < 1:
            yield f"a chunk of {chunk.images} images of class number {chunk.class_index}"
        if not 0 <= chunk.codes_digest < 1 << 64:
            yield f"the digest {chunk.codes_digest} of codes: it has 64 bits"
        if max(len(chunk.top), len(chunk.bottom)) > layout.MAX_STREAM_BYTES:
            yield (
                f"a stream of more than {layout.MAX_STREAM_BYTES} bytes: "
                "put the images of the class into several chunks"
            )


def _faults_of_raw(memory: Memory) -> Iterable[str]:
    if len(memory.raw) > layout.MAX_CHUNKS:
        yield f"{len(memory.raw)} records of raw images: a file holds {layout.MAX_CHUNKS}"
    for record in memory.raw:
        if not 0 <= record.class_index < len(memory.classes) or record.images < 1:
            yield f"a record of {record.images} raw images of class number {record.class_index}"
        if len(record.data) > layout.MAX_STREAM_BYTES:
            yield (
                f"a record of raw images of more than {layout.MAX_STREAM_BYTES} bytes: "
                "put them into several records"
            )
