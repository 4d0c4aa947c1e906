"""`drrpack doctor`: what it finds where all is well, and where something is broken."""

from __future__ import annotations

import errno
import json
import tempfile
import tomllib
from functools import cache
from pathlib import Path

import h5py
import pytest
import torch
from command import Command

import drrpack
from drrpack.formats import shipped
from drrpack.operations import doctor as examining

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_all_is_well_here(own_temporary_folder: Path) -> None:
    found = drrpack.doctor(device="cpu")
    assert found.sound, [one.problem for one in found.findings]
    told = {one.name: one.found for one in found.findings}
    assert f"torch {torch.__version__.split('+')[0]}" in told["versions"]
    assert f"HDF5 {h5py.version.hdf5_version}" in told["versions"]
    assert "photos-context.drr" in told["codecs"] and "PNG" in told["pictures"]
    assert told["round trip"].startswith("24 images encoded, verified and read")
    assert list(own_temporary_folder.iterdir()) == [], "nothing stays"


def test_as_a_command(drrpack: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "doctor", cache(examining.doctor))  # one look, printed twice
    done = drrpack("doctor", "--json", "--device", "cpu")
    assert json.loads(done.output)["sound"] is True
    told = drrpack("doctor", "--device", "cpu")
    assert "all is well" in told.output + told.errors


def test_an_hdf5_that_crashes_on_damaged_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5py.version, "hdf5_version_tuple", (1, 14, 4))
    monkeypatch.setattr(h5py.version, "hdf5_version", "1.14.4")
    found = drrpack.doctor(device="cpu")
    (first, *_) = [one for one in found.findings if one.problem]
    assert (first.name, first.found) == ("HDF5", "1.14.4")
    assert first.problem and "pip install 'h5py>=3.13'" in first.problem


def test_a_broken_installation_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nothing")
    found = drrpack.doctor(device="cpu")
    wrong = {one.name: one.problem for one in found.findings if one.problem}
    assert not found.sound and set(wrong) == {"codecs", "round trip"}
    assert "install drrpack and its dependencies again" in wrong["codecs"]


@pytest.mark.parametrize(
    ("error", "words", "not_words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "TMPDIR", "again"),
        (FileNotFoundError(2, "No usable temporary directory found"), "TMPDIR", "again"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "uses the GPU, or say `dev", "again"),
        (RuntimeError("CUDA error: no kernel image"), "`device='cpu'`", "again"),
        (ArithmeticError("other pixels"), "does not compute exactly", "again"),
        (drrpack.OutputError("/x: the disk is full; free some space"), "free some space", "; "),
        (ImportError("no module"), "install drrpack and its dependencies again", "TMPDIR"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_each_problem_has_its_own_advice(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, not_words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(examining, "encode", fail)
    found = {one.name: one.problem for one in drrpack.doctor(device="cpu").findings}
    problem = found.pop("round trip")
    assert problem is not None and words in problem
    assert not_words not in problem.replace(str(error), "")
    assert not any(found.values())


def test_a_folder_for_temporary_files_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    (problem,) = [one.problem for one in drrpack.doctor(device="cpu").findings if one.problem]
    assert "TMPDIR" in problem and "again" not in problem


def test_a_decoder_that_depends_on_the_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flickering(drrpack.DRRDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:  # type: ignore[override]
            image, label = super().__getitem__(index)
            return image.clone().add_(index == 5), label

    monkeypatch.setattr(examining, "DRRDataset", Flickering)
    (problem,) = [one.problem for one in drrpack.doctor(device="cpu").findings if one.problem]
    assert "image 5 decodes to other pixels alone" in problem


def test_a_damaged_codec_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in shipped.paths():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / path.name).write_bytes(content)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    found = {one.name: one.problem for one in drrpack.doctor(device="cpu").findings}
    assert found["codecs"] is not None and "photos-" in found["codecs"]


def test_every_extra_for_users_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(examining.EXTRAS) == set(project["optional-dependencies"]) - {"test", "dev", "docs"}
