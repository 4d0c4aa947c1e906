"""Read the metadata of a file: notes for people, which may hold anything or nothing.

Each function takes the metadata as parsed from JSON. A value of the wrong type counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import TypeGuard

from drrpack.formats.layout import Json, number
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.reading import Reading

NEAREST = 100  # the quality of images whose codes are the nearest
# What a file may have gone through since its PSNR was measured, as `figures` records it, in words
SINCE = {"dropped": "classes were dropped", "appended": "images were appended"}
_MOST = 1 << 53  # of whatever is counted
_BEST_DB = 150.0  # `drrpack.core.quality.psnr_db` of equal images is less


@dataclass(frozen=True)
class SourceRecord:
    """A folder that images of the file came from.

    Attributes:
        classes: the classes that were taken from it, in the order of the file.
        name: what the folder was called. path: where it lay, in files of earlier versions.
        digests: by split, of the pictures. listings: by split, of the names and sizes of files.
        reading: how the pictures were read. labelling: how their classes were told.
        fitted: the classes that a fit of the codec began with, where they are recorded apart.
        kind: the name of a source that lies in no folder.
    """

    classes: tuple[str, ...]
    name: str | None = None
    path: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    listings: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    labelling: Labelling = field(default_factory=Labelling)
    fitted: tuple[str, ...] | None = None
    kind: str | None = None

    @property
    def shown(self) -> str:
        """What to call the folder in a message."""
        return repr(self.path if self.name is None else self.name)


@dataclass(frozen=True)
class _Fit:
    """One fit of the codec, on some classes of the source with this digest: those with these
    names, or the first ones."""

    source_digest: str
    classes: int
    names: tuple[str, ...] | None = None

    def of(self, classes: Sequence[str]) -> Sequence[str]:
        """Those of the source's ``classes`` that were fitted on."""
        return classes[: self.classes] if self.names is None else self.names


def part(metadata: Json, name: str) -> Json:
    """The object called ``name``; empty if it is missing or not an object."""
    found: object = metadata.get(name)
    return found if isinstance(found, dict) else {}


def count(metadata: Json, name: str) -> int | None:
    """The whole number from 0 called ``name``, if it is one that floats hold exactly."""
    found: object = metadata.get(name)
    return found if _is_whole(found) and 0 <= found <= _MOST else None


def psnr_db(figures: Json) -> float | None:
    """The PSNR in dB that was measured, if it is one that images of eight bits can have."""
    return number(figures.get("psnr_db"), 0, _BEST_DB)


def bits_per_code(figures: Json, name: str) -> float | None:
    """The bits per code called ``name``, if they are some that a way of coding may take."""
    return number(figures.get(name), 0, _MOST)


def quality(metadata: Json) -> int | None:
    """By which the codes of the file's images were chosen, 0 to 100.

    None where that is not recorded: they are the nearest then. Raises ValueError where it is no
    such number.
    """
    found: object = metadata.get("quality")
    if found is None:
        return None
    if not _is_whole(found) or not 0 <= found <= NEAREST:
        raise ValueError(f"its quality is {found!r}, expected 0 to {NEAREST}")
    return found


def known_quality(metadata: Json) -> int | None:
    """The same; None as well where it can't be understood."""
    try:
        return quality(metadata)
    except ValueError:
        return None


def since_measured(figures: Json) -> list[str]:
    """What the file has gone through since its PSNR was measured: names of `SINCE`."""
    found = _names(figures.get("since")) or ()
    return [name for name in SINCE if name in found]


def sources(metadata: Json) -> list[SourceRecord]:
    """Where the images came from, as far as it can be understood."""
    records = [_source(row) for row in _rows(metadata)]
    return [record for record in records if record is not None]


