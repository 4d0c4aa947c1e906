"""Reported: python-pillow/Pillow#548: a temporary file had a name that others could guess.

Right: what is written goes into a new file that nobody else made, whatever lies about in the
folder; a link that waits under the name of the moment is never followed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from drrpack.core.errors import OutputError
from drrpack.formats.preview import save_picture
from drrpack.trainers.incremental.records import FinishedPhase, PhaseRecord
from drrpack.trainers.incremental.rundir import save_phase, write_json

PHASE = FinishedPhase(PhaseRecord([[1]], [], {}, 0.0), {"weight": torch.ones(2)}, {})
WRITERS: dict[str, Callable[[Path], object]] = {
    "result.json": lambda path: write_json(path, {"accuracy": 0.5}),
    "phase.pt": lambda path: save_phase(path, PHASE),
    "grid.png": lambda path: save_picture(Image.new("RGB", (4, 4)), path),
}


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "precious"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_names_made_of_the_process_and_the_file(tmp_path: Path, precious: Path, name: str) -> None:
    traps = [f"{name}.{os.getpid()}.partial", f".{name}.{os.getpid()}.partial", f"{name}.tmp"]
    for trap in traps:
        (tmp_path / trap).symlink_to(precious)
    WRITERS[name](tmp_path / name)
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / name).is_symlink() and (tmp_path / name).stat().st_size > 0
    assert sorted(os.listdir(tmp_path)) == sorted([*traps, name, "elsewhere"])


@pytest.mark.parametrize("name", WRITERS)
def test_even_a_name_that_was_guessed(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    (tmp_path / ".drr-0000000000000000.tmp").symlink_to(precious)
    with pytest.raises(OutputError, match=f"{name}: can't be written: File exists"):
        WRITERS[name](tmp_path / name)
    assert precious.read_bytes() == b"precious" and not (tmp_path / name).exists()
