"""Appending in parts: the same file by one process or by several; an append that was broken off or
killed goes on where it was."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from several_processes import by_torchrun, in_parts, started
from tiny_memory import write_digits

import drrpack
from drrpack import DRRDataset
from drrpack.core.codec import Codec
from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice
from drrpack.formats import originals
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import left_beside
from drrpack.formats.sources.source import Source
from drrpack.operations import append_models
from drrpack.operations.append_outcome import remove_all
from drrpack.operations.encoding import pieces
from drrpack.operations.preparing import tidy
from drrpack.operations.progress import Event

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits under other names."""
    folder = write_digits(tmp_path_factory.mktemp("more") / "digits", test=1) / "train"
    for path in sorted(folder.iterdir()):
        path.rename(folder / f"again {path.name}")
    return folder


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a class each."""
    monkeypatch.setattr(pieces, "PART_PIXELS", 30 * 32 * 32)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def mem(context_drr: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(context_drr, tmp_path / "mem.drr"))


def taken_over(told: list[Event]) -> list[str]:
    texts = [event.text for event in told if isinstance(event, Notice)]
    return [text for text in texts if "by an earlier run" in text]


def content_of(path: Path) -> tuple[object, ...]:
    """Classes, streams and models."""
    with Reader(path) as reader:
        found = reader.memory()
        return found.classes, found.chunks, found.vqvae, found.entropy_model


@pytest.mark.parametrize("keep", [True, False])
def test_an_append_that_was_broken_off_ends_as_one_in_one_go(
    mem: Path, more: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch,
    told: list[Event], keep: bool,
) -> None:  # fmt: skip
    how = {"keep_entropy_model": keep, "epochs": None if keep else 1}
    before = mem.read_bytes()
    drrpack.append(mem, more, **how)  # type: ignore[arg-type]
    whole, content = mem.read_bytes(), content_of(mem)
    mem.write_bytes(before)
    honest, encoded = Codec.encode, list[int]()

    def third_fails(self: Codec, images: object, tick: object = None) -> object:
        encoded.append(len(images))  # type: ignore[arg-type]
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return honest(self, images, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(Codec, "encode", third_fails)
    with pytest.raises(KeyboardInterrupt):
        drrpack.append(mem, more, **how)  # type: ignore[arg-type]
    assert mem.read_bytes() == before
    left = mem.parent / ".mem.drr.parts"
    assert sorted(os.listdir(left)) == ["codes-000000.npz", "codes-000001.npz"]
    drrpack.append(mem, more, report=told.append, **how)  # type: ignore[arg-type]
    assert encoded == [30] * (3 + 8), "two classes of ten were there"
    said = "60 of 300 images were encoded by an earlier run, and are taken over"
    assert taken_over(told) == [said]
    assert content_of(mem) == content and os.listdir(mem.parent) == ["mem.drr"]
    assert mem.read_bytes() == whole or not keep, "a tuned one says how many seconds it took"


def test_codes_are_there_after_a_tuning_that_was_broken_off(
    mem: Path, more: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch, told: list[Event]
) -> None:
    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(append_models, "tune_entropy", broken_off)
        with pytest.raises(KeyboardInterrupt):
            drrpack.append(mem, more, epochs=1)
    monkeypatch.setattr(Codec, "encode", broken_off)
    drrpack.append(mem, more, epochs=1, report=told.append)
    assert [text[:10] for text in taken_over(told)] == ["300 of 300"]
    assert drrpack.verify(mem, "full").classes == 20


def test_a_drop_tells_of_a_broken_off_append_which_goes_on(
    mem: Path, more: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch, told: list[Event]
) -> None:
    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    drrpack.drop(mem, "0", report=told.append)
    assert told == []
    with monkeypatch.context() as patch:
        patch.setattr(append_models, "tune_entropy", broken_off)
        with pytest.raises(KeyboardInterrupt):
            drrpack.append(mem, more, epochs=1)
    parts, fit = (mem.parent / f".mem.drr.{ending}" for ending in ("parts", "fit"))
    fit.mkdir()
    there = sorted(os.listdir(parts))
    drrpack.drop(mem, "1", report=told.append)
    starts = [event.text.split(":")[0] for event in told if isinstance(event, Notice)]
    assert starts == [f"{each} is of an interrupted command on {mem}" for each in (parts, fit)]
    assert sorted(os.listdir(parts)) == there and fit.is_dir()
    drrpack.append(mem, more, epochs=1, report=told.append)
    assert [text[:10] for text in taken_over(told)] == ["300 of 300"]
    assert drrpack.verify(mem, "full").classes == 18 and os.listdir(mem.parent) == ["mem.drr"]


def test_codes_of_other_pictures_are_not_taken_over(
    mem: Path, more: Path, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch,
    told: list[Event],
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("drrpack.formats.container.write", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drrpack.append(mem, more, keep_entropy_model=True)
    for number in range(4, 7):
        shutil.copytree(more / "again 3", tmp_path / "others" / f"again {number}")
    drrpack.append(
        mem, tmp_path / "others", keep_entropy_model=True, report=told.append
    )  # the same names and counts as the parts that are there
    assert taken_over(told) == []
    dataset = DRRDataset(mem)
    fourth, sixth = (dataset.codes(range(n * 30, n * 30 + 30)) for n in (10, 12))
    assert all((one == other).all() for one, other in zip(fourth, sixth, strict=True))


def test_a_memory_that_grows_goes_on_within_a_phase(
    digits_folder: Path, context_drr: Path, tmp_path: Path, small_parts: None,
    monkeypatch: pytest.MonkeyPatch, told: list[Event],
) -> None:  # fmt: skip
    given = {
        "base": 2, "phases": 1, "classes": ["4", "2", "7", "6"], "epochs": 1, "width": 2,
        "ceiling": False, "device": "cpu", "grow": True, "grow_epochs": 1,
    }  # fmt: skip
    drrpack.train(context_drr, tmp_path / "whole", **given)  # type: ignore[arg-type]

    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(append_models, "tune_entropy", broken_off)
        with pytest.raises(KeyboardInterrupt):
            drrpack.train(context_drr, tmp_path / "run", **given)  # type: ignore[arg-type]
    drrpack.train(context_drr, tmp_path / "run", report=told.append, **given)  # type: ignore[arg-type]
    assert [text[:8] for text in taken_over(told)] == ["60 of 60"]
    files = [sorted((tmp_path / run / "memory").iterdir()) for run in ("whole", "run")]
    assert [[path.name for path in of] for of in files] == [[path.name for path in files[0]]] * 2
    assert [content_of(path) for path in files[0]] == [content_of(path) for path in files[1]]


KILLED_ONCE_WRITTEN = """
import os, signal, sys
import torch
torch.set_num_threads(1)
import drrpack
from drrpack.formats import container
from drrpack.operations.encoding import pieces
from drrpack.operations.preparing import tidy
pieces.PART_PIXELS = 30 * 32 * 32
write = container.write

