"""A power cut while files are exchanged: whatever of it has reached the disk, nothing is lost.

The file system here keeps only what POSIX demands. A name lasts once its folder was synced. Of
other changes some may have reached the disk and some not, in whatever order they were made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from drrpack.formats.files.exchange import exchanged, finish_exchanges
from drrpack.formats.files.publish import remove_leftovers
from drrpack.formats.files.shard_names import shard_set, shards_of

Folders = dict[int, dict[str, int]]  # by inode, for each name the inode


@dataclass(frozen=True)
class Change:
    """A name ``into`` a folder that stands for the file or folder ``what``, and one that goes."""

    what: int
    into: tuple[int, str]
    gone: tuple[int, str] | None = None


class Disk:
    """What is done to the names in a folder, in order: changes, and inodes of synced folders."""

    def __init__(self, root: Path) -> None:
        self.root, self.done, self.text = root, list[Change | int](), dict[int, str]()
        for path in sorted(root.rglob("*")):
            self.made(path)
        self.done.extend(path.stat().st_ino for path in [root, *root.rglob("*")])
        self.start = len(self.done)

    def made(self, path: Path) -> None:
        found = path.stat().st_ino
        if path.is_file():
            self.text[found] = path.read_text()
        self.done.append(Change(found, (path.parent.stat().st_ino, path.name)))

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        rename, mkdir, fsync = os.rename, os.mkdir, os.fsync

        def renamed(old: Path, new: Path) -> None:
            change = Change(old.stat().st_ino, place(new), place(old))
            rename(old, new)
            self.done.append(change)

        def made(path: Path, *mode: Any) -> None:
            mkdir(path, *mode)
            self.made(Path(path))

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            self.done.append(os.fstat(descriptor).st_ino)

        for name, function in [("rename", renamed), ("mkdir", made), ("fsync", synced)]:
            patch.setattr(os, name, function)

    def after_cuts(self) -> Iterator[Folders]:
        """What may be on the disk after a cut at any moment."""
        for end in range(self.start, len(self.done) + 1):
            done = self.done[:end]
            changes = [(n, c) for n, c in enumerate(done) if isinstance(c, Change)]
            lasting = {n for n, c in changes if c.into[0] in done[n:]}
            loose = [n for n, _ in changes if n not in lasting]
            for count in range(len(loose) + 1):
                for some in combinations(loose, count):
                    yield names_after([c for n, c in changes if n in lasting or n in some])


def place(path: Path) -> tuple[int, str]:
    return path.parent.stat().st_ino, path.name


def names_after(changes: Sequence[Change]) -> Folders:
    """Changes of names that are there: one of which the first half was lost, is lost."""
    found: Folders = {}
    for change in changes:
        if change.gone is not None:
            folder, name = change.gone
            if found.get(folder, {}).get(name) != change.what:
                continue
            del found[folder][name]
        found.setdefault(change.into[0], {})[change.into[1]] = change.what
    return found


def write_out(disk: Disk, names: Folders, inode: int, folder: Path) -> None:
    folder.mkdir()
    for name, what in names.get(inode, {}).items():
        if what in disk.text:
            (folder / name).write_text(disk.text[what])
        else:
            write_out(disk, names, what, folder / name)


def write_old(folder: Path, count: int) -> None:
    for path in shard_set(folder / "mem.drr", count).paths:
        path.write_text(f"old {path.name}")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def exchange(folder: Path, disk: Disk) -> None:
    output = folder / "mem.drr"
    paths = shard_set(output, 2).paths
    with exchanged(shards_of(output), paths, output) as hidden:
        for path in paths:
            (hidden / path.name).write_text(f"new {path.name}")
            disk.made(hidden / path.name)


def cuts_of(work: Callable[[Path, Disk], object], folder: Path, place: Path) -> Iterator[Path]:
    """Do some work in a folder; the folders that cuts meanwhile may leave, those of one kind once.

    ``work`` gets a folder and the disk.
    """
    place.mkdir()
    disk, seen = Disk(folder), list[Folders]()
    with pytest.MonkeyPatch.context() as patch:
        disk.watch(patch)
        work(folder, disk)
    for names in disk.after_cuts():
        if names not in seen:
            seen.append(names)
            left = place / str(len(seen))
            write_out(disk, names, folder.stat().st_ino, left)
            yield left


def tidy(folder: Path, _: object = None) -> None:
    """As the next command does."""
    finish_exchanges(folder)
    remove_leftovers(folder)


@pytest.mark.parametrize("old", [0, 1, 2])
def test_a_cut_at_any_moment(tmp_path: Path, old: int) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    write_old(root, old)
    wholes = [content(root)]
    for folder in (found := [*cuts_of(exchange, root, tmp_path / "cuts")]):
        tidy(folder)
    wholes.append(content(root))
    assert [text[:3] for one in wholes for text in one.values()] == ["old"] * old + ["new"] * 2
    assert all(content(folder) in wholes for folder in found)
    assert len(found) > 15


def test_a_cut_while_it_is_finished(tmp_path: Path) -> None:
    root, again = tmp_path / "disk", 0
    root.mkdir()
    write_old(root, 2)
    first = [*cuts_of(exchange, root, tmp_path / "cuts")]
    for number, folder in enumerate(first):
        for left in cuts_of(tidy, folder, tmp_path / f"{number}"):
            tidy(left)
            assert content(left) == content(folder)
            again += 1
    assert again > len(first)