def fitted_classes(metadata: Json) -> list[str]:
    """Names of the classes of the file's sources that its codec was fitted on, in whatever turn.

    Empty where nothing is known of them: a codec that came with drrpack, or from another file, was
    fitted on images that the file does not name.
    """
    fits = _fits(part(metadata, "fit"))
    found = dict[str, None]()
    for source in sources(metadata):
        digest = source.digests.get("train")
        # a file that has lost classes since (`drop`) keeps the names of those that mattered
        names = source.classes if source.fitted is None else source.fitted
        of_source = [fit for fit in fits if fit.source_digest == digest]
        found |= {name: None for fit in of_source for name in fit.of(names)}
    return list(found)


def fitted_on(log: Json, digest: str, classes: Sequence[str]) -> list[int]:
    """Numbers of the ``classes`` of the source with this digest that the last fit was made on."""
    fits = _fits(log)[:1]
    names = {name for fit in fits if fit.source_digest == digest for name in fit.of(classes)}
    return [number for number, name in enumerate(classes) if name in names]


def without_figures(log: Json) -> Json:
    """What a codec was fitted on, and began with, by the log of its fit: the figures of its
    networks, three kilobytes, stay with the codec that comes with drrpack."""
    told = {name: value for name, value in log.items() if name != "networks"}
    return {**told, "before": without_figures(part(log, "before"))} if "before" in log else told


def class_order(metadata: Json, classes: Sequence[str]) -> list[int]:
    """Numbers of the file's classes in the order in which they are to be learned.

    Classes that were added since come last; without a record the order is that of the file.
    """
    number = {name: place for place, name in enumerate(classes)}
    return [number[name] for name in ordered_names(metadata, classes) if name in number]


def ordered_names(metadata: Json, classes: Sequence[str]) -> list[str]:
    """The recorded order, then the file's other classes.

    A file that is a part of a memory records classes of the other files as well.
    """
    recorded = _names(metadata.get("class_order")) or ()
    return list(dict.fromkeys([*recorded, *classes]))


def shared_sources(metadata: Json) -> list[Json]:
    """The rows of ``sources`` as a new file holds them: it does not say where a folder lay.

    Files of earlier versions record that path; its last component is all that is kept of it.
    """
    return [_without_path(row) for row in _rows(metadata) if _source(row) is not None]


def _rows(metadata: Json) -> list[Json]:
    rows: object = metadata.get("sources")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _source(row: Json) -> SourceRecord | None:
    """One row of ``sources``; None where it is not as this program writes it."""
    classes = _names(row.get("classes"))
    fitted = _names(row.get("fitted")) if "fitted" in row else None
    if classes is None or ("fitted" in row and fitted is None):
        return None
    if not {"name", "path"} & row.keys() or not all(
        isinstance(row.get(name, ""), str) for name in ("name", "path")
    ):
        return None
    if row.get("size") is not None and not _is_whole(row["size"]):
        return None
    return SourceRecord(
        classes,
        name=row.get("name"),
        path=row.get("path"),
        digests=_texts(part(row, "digest")),
        listings=_texts(part(row, "listing")),
        reading=Reading.from_json(row),
        labelling=Labelling.from_json(row),
        fitted=fitted,
        kind=_kind(row),
    )


def _fits(log: Json) -> list[_Fit]:
    """All fits of the codec, the last one first: each log holds the one before it."""
    found = []
    while log:
        digest, classes = log.get("source_digest"), log.get("classes")
        if isinstance(digest, str) and _is_whole(classes):
            found.append(_Fit(digest, classes, _names(log.get("names"))))
        log = part(log, "before")
    return found


def _without_path(row: Json) -> Json:
    kept = {name: value for name, value in row.items() if name != "path"}
    if "path" in row and "name" not in row:
        # of Windows, as it knows the separators of both worlds
        kept["name"] = PureWindowsPath(row["path"]).name
    return kept


def _names(value: object) -> tuple[str, ...] | None:
    """A list of names; None for anything else."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)


def _kind(row: Json) -> str | None:
    """An empty name, which no source has, for what is no name."""
    kind: object = row.get("kind")
    return kind if isinstance(kind, str) else "" if "kind" in row else None


def _texts(values: Json) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number; True and False are not, though Python calls them int."""
    return type(value) is int
