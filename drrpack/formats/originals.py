"""Find the raw images of a ``.drr`` file again, by the name and the digests that it records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.core.wording import few, sides
from drrpack.formats import recorded_places, whereabouts
from drrpack.formats.container import Reader
from drrpack.formats.layout import Json
from drrpack.formats.metadata import SourceRecord
from drrpack.formats.recorded import labelled, recorded_labelling, recorded_reading, records
from drrpack.formats.sources.listing import listings
from drrpack.formats.sources.opening import Given, path_of
from drrpack.formats.sources.shards import is_there
from drrpack.formats.sources.source import Opening, Source, Split, open_as, reopened


@dataclass(frozen=True)
class Part:
    """A folder, the split of it that is meant, and the classes that the file took from there."""

    source: Source
    split: Split
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Originals:
    """Raw images of a file's classes, from one folder or, after ``append``, from several.

    Attributes:
        parts: the folders that the classes in use need.
        digests: of all folders that the file records, also of those that are left alone.
    """

    parts: tuple[Part, ...]
    digests: tuple[str, ...]

    @property
    def roots(self) -> str:
        """The folders, for a message."""
        return ", ".join(part.source.place for part in self.parts)

    def load(self, name: str) -> Pixels:
        """The images of a class (n, H, W, 3) uint8, in the order in which the file has them.

        Raises:
            SourceError: none of the folders has the class.
        """
        found = [
            part.source.load(part.source.classes.index(name), part.split)
            for part in self.parts
            if self.has(name, part)
        ]
        if not found:
            raise SourceError(f"{self.roots}: found no images of the class {name!r}, expected some")
        return np.concatenate(found)

    @staticmethod
    def has(name: str, part: Part) -> bool:
        """Whether a class of the file comes from this folder."""
        return name in part.classes and name in part.source.classes

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of some classes that are in none of the folders."""
        return [name for name in names if not any(self.has(name, part) for part in self.parts)]

    def digest(self) -> str:
        """Of all the images: another whenever one of them is another, and the same whichever of
        the folders are in use."""
        first, *others = self.digests
        return sha256("".join(self.digests).encode()).hexdigest() if others else first


def record(source: Source) -> Json:
    """What a file's metadata keep of a source, one of the list ``sources``.

    A file is made to be shared: it says what the folder is called and what is in it, and nothing of
    where it lies. That is for `remember`.
    """
    digests = {"train": source.digest()}
    if source.has_test:
        digests["test"] = source.digest("test")
    without = {} if source.root is not None else {"kind": source.kind}
    return {
        "name": source.name,
        **without,
        "digest": digests,
        "listing": {} if source.root is None else listings(source.root, source.labelling),
        **source.reading.to_json(),
        **source.labelling.said,
        "classes": list(source.classes),
    }


def remember(source: Source) -> None:
    """Keep in mind, on this machine, where a source lies whose `record` a file has."""
    if source.root is not None:
        test = [source.digest("test")] if source.has_test else []
        whereabouts.remember(source.root, [source.digest()], test)


def open_originals(
    reader: Reader,
    given: Given | None,
    split: Split,
    *,
    classes: Collection[str] | None = None,
    trusted: bool = False,
) -> Originals:
    """Open the folders that were encoded, and check their ``split``.

    Each folder must hold exactly the images that were encoded; their digest shows it. ``given`` is
    the present place of one folder, or the dataset itself; `recorded_places` looks for the others.
    ``classes`` are those in use, by default all: folders that have none of them are left alone.
    ``trusted``: paths that an older file names may be opened.

    Raises:
        SourceError: a folder can't be found, has changed, or lacks the split.
    """
    option = "`test=DIR`" if split == "test" else "`source=DIR`"
    found = records(reader)
    if not found:
        fix = "" if split == "train" else f"; say where raw test images are with {option}"
        raise SourceError(f"{reader.path}: does not record which images it was made from{fix}")
    needed = _needed(found, split, reader.classes if classes is None else classes)
    parts = tuple(_open_part(reader, kept, given, split, trusted) for kept in needed)
    return Originals(parts, tuple(kept.digests[split] for kept in found if split in kept.digests))


def _needed(
    found: Sequence[SourceRecord], split: Split, classes: Collection[str]
) -> Sequence[SourceRecord]:
    """The sources of some classes; all, if none is known to have them.

    One without test images is not needed for a class that has some in another source.
    """
    tested = {name for kept in found if "test" in kept.digests for name in kept.classes}

    def needs(kept: SourceRecord) -> bool:
        wanted = {*classes}.intersection(kept.classes)
        if split == "test" and split not in kept.digests:
            wanted -= tested
        return bool(wanted)

    return [kept for kept in found if needs(kept)] or found


