"""List the pictures of each class and split in a folder, without decoding them."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.pictures import EXTENSIONS
from drrpack.formats.sources.splits import Split, refuse_twins, shown

TRAIN_NAME = "train"
TEST_NAME = "test"
VAL_NAMES = ("val", "valid", "validation")  # the test split where there is no test
IGNORED_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})
# Of texts, lists and annotations, which many data sets keep beside their pictures. Archives and
# files of arrays are not among them: they may hold pictures that are missed later.
TEXT_EXTENSIONS = frozenset((
    ".txt", ".md", ".rst", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml",
    ".ini", ".html", ".htm", ".pdf", ".log", ".py", ".ipynb", ".url", ".md5", ".sha256",
))  # fmt: skip

_TEST_EXPECTED = f"{TEST_NAME}/ (or {'/, '.join(VAL_NAMES)}/)"
EXPECTED = "expected one folder of pictures for each class, like cat/0001.png"


@dataclass(frozen=True)
class ClassFiles:
    """One class of one split: its name in NFC, a folder that holds all its files, and these files,
    sorted by their paths in that folder."""

    name: str
    folder: Path
    files: tuple[Path, ...]

    def relative(self, file: Path) -> bytes:
        """The name of the class, and a file's path in the folder, as the digest takes them."""
        return f"{self.name}/".encode() + os.path.relpath(
            os.fsencode(file), os.fsencode(self.folder)
        )