def killed(*given, **named):
    write(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)

container.write = killed
memory, source, epochs = sys.argv[1:]
drrpack.append(
    memory, source, keep_entropy_model=epochs == "0", epochs=int(epochs) or None, device="cpu"
)
"""


@pytest.mark.parametrize("epochs", [0, 1])
def test_an_append_that_was_killed_once_the_file_was_written(
    mem: Path, more: Path, small_parts: None, told: list[Event], epochs: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = mem.read_bytes()
    run = started("-c", KILLED_ONCE_WRITTEN, mem, more, epochs)
    _, errors = run.communicate(timeout=280)
    assert run.returncode == -signal.SIGKILL, errors
    parts, fit = (mem.parent / f".mem.drr.{ending}" for ending in ("parts", "fit"))
    whole = mem.read_bytes()
    assert whole != before and parts.is_dir() and fit.is_dir() == bool(epochs)

    others, kept = (tmp_path.with_name(f"{tmp_path.name} {name}") for name in ("others", "kept"))
    shutil.copytree(more / "again 3", others / "again 3")
    with pytest.raises(OptionError, match="has a class 'again 3' already"):
        drrpack.append(mem, others)
    shutil.copytree(tmp_path, kept)
    # what was left may be of an append of before, if the file is another one since
    drrpack.drop(mem, "0")
    with pytest.raises(OptionError, match=r"holds the images of .* already"):
        drrpack.append(mem, more)
    assert parts.is_dir()

    again, remembered = kept / "mem.drr", list[Source]()
    monkeypatch.setattr(originals, "remember", remembered.append)
    how = {"keep_entropy_model": not epochs, "epochs": epochs or None, "extend": True}
    made = drrpack.append(again, more, report=told.append, **how)  # type: ignore[arg-type]
    assert again.read_bytes() == whole and os.listdir(kept) == ["mem.drr"]
    (said,) = [event.text for event in told if isinstance(event, Notice)]
    assert said.startswith(f"{again} has these images already: an append that was killed had wr")
    sizes = [made.kept_bytes] if made.tuned_bytes is None else [made.kept_bytes, made.tuned_bytes]
    assert made.path == again and min(sizes) == len(whole) and len(sizes) == 1 + bool(epochs)
    assert made.entropy_model == "context" and [one.place for one in remembered] == [str(more)]


def test_what_is_left_goes_at_once_with_its_record(tmp_path: Path) -> None:
    left = left_beside(tmp_path / "mem.drr")
    left.parts.mkdir()
    (left.parts / "written-000000.npz").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed before
        remove_all(left)
    assert not left.parts.exists()
    told = list[str]()
    tidy(tmp_path / "mem.drr", lambda event: told.append(event.text))  # type: ignore[union-attr]
    assert os.listdir(tmp_path) == [] and len(told) == 1


@pytest.fixture
def appended(own_drr: Path, more: Path, tmp_path: Path) -> bytes:
    """What one process writes in one go, by the codec that comes with drrpack."""
    path = Path(shutil.copy(own_drr, tmp_path / "whole.drr"))
    drrpack.append(path, more, keep_entropy_model=True, device="cpu")
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.mark.slow
def test_a_killed_append_goes_on_where_it_was(
    own_drr: Path, more: Path, appended: bytes, tmp_path: Path
) -> None:
    program, before = in_parts(tmp_path), own_drr.read_bytes()
    command = (program, "append", own_drr, more, "--keep-entropy-model", "--device", "cpu")
    parts = own_drr.parent / ".mem.drr.parts"
    run, end = started(*command), time.monotonic() + 200
    while len(list(parts.glob("codes-*"))) < 3 and time.monotonic() < end and run.poll() is None:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL, errors
    assert own_drr.read_bytes() == before
    made = {path.name: path.stat().st_mtime_ns for path in parts.glob("codes-*")}
    assert 3 <= len(made) <= 10
    again = started(*command)
    printed, errors = again.communicate(timeout=280)
    assert again.returncode == 0, errors
    assert f"{30 * len(made)} of 300 images were encoded by an earlier run" in printed
    assert own_drr.read_bytes() == appended
    assert sorted(os.listdir(tmp_path)) == ["mem.drr", "program.py"]


@pytest.mark.slow
def test_several_processes_write_the_file_of_one(
    own_drr: Path, more: Path, appended: bytes, tmp_path: Path
) -> None:
    command = (in_parts(tmp_path), "append", own_drr, more, "--keep-entropy-model", "--json")
    run = by_torchrun(2, *command)
    printed, errors = run.communicate(timeout=280)
    assert run.returncode == 0, errors
    assert own_drr.read_bytes() == appended
    assert printed.count("kept_bytes") == 1, "the first one speaks for both"
    assert sorted(os.listdir(tmp_path)) == ["mem.drr", "program.py"]
