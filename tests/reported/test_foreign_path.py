"""Reported: huggingface/datasets#8324: the metadata of a foreign file say which files to open.

Right: no text of a file is a path to open, unless who runs the program says so.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drrpack import DRRDataset
from drrpack.core.errors import SourceError
from drrpack.formats.container import Reader, write
from drrpack.formats.originals import open_originals, open_test
from drrpack.formats.preview import preview_grid
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
_opened: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is None or event not in ("open", "os.listdir", "os.scandir"):
        return
    if isinstance(arguments[0], str | bytes | os.PathLike):
        _opened.append(os.path.realpath(os.fsdecode(arguments[0])))


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_audit)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """What Python opens and lists while the test runs, as real paths."""
    global _opened
    _opened = []
    yield _opened
    _opened = None


@pytest.fixture
def secret(digits_folder: Path, tmp_path: Path) -> Path:
    """A folder of the victim's."""
    return Path(shutil.copytree(digits_folder, tmp_path / "a" / "secret"))


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: Path) -> Path:
    """Where the victim keeps and opens what came by mail."""
    place = tmp_path / "a" / "inbox"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    remembered.write_bytes(b"{}")
    return place


def foreign(digits_drr: Path, inbox: Path, **changed: object) -> Path:
    """A file that knows all of the folder, and names it as it likes."""
    with Reader(digits_drr) as reader:
        content = reader.memory()
    row = {k: v for k, v in content.metadata["sources"][0].items() if k != "name"} | changed
    write(inbox / "mem.drr", replace(content, metadata={"sources": [row]}))
    return inbox / "mem.drr"


NAMES = [
    "../secret",
    "./../secret",
    "{secret}",
    "secret/",
    "..",
    ".",
    "",
    "~",
    "a\0b",
    "/",
    "secret",
]


@pytest.mark.parametrize("key", ["name", "path"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_not_opened(
    digits_drr: Path, inbox: Path, secret: Path, opened: list[str], key: str, name: str
) -> None:
    path = foreign(digits_drr, inbox, **{key: name.format(secret=secret)})
    with Reader(path) as reader:
        for attempt in (
            lambda: open_originals(reader, None, "train"),
            lambda: open_test(reader, None),
            lambda: MemoryData(path),
        ):
            with pytest.raises(SourceError, match=r"mem\.drr: .*`(source|test)=DIR`"):
                attempt()
    assert preview_grid(DRRDataset(path), rows=1, columns=1)[1].startswith("reconstructions only")
    assert opened and not [one for one in opened if one.startswith(str(secret))]


def test_the_watch_sees_what_is_opened(
    digits_drr: Path, inbox: Path, secret: Path, opened: list[str]
) -> None:
    """Whoever runs the program may name any folder."""
    with Reader(foreign(digits_drr, inbox, name="..")) as reader:
        assert open_originals(reader, secret, "train").roots == str(secret)
    assert [one for one in opened if one.startswith(str(secret))]


@pytest.mark.parametrize("listing", ["0" * 64, None, 5, ["x"]])
def test_a_folder_at_hand_with_other_files_is_not_read(
    digits_drr: Path, inbox: Path, secret: Path, opened: list[str], listing: object
) -> None:
    """It may be listed: its name is the one that the file gives."""
    secret.rename(inbox / "secret")
    path = foreign(digits_drr, inbox, name="secret", listing={"train": listing, "test": listing})
    with Reader(path) as reader, pytest.raises(SourceError, match="found no folder 'secret'"):
        open_originals(reader, None, "train")
    assert not [one for one in opened if one.endswith(".png")]


@pytest.mark.parametrize("digest", [None, 5, [], {}, {"train": ["x"]}, {"train": {}}])
def test_digests_that_are_none(digits_drr: Path, inbox: Path, digest: object) -> None:
    with Reader(foreign(digits_drr, inbox, name="secret", digest=digest)) as reader:
        for split in ("train", "test"):
            with pytest.raises(SourceError, match=r"mem\.drr: "):
                open_originals(reader, None, split)


def test_classes_that_the_folder_lacks(digits_drr: Path, inbox: Path, secret: Path) -> None:
    path = foreign(digits_drr, inbox, name="secret", classes=["none of it"])
    with Reader(path) as reader:
        found = open_originals(reader, secret, "train")
        for name in ("none of it", "3"):
            with pytest.raises(SourceError, match=f"no images of the class '{name}'"):
                found.load(name)


# --- a file of before names a path: whoever runs the program is asked ----------------------------


def test_a_trusted_file(digits_drr: Path, inbox: Path, secret: Path) -> None:
    with Reader(foreign(digits_drr, inbox, path=str(secret))) as reader:
        assert open_originals(reader, None, "train", trusted=True).roots == str(secret)
        assert open_originals(reader, None, "train").roots == str(secret), "remembered by now"


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "note"), [("y", "originals (above)"), ("n", "reconstructions")])
def test_the_question_at_a_terminal(
    digits_drr: Path, inbox: Path, secret: Path, answer: str, note: str
) -> None:
    path = foreign(digits_drr, inbox, path=f"{secret}")
    told = at_a_terminal([answer], "preview", path, "-o", inbox / "grid.png")
    assert f"{path} says that its images lie in {secret}. Read them there? [y/N]" in told
    assert f"{inbox / 'grid.png'}: {note}" in told
    again = at_a_terminal([answer], "preview", path, "-o", inbox / "grid.png", "--force")
    assert ("[y/N]" in again) == (answer == "n"), "a folder that was read once is known"


def at_a_terminal(answers: list[str], *arguments: str | Path) -> str:
    """What ``drrpack`` prints on a terminal where somebody types ``answers``."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "drrpack", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400", "TERM": "dumb"}
    child = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    )
    os.close(its)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert child.wait(60) == 0, told
    return " ".join(told.decode().split())  # without the ends of lines