def _open_part(
    reader: Reader, kept: SourceRecord, given: Given | None, split: Split, trusted: bool
) -> Part:
    """One recorded folder, or the one given in its place."""
    option = "`test=DIR`" if split == "test" else "`source=DIR`"
    if split == "test" and split not in kept.digests:
        raise SourceError(
            f"{reader.path}: the source {kept.shown} had no test/ or val/ when it was encoded; "
            f"say where raw test images are with {option}, or choose `classes` without those of "
            f"this source: {few(kept.classes)}"
        )
    how = Opening(kept.reading, skip_bad=True, splits=[split])
    if kept.kind is not None:
        return Part(_without_folder(reader, kept, given, how, split), split, kept.classes)
    folder = None if given is None else path_of(given)
    path = recorded_places.place(reader, kept, folder, split, trusted)
    where = "`source=DIR`" if split == "train" else f"`source=DIR`, or others with {option}"
    if path is None or (path != folder and not is_there(path)):
        why = "" if split == "train" else "accuracy is measured on raw test images, so "
        found = f"{recorded_places.not_found(kept, path)}; {why}say where they are with {where}"
        raise SourceError(f"{reader.path}: {found}")
    # bad pictures may have been left out when encoding; the digest tells whether the same ones
    try:
        source = open_as(path, labelled(how, path, kept.labelling))
        digest = source.digest(split)
    except SourceError as error:
        raise SourceError(
            f"{reader.path}: {error}; or say where its {split} images are with {where}"
        ) from error
    if digest != kept.digests.get(split):
        raise SourceError(
            f"{source.place}: its {split} images are not those that {reader.path} was made from; "
            f"say where those are with {option}"
        )
    if source.root is not None:
        whereabouts.remember(source.root, **{split: [digest]})
    return Part(source, split, kept.classes)


def _without_folder(
    reader: Reader, kept: SourceRecord, given: Given | None, how: Opening, split: Split
) -> Source:
    """The source of a record without a folder: the dataset that is given, or what opens by name."""
    source = None
    if given is not None and path_of(given) is None:
        source = open_as(given, how)
    elif kept.kind is not None:
        source = reopened(kept.kind, how)
    if source is not None and source.digest(split) == kept.digests.get(split):
        return source
    if given is not None and source is not None:
        raise SourceError(
            f"{source.place}: its {split} images are not those that {reader.path} was made from; "
            "give the same dataset, with the same transforms and names of classes"
        )
    fix = "say where raw test images are with `test=DIR`, or give a dataset of them from Python"
    if split == "train":
        fix = "give that dataset as `source` from Python, or encode from a folder"
    raise SourceError(
        f"{reader.path}: its images came from {kept.shown}, which is no folder; {fix}"
    )


def open_test(
    reader: Reader,
    given: Given | None,
    moved: Given | None = None,
    *,
    classes: Collection[str] | None = None,
    trusted: bool = False,
    how: Opening | None = None,
) -> Originals:
    """Raw test images for a file: the recorded source's test split, or pictures of the user's.

    A given folder may have a test split or be a plain image folder with the file's class names, and
    a dataset of a program has such names too; it need not have all of them, as not all need be
    tested. ``moved`` is where a recorded source is now, ``classes`` and ``trusted`` as in
    `open_originals`; ``how`` says how a given one is read; by default as the file's images were.

    Raises:
        SourceError: neither is there, or the sizes do not fit; says how to mend it.
    """
    if given is None:
        found = open_originals(reader, moved, "test", classes=classes, trusted=trusted)
    else:
        source = open_as(given, _as_recorded(reader, given, how or Opening()))
        split: Split = "test" if source.has_test else "train"
        _refuse_training_images(reader, source, split)
        part = Part(source, split, source.classes)
        found = Originals((part,), (source.digest(split),))
    _check_fit(reader, found)
    return found


def _as_recorded(reader: Reader, given: Given, how: Opening) -> Opening:
    """What is said and, where nothing is said, what the file records."""
    recorded = labelled(how, given, recorded_labelling(reader)).labelling
    reading = how.reading.or_as(recorded_reading(reader))
    return replace(how, reading=reading, labelling=how.labelling.or_as(recorded))


def _check_fit(reader: Reader, found: Originals) -> None:
    for part in found.parts:
        if part.source.image_size != reader.image_size:
            raise SourceError(
                f"{part.source.place}: its images are {sides(part.source.image_size)}, those of "
                f"{reader.path} are {sides(reader.image_size)}; give test images of that size"
            )


def _refuse_training_images(reader: Reader, source: Source, split: Split) -> None:
    """Raise SourceError for training images, on which an accuracy would mean nothing."""
    digest = source.digest(split)
    known = [kept.digests.get("train") for kept in records(reader)]
    if digest in known:
        raise SourceError(
            f"{source.place}: these are the training images that {reader.path} was made from; "
            "give other images to test on with `test=DIR`"
        )
