"""Find the files of a data set that consists of a few large files, and their splits."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.class_folders import (
    TEST_NAME,
    TRAIN_NAME,
    VAL_NAMES,
    looks_picture,
    visible,
)
from drrpack.formats.sources.hub_name import is_hub_name
from drrpack.formats.sources.splits import Split, shown

ALL_ENDINGS = (".parquet", ".tar")  # of the kinds that may be a folder of files
MAX_DEPTH = 3  # folders: `config/train/0000.parquet`
MAX_EXPANDED = 100_000  # files that a pattern may stand for
DIVIDED = (
    "files whose names, or whose folders' names, have the words train and test (or val), such as "
    "train-00000.{0} and test-00000.{0}"
)
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_PART = re.compile(r"-(\d{1,9})-of-(\d{1,9})\.")


def is_shard(path: Path, endings: Sequence[str]) -> bool:
    """Whether a path is, by its name, a file with one of these endings or a pattern for such."""
    return path.name.lower().endswith(tuple(endings)) and not os.path.isdir(path)


def is_sharded(path: Path | None, endings: Sequence[str], alone: Sequence[str] = ()) -> bool:
    """Whether a path is such a file or pattern, or a folder of such files; a file may also have an
    ending of ``alone``. Raises SourceError as `shards_in`."""
    if path is None:
        return False
    if os.path.isdir(path):
        return bool(shards_in(path, endings))
    return is_shard(path, (*endings, *alone))


def shards_in(root: Path, endings: Sequence[str]) -> list[Path]:
    """The files with these endings in a folder and the folders in it, sorted by path.

    Empty where the folder holds pictures: it is an image folder then. Reading stops at the first.
    Raises SourceError where files of another kind lie beside them.
    """
    found, other = list[Path](), None
    try:
        for path in _walk(root, MAX_DEPTH):
            if looks_picture(path):
                return []
            if path.name.lower().endswith(tuple(endings)):
                found.append(path)
            elif path.name.lower().endswith(ALL_ENDINGS):
                other = path
    except SourceError:  # a folder that can't be listed: whoever opens it will say so
        return []
    if found and other is not None:
        raise SourceError(
            f"{shown(root)}: found {shown(found[0].name)} and {shown(other.name)}, files of two "
            "kinds; expected one kind: name the files that you mean, or move the others away"
        )
    return sorted(found, key=os.fsencode)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Files first, so that pictures are met before other folders are listed."""
    entries = visible(folder)
    folders = [entry for entry in entries if os.path.isdir(entry)]
    yield from (entry for entry in entries if entry not in set(folders))
    for inner in folders if depth > 1 else ():
        yield from _walk(inner, depth - 1)


def expanded(path: Path) -> list[Path]:
    """The files that a pattern stands for, in its order: ``a-{000..002}.tar``, ``{a,b}.tar``.

    A path that exists, or has no braces, stands for itself. Raises SourceError for too many.
    """
    if os.path.lexists(path) or "{" not in path.name:
        return [path]
    return [path.parent / name for name in _expand(path.name)]


def pattern_names(name: str) -> list[str]:
    """The names that a pattern stands for; none for a name that is no pattern."""
    try:
        names = _expand(name) if "{" in name else []
    except SourceError:
        return []
    return [one for one in names if one != name]


def _expand(name: str) -> list[str]:
    done, left = [""], name
    while match := re.search(r"\{([^{}]*)\}", left):
        choices = _choices(match[1], name) or [match[0]]
        if len(done) * len(choices) > MAX_EXPANDED:
            raise _too_many(name)
        done = [start + left[: match.start()] + one for start in done for one in choices]
        left = left[match.end() :]
    return [start + left for start in done]


def _choices(inner: str, name: str) -> list[str]:
    """What stands between braces, as a shell takes it; nothing where it is no range or list."""
    numbers = _RANGE.fullmatch(inner)
    if numbers is None:
        return inner.split(",") if "," in inner else []
    first, last = int(numbers[1]), int(numbers[2])
    if abs(last - first) >= MAX_EXPANDED:
        raise _too_many(name)
    padded = any(text.startswith("0") and len(text) > 1 for text in numbers.groups())
    width = max(map(len, numbers.groups())) if padded else 0
    step = 1 if first <= last else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _too_many(name: str) -> SourceError:
    return SourceError(f"{name}: stands for more than {MAX_EXPANDED} files; expected fewer")


