"""The raw images behind a ``.drr`` file: found again through the paths and digests it records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from drrpack.errors import SourceError
from drrpack.formats import metadata
from drrpack.formats.container import Reader
from drrpack.formats.layout import Json
from drrpack.formats.reading import Reading
from drrpack.formats.sources import Source, Split, open_as
from drrpack.formats.splits import Pixels


@dataclass(frozen=True)
class Part:
    """A folder, the split of it that is meant, and the classes that the file took from there."""

    source: Source
    split: Split
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Originals:
    """Raw images of a file's classes, from one folder or, after ``append``, from several."""

    parts: tuple[Part, ...]

    @property
    def roots(self) -> str:
        """The folders, for a message."""
        return ", ".join(str(part.source.root) for part in self.parts)

    def load(self, name: str) -> Pixels:
        """The images of a class (n, H, W, 3) uint8, in the order in which the file has them.

        Of a class that is in none of the folders n = 0.
        """
        found = [
            part.source.load(part.source.classes.index(name), part.split)
            for part in self.parts
            if self.has(name, part)
        ]
        none = np.empty((0, *self.parts[0].source.image_size, 3), np.uint8)
        return np.concatenate(found) if found else none

    @staticmethod
    def has(name: str, part: Part) -> bool:
        """Whether a class of the file comes from this folder."""
        return name in part.classes and name in part.source.classes

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of some classes that are in none of the folders."""
        return [name for name in names if not any(self.has(name, part) for part in self.parts)]

    def digest(self) -> str:
        """Of all the images: another whenever one of them is another."""
        digests = [part.source.digest(part.split) for part in self.parts]
        return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def record(source: Source) -> Json:
    """What a file's metadata keep of a source, one of the list ``sources``."""
    digests = {"train": source.digest()}
    if source.has_test:
        digests["test"] = source.digest("test")
    # a path need not be UTF-8, as JSON must be
    path = str(source.root).encode("utf-8", "backslashreplace").decode()
    return {
        "path": path,
        "digest": digests,
        **source.reading.to_json(),
        "classes": list(source.classes),
    }


def open_originals(reader: Reader, given: Path | None, split: Split) -> Originals:
    """Open what was encoded, and check ``split`` of it.

    Each recorded folder must hold the very images that were encoded, as their digest shows;
    ``given`` is where one of them is now.

    Raises:
        SourceError: a folder is gone, has changed, or lacks the split.
    """
    option = "--test DIR" if split == "test" else "--source DIR"
    records = _records(reader)
    if not records:
        fix = "" if split == "train" else f"; say where raw test images are with {option}"
        raise SourceError(f"{reader.path}: does not record which images it was made from{fix}")
    return Originals(tuple(_open_part(reader, kept, given, split, option) for kept in records))


def _open_part(reader: Reader, kept: Json, given: Path | None, split: Split, option: str) -> Part:
    """One recorded folder, or the one given in its place."""
    path = Path(kept["path"])
    several = len(_records(reader)) > 1
    if given is not None and not (several and path.is_dir() and path != given):
        path = given
    if path != given and not path.is_dir():
        raise SourceError(
            f"{reader.path}: the images it was made from are not at {path} any more; "
            f"say where they are with {option}"
        )
    # bad pictures may have been left out when encoding; the digest tells whether the same ones
    source = open_as(path, Reading.from_json(kept), splits=[split], skip_bad=True)
    digests = metadata.part(kept, "digest")
    if split == "test" and split not in digests:
        raise SourceError(
            f"{reader.path}: the source {source.root} had no test/ or val/ when it was encoded; "
            f"say where raw test images are with {option}"
        )
    if source.digest(split) != digests.get(split):
        raise SourceError(
            f"{source.root}: its {split} images are not those that {reader.path} was made from; "
            f"say where those are with {option}"
        )
    return Part(source, split, tuple(kept["classes"]))


def open_test(reader: Reader, given: Path | None, moved: Path | None = None) -> Originals:
    """Raw test images for a file: the recorded source's test split, or a folder of the user's.

    A given folder may have a test split or be a plain image folder with the file's class names; it
    need not have all of them, as not all need be tested. ``moved`` is where a recorded source is
    now.

    Raises:
        SourceError: neither is there, or the sizes do not fit; says how to mend it.
    """
    if given is None:
        found = open_originals(reader, moved, "test")
    else:
        source = open_as(given, recorded_reading(reader))
        split: Split = "test" if source.has_test else "train"
        _refuse_training_images(reader, source, split)
        found = Originals((Part(source, split, source.classes),))
    _check_fit(reader, found)
    return found


def _check_fit(reader: Reader, found: Originals) -> None:
    for part in found.parts:
        if part.source.image_size != reader.image_size:
            raise SourceError(
                f"{part.source.root}: its images are {_size(part.source.image_size)}, those of "
                f"{reader.path} are {_size(reader.image_size)}; give test images of that size"
            )


def _refuse_training_images(reader: Reader, source: Source, split: Split) -> None:
    """An accuracy on what the memory was made of would say nothing."""
    digest = source.digest(split)
    known = [metadata.part(kept, "digest").get("train") for kept in _records(reader)]
    if digest in known:
        raise SourceError(
            f"{source.root}: these are the training images that {reader.path} was made from; "
            "give other images to test on with --test DIR"
        )


def _records(reader: Reader) -> Sequence[Json]:
    return metadata.sources(reader.metadata)


def recorded_reading(reader: Reader) -> Reading:
    """How the memory's images were read, its --size above all: other images are read so as well."""
    reading = Reading()
    for kept in _records(reader):
        reading = reading.or_as(Reading.from_json(kept))
    return reading


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
