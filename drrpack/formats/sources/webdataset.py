"""Tars as WebDataset has them: pictures and labels beside each other, under one name each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.sources.brightness import NotReadable
from drrpack.formats.sources.checked import open_listing
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.labels import Label, number_labels
from drrpack.formats.sources.listed import ClassPictures, PictureAt, by_class
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.pictures import EXTENSIONS, Pictures, read_contents
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.shards import (
    DIVIDED,
    checked_files,
    is_shard,
    is_sharded,
    listed_shards,
    split_shards,
)
from drrpack.formats.sources.splits import Opened, Split, shown
from drrpack.formats.sources.tar_index import MAX_LABEL_BYTES, Member, members, read_member

ENDINGS = (".tar",)
COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2")
TEXT, JSON = "cls", "json"  # endings of labels
JSON_KEYS = ("label", "cls", "class")
_NUMBER = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class _Sample:
    """A picture and its label, which share a key: the name up to the first dot."""

    shard: Path
    key: str
    picture: Member
    label: Label


@dataclass
class TarMembers:
    """Pictures in tars, by their number: each is read where it lies."""

    places: list[tuple[Path, int, int]] = field(default_factory=list)  # tar, offset, size
    files: str | None = "pictures in a tar"

    def add(self, shard: Path, number: int, member: Member, class_name: str) -> PictureAt:
        """Count one more picture, of the shard with this number in its split."""
        self.places.append((shard, member.offset, member.size))
        name = f"{class_name}/".encode() + os.fsencode(f"{number}/{member.name}")
        return PictureAt(str(_inside(shard, member)), name, len(self.places) - 1)

    def read(self, pictures: Sequence[PictureAt], reading: Reading) -> Pictures:
        jobs = ((one.path, partial(read_member, *self.places[one.place])) for one in pictures)
        return read_contents(jobs, reading)


class WebDataset:
    """A tar, a pattern of tars such as ``train-{000..009}.tar``, or a folder of tars."""

    name: str = "tar"
    everywhere: str | None = None
    takes: tuple[str, ...] = ("image_column", "label_column")

    def recognises(self, given: Given) -> bool:
        return is_sharded(path_of(given), ENDINGS, COMPRESSED)

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = Path(os.path.abspath(path))
        if is_shard(root, COMPRESSED):
            raise SourceError(
                f"{shown(root)}: found a compressed tar, which can't be read at any place; "
                "expected a .tar: undo the compression, as gunzip does"
            )
        shards = split_shards(root, ENDINGS)
        listing, storage = _list(shards, how.labelling, shown(root))
        divided = DIVIDED.format("tar")
        opened = open_listing(listing, storage, how, shown(root), divided)
        return replace(opened, root=root, name=shown(root.name))

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from listed_shards(root, ENDINGS)


def _list(
    shards: Mapping[Split, Sequence[Path]], labelling: Labelling, called: str
) -> tuple[dict[Split, list[ClassPictures]], TarMembers]:
    """The classes of each split, and where their pictures are, sorted by shard and key."""
    samples: dict[Split, list[_Sample]] = {}
    for split, files in shards.items():
        checked_files(files)
        samples[split] = [one for file in files for one in _samples(file, labelling)]
    labels = {split: [one.label for one in found] for split, found in samples.items()}

    def where(split: Split, number: int) -> str:
        one = samples[split][number]
        return shown(_inside(one.shard, one.picture))

    classes, numbers = number_labels(labels, None, called, where)
    storage, listing = TarMembers(), dict[Split, list[ClassPictures]]()
    for split, found in samples.items():
        shard_of = {shard: count for count, shard in enumerate(shards[split])}
        of = numbers[split].tolist()
        stored = [
            storage.add(one.shard, shard_of[one.shard], one.picture, classes[number])
            for one, number in zip(found, of, strict=True)
        ]
        listing[split] = by_class(stored, of, classes, shards[split][0].parent)
    return listing, storage


def _samples(shard: Path, labelling: Labelling) -> list[_Sample]:
    """The pictures of one tar with their labels, sorted by key."""
    groups: dict[str, dict[str, Member]] = {}
    for member in members(shard):
        folder, _, name = member.name.rpartition("/")
        start, _, ending = name.partition(".")
        if start and ending:  # without a start it is hidden
            group = groups.setdefault(f"{folder}/{start}", {})
            if ending.lower() in group:
                raise SourceError(
                    f"{shown(_inside(shard, member))}: found this name twice; expected each once"
                )
            group[ending.lower()] = member
    found = []
    for key in sorted(groups):
        picture = _picture(shard, key, groups[key], labelling.image_column)
        if picture is not None:
            label = _label(shard, picture, groups[key], labelling.label_column)
            found.append(_Sample(shard, key, picture, label))
    return found


def _picture(shard: Path, key: str, group: Mapping[str, Member], said: str | None) -> Member | None:
    """The picture of a group; None where it has none, and no label either."""
    endings = [e for e in group if (f".{e}" in EXTENSIONS if said is None else e == said.lower())]
    if len(endings) > 1:
        raise SourceError(
            f"{shown(shard)}: found several pictures under the name {key.strip('/')!r}, with the "
            f"endings {', '.join(endings)}; expected one: say which with "
            f"`image_column={endings[0]!r}`"
        )
    if not endings and TEXT in group:
        raise SourceError(
            f"{shown(_inside(shard, group[TEXT]))}: found a label without a picture; expected a "
            f"picture under the name {key.strip('/')!r}, beside {', '.join(sorted(group))}"
        )
    return _regular(shard, group[endings[0]]) if endings else None


def _label(shard: Path, picture: Member, group: Mapping[str, Member], said: str | None) -> Label:
    """The label beside a picture: a number if it is one, or else a text."""
    ending = TEXT if said is None else said.lower()
    if ending in group and ending != JSON:
        return _number_or_text(_text(shard, group[ending]), shard, group[ending])
    if JSON in group:
        return _from_json(shard, group[JSON], said)
    wanted = f".{TEXT} or .{JSON}" if said is None else f".{ending}, or a .{JSON} with that key,"
    raise SourceError(
        f"{shown(_inside(shard, picture))}: found no label beside this picture; expected a member "
        f"of the same name that ends in {wanted}: say where labels are with `label_column=NAME`"
    )


def _from_json(shard: Path, member: Member, said: str | None) -> Label:
    where = shown(_inside(shard, member))
    try:
        content: object = json.loads(_text(shard, member))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: found no JSON: {error}; expected an object") from error
    keys = content if isinstance(content, dict) else {}
    wanted = [key for key in (JSON_KEYS if said is None else (said,)) if key in keys]
    if not wanted:
        there = ", ".join(sorted(map(str, keys))) or "none"
        raise OptionError(
            f"{where}: found the keys {there}; expected one with the class, such as "
            f"{JSON_KEYS[0]!r}: say which with `label_column=NAME`",
            option="label_column",
        )
    label = keys[wanted[0]]
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise SourceError(
            f"{where}: found {type(label).__name__} under {wanted[0]!r}; expected a whole "
            "number or a text"
        )
    return label


def _number_or_text(text: str, shard: Path, member: Member) -> Label:
    text = text.strip()
    if not text:
        raise SourceError(f"{shown(_inside(shard, member))}: found no label; expected a class")
    return int(text) if _NUMBER.fullmatch(text) else text


def _text(shard: Path, member: Member) -> str:
    where = shown(_inside(shard, _regular(shard, member)))
    try:
        return read_member(shard, member.offset, member.size, MAX_LABEL_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: found a label that is not UTF-8; expected text") from error
    except NotReadable as reason:
        raise SourceError(f"{where}: {reason}; expected a label") from reason


def _regular(shard: Path, member: Member) -> Member:
    if not member.regular:
        raise SourceError(
            f"{shown(_inside(shard, member))}: found a link, a device or a sparse file; expected a "
            "regular file: make the tar with the files themselves"
        )
    return member


def _inside(shard: Path, member: Member) -> Path:
    """A member's place for messages; it is never opened."""
    return Path(f"{shard}/{member.name}")