def is_there(path: Path) -> bool:
    """Whether a source may lie at a path: a folder, a file, a pattern whose files are there, or a
    name of the hub."""
    if is_hub_name(path):
        return True
    try:
        return all(os.path.exists(one) for one in expanded(path))
    except (SourceError, ValueError):
        return False


def split_shards(path: Path, endings: Sequence[str]) -> dict[Split, list[Path]]:
    """The files of each split of a file, a pattern or a folder.

    The splits follow from words in the names of files, or of the folders they are in. Where no
    file has such a word, all are the training split; a file or a pattern that is named is, too,
    unless its files are of several splits.

    Raises:
        SourceError: there are no such files, shards are missing, or a split can't be told.
    """
    in_folder = os.path.isdir(path)
    files = shards_in(path, endings) if in_folder else expanded(path)
    words = {file: _split_word(file, path if in_folder else file.parent) for file in files}
    kinds = set(words.values())
    if kinds == {None} or (len(kinds) == 1 and not in_folder):
        return {"train": files}
    if None in kinds:
        lost = next(file for file, word in words.items() if word is None)
        raise SourceError(
            f"{shown(lost)}: found a file of no split beside files of splits; expected the words "
            "train, test or val in each name: rename it, or move it away"
        )
    if in_folder:
        refuse_missing(files)
    return _by_split(path, words)


def _split_word(file: Path, root: Path) -> str | None:
    """The word that names a split, in a file's name, or else in the nearest folder's."""
    parts = file.relative_to(root).parts
    for part in reversed(parts):
        if word := split_word(part):
            return word
    return None


def split_word(name: str) -> str | None:
    """The first word in a name that is the name of a split."""
    return next((w for w in re.split(r"[^a-z]+", name.lower()) if w in _WORDS), None)


_WORDS = (TRAIN_NAME, TEST_NAME, *VAL_NAMES)


def _by_split(path: Path, words: Mapping[Path, str | None]) -> dict[Split, list[Path]]:
    """The test split is ``test``, or else one of the names of a validation split."""
    there = [word for word in _WORDS if word in words.values()]
    if TRAIN_NAME not in there:
        raise SourceError(
            f"{shown(path)}: found files of the split {there[0]!r} and none to train on; expected "
            "files with the word train in their names: name the files themselves to take them as "
            "they are"
        )
    splits: dict[Split, list[Path]] = {"train": [f for f, w in words.items() if w == TRAIN_NAME]}
    if len(there) > 1:
        splits["test"] = [file for file, word in words.items() if word == there[1]]
    return splits


def refuse_missing(files: Sequence[Path]) -> None:
    """Raise SourceError where names say 00000-of-00005, and not all five files are there."""
    parts = [(file, match) for file in files if (match := _PART.search(file.name))]
    there = Counter((f.parent, f.name[: m.start()], int(m[2])) for f, m in parts)
    for (folder, start, total), number in there.items():
        if number != total:
            raise SourceError(
                f"{shown(folder)}: found {number} of the {total} files that names such as "
                f"{start}-00000-of-{total:05} count; expected all: fetch the others, or name the "
                "files that you mean"
            )


def checked_files(files: Sequence[Path]) -> None:
    """Raise SourceError for the first file that is missing, or is no regular file."""
    for file in files:
        if not os.path.isfile(file):
            found = "no such file" if not os.path.lexists(file) else "found no regular file"
            raise SourceError(f"{shown(file)}: {found}; expected a file that you may read")


def listed_shards(
    path: Path, endings: Sequence[str]
) -> Iterator[tuple[Split, list[tuple[bytes, Path]]]]:
    """Names and places of files, as `PictureSource.files` gives them."""
    root = path if os.path.isdir(path) else path.parent
    for split, files in split_shards(path, endings).items():
        yield split, [(os.fsencode(file.relative_to(root)), file) for file in files]
