"""An output that is a link: what an interrupted command leaves, and what Ctrl-C names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command import Command

from drrpack.cli import interrupts
from drrpack.formats.container import Reader
from drrpack.operations import append, encode
from drrpack.operations.encoding import kept

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that Ctrl-C would look into."""
    folders = list[Path]()
    monkeypatch.setattr(interrupts, "goes_on", lambda folder, _: folders.append(Path(folder)))
    return folders


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """The name ``a/link.drr`` for ``b/real.drr``, which is not there yet."""
    for name in "ab":
        (tmp_path / name).mkdir()
    link = tmp_path / "a" / "link.drr"
    link.symlink_to(Path("..", "b", "real.drr"))
    return link


def test_folders_beside_the_target_are_made_and_named(
    drrpack: Command, digits_folder: Path, context_drr: Path, link: Path, named: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = list[Path]()
    honest = kept.kept_beside

    def kept_beside(folder: Path, *more: Any) -> Any:
        made.append(folder)
        return honest(folder, *more)

    for module in (encode, append):
        monkeypatch.setattr(module, "kept_beside", kept_beside)
    real = link.parent.parent / "b" / "real.drr"
    done = drrpack("encode", digits_folder, "-o", link, "--codec", context_drr)
    assert done.code == 0, done.errors
    assert link.is_symlink() and Reader(real).classes
    assert named == [real.parent / ".real.drr.parts", real.parent / ".real.drr.fit"]
    assert made == [named[0]]
    named.clear()
    assert drrpack("drop", link, "0").code == 0
    done = drrpack("append", link, digits_folder, "--keep-entropy-model", "--extend")
    assert done.code == 0, done.errors
    assert named == [real.parent / ".real.drr.parts", real.parent / ".real.drr.fit"]
    assert made == 2 * [named[0]]
    assert {path.name for path in real.parent.iterdir()} == {"real.drr"}
    assert {path.name for path in link.parent.iterdir()} == {"link.drr"}