def checked_folder(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder; raises SourceError where it is missing or is no folder."""
    root = Path(os.path.abspath(path))
    try:
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(
            f"{shown(root)}: no such folder or file; {EXPECTED}: check the path, or fetch a data "
            "set with `download='cifar100'`"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{shown(root)}: can't be opened: {error.strerror}; expected a folder that you may "
            "read: check its permissions and links"
        ) from error
    if not stat.S_ISDIR(mode):
        raise SourceError(
            f"{shown(root)}: found a file, expected a folder, or a file whose name ends in .csv, "
            ".npz, .parquet or .tar; if it is another archive, unpack it and name the folder"
        )
    return root


def find_splits(root: Path) -> dict[Split, Path]:
    """The folder of each split; a folder that isn't divided is all training split.

    Divided is what holds a folder ``train`` with folders in it. A ``train`` with pictures in it
    is a class, as it is in CIFAR-100. The test split is ``test``, or else ``val``, ``valid`` or
    ``validation``: where ``test`` is there as well, it served for tuning, and is not read. Capital
    letters make no difference.
    """
    train = _split_called(root, TRAIN_NAME)
    if train is None or not any(os.path.isdir(entry) for entry in visible(train)):
        return {"train": root}
    splits: dict[Split, Path] = {"train": train}
    test = _split_called(root, TEST_NAME) or _split_called(root, *VAL_NAMES)
    if test is not None:
        splits["test"] = test
    _refuse_classes_beside_splits(root, train)
    return splits


def _split_called(root: Path, *names: str) -> Path | None:
    """The folder in ``root`` with one of these names; raises SourceError where several have."""
    found = [entry for entry in visible(root) if entry.name.lower() in names]
    folders = [entry for entry in found if os.path.isdir(entry)]
    if len(folders) > 1:
        called = " and ".join(shown(folder.name) for folder in folders)
        raise SourceError(
            f"{shown(root)}: found {called}, which would be the same split; expected one of them: "
            "move the other away"
        )
    return folders[0] if folders else None


def left_out(root: Path, folders: Mapping[Split, Path], classes: Sequence[str]) -> Iterator[str]:
    """A sentence for each folder beside the training split that looks like a split but is not read.

    Such a folder has subfolders with the names of classes. A validation split beside ``test`` is
    expected and gives no sentence.
    """
    if folders["train"] == root:
        return
    for entry in _folders(visible(root)):
        if entry in folders.values() or entry.name.lower() in VAL_NAMES:
            continue
        names = {unicodedata.normalize("NFC", inner.name) for inner in visible(entry)}
        inner = sorted(names.intersection(classes))
        if inner:
            yield (
                f"{shown(entry)}: found folders named as classes are, such as {inner[0]!r}, and "
                f"left them out; expected the test split to be {_TEST_EXPECTED}: rename the folder "
                "if it is that split"
            )


def list_splits(
    folders: Mapping[Split, Path], list_of: Callable[[Path], tuple[ClassFiles, ...]] | None = None
) -> dict[Split, tuple[ClassFiles, ...]]:
    """The classes of each split; those of the test split must all be in the training split.

    ``list_of`` lists the classes of one split; by default `list_classes`.
    """
    listing = {split: (list_of or list_classes)(folder) for split, folder in folders.items()}
    known = {found.name for found in listing["train"]}
    for found in listing.get("test", ()):
        if found.name not in known:
            raise SourceError(
                f"{shown(found.folder)}: found a class of the test split, {found.name!r}, that "
                f"{shown(folders['train'])} lacks; expected only classes of the training split: "
                "remove it, or add its training pictures"
            )
    return listing


def list_classes(root: Path) -> tuple[ClassFiles, ...]:
    """The classes of an image folder, sorted by name; raises SourceError, see the messages."""
    folders = class_folders(root)
    names = [class_name(folder) for folder in folders]
    refuse_twins(names, shown(root))
    classes = [
        ClassFiles(unicodedata.normalize("NFC", name), folder, _list_files(folder))
        for name, folder in zip(names, folders, strict=True)
    ]
    return tuple(sorted(classes, key=lambda found: found.name))


def class_folders(root: Path) -> list[Path]:
    """The folders in ``root``; raises SourceError for none, and for pictures beside them."""
    entries = visible(root)
    folders = _folders(entries)
    loose = [entry for entry in entries if looks_picture(entry) and not os.path.isdir(entry)]
    if not folders:
        found = f"a picture, {shown(loose[0].name)}, and " if loose else ""
        raise SourceError(
            f"{shown(root)}: found {found}no class folders; {EXPECTED}: put the pictures of each "
            "class into a folder of that name"
        )
    if loose:
        raise SourceError(
            f"{shown(loose[0])}: found a picture beside the class folders; {EXPECTED}: move it "
            "into the folder of its class, or remove it"
        )
    return folders


def _list_files(folder: Path) -> tuple[Path, ...]:
    """The files of one class; a folder in it, or nothing in it, is an error."""
    entries = visible(folder)
    for entry in entries:
        if os.path.isdir(entry):
            raise SourceError(
                f"{shown(entry)}: found a folder inside the class {folder.name!r}; {EXPECTED}: "
                "move its pictures up, say which folder is the class with `classes_from='top'` or "
                "`classes_from='parent'`, or, where the source is divided, name its parts "
                f"{TRAIN_NAME}/ and {_TEST_EXPECTED}"
            )
    refuse_empty(folder, entries)
    return tuple(entries)


def refuse_empty(folder: Path, files: Sequence[Path]) -> None:
    """Raise SourceError for a class without files."""
    if not files:
        raise SourceError(
            f"{shown(folder)}: found no pictures in this class; expected at least one: remove the "
            "folder, or put its pictures there"
        )


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files and file managers' own."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise SourceError(
            f"{shown(folder)}: can't be listed: {error.strerror}; expected a folder that you may "
            "read: check its permissions"
        ) from error
    return [folder / n for n in names if not n.startswith(".") and n.lower() not in IGNORED_NAMES]


def _folders(entries: Sequence[Path]) -> list[Path]:
    """Those that are folders; raises SourceError where that can't be told.

    A link to a disk that is not there may be a class or a split, which must not go missing
    without a word.
    """
    folders = []
    for entry in entries:
        try:
            if stat.S_ISDIR(os.stat(entry).st_mode):
                folders.append(entry)
        except OSError as error:
            is_link = os.path.islink(entry)
            what = f"a link to {shown(os.readlink(entry))}" if is_link else "an entry"
            raise SourceError(
                f"{shown(entry)}: found {what} that can't be opened: {error.strerror}; expected "
                f"the folder of a class: mend the {'link' if is_link else 'entry'}, or remove it"
            ) from error
    return folders


def looks_picture(entry: Path) -> bool:
    """Whether a name says that it is a picture's; lists and read-me files do no harm."""
    return entry.suffix.lower() in EXTENSIONS


def looks_text(entry: Path) -> bool:
    """Whether a name says that a file is no picture, and is left out of its class."""
    return entry.suffix.lower() in TEXT_EXTENSIONS


def class_name(folder: Path) -> str:
    """The name of a folder, decoded from its bytes as UTF-8; Python uses the locale."""
    try:
        return os.fsencode(folder.name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{shown(folder)}: found a class name that is not valid UTF-8; expected UTF-8, as "
            "the name goes into the file: rename the folder"
        ) from error


def _refuse_classes_beside_splits(root: Path, train: Path) -> None:
    """Raise where a class would go unread because the source was taken to be divided."""
    for entry in _folders(visible(root)):
        if entry.name.lower() in (TRAIN_NAME, TEST_NAME, *VAL_NAMES):
            continue
        if any(looks_picture(inner) for inner in visible(entry)):
            raise SourceError(
                f"{shown(entry)}: found pictures like those of a class, beside "
                f"{shown(train)}, which holds folders and so is a training split; expected one or "
                f"the other: move the folder away, or the folders out of {train.name}/"
            )
