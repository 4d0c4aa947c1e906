"""Encoding in parts: the same file however it is divided, by one process or by several; a run
that was killed is gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from several_processes import by_torchrun, errors_after_a_kill, in_parts
from tiny_memory import GOLDEN_BITSWAP, GOLDEN_CONTEXT, encode_tiny, write_digits

import drrpack
from drrpack import DRRDataset
from drrpack.core.codec import Codec
from drrpack.core.progress import Notice
from drrpack.operations.encoding import pieces


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PART_PIXELS", 30 * 32 * 32)


def test_parts_make_the_same_file_as_one(
    digits_folder: Path, digits_drr: Path, tmp_path: Path, small_parts: None
) -> None:
    """By the shipped context model at quality 75."""
    made = encode_tiny(digits_folder, tmp_path / "parts.drr", fit="no", entropy="context")
    assert made.read_bytes() == digits_drr.read_bytes()
    assert os.listdir(tmp_path) == ["parts.drr"]


def test_a_large_class_becomes_several_streams(
    digits_folder: Path, bitswap_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 12 * 3 * 32 * 32)
    made = encode_tiny(
        digits_folder, tmp_path / "pieces.drr", codec=GOLDEN_BITSWAP, raw_per_class=2
    )
    dataset, whole = DRRDataset(made), DRRDataset(bitswap_drr)
    assert dataset.reader.index["images"].tolist() == [12, 12, 6] * 10
    assert dataset.reader.index["class"].tolist() == [c for c in range(10) for _ in range(3)]
    assert dataset.targets == whole.targets
    for one, other in zip(dataset.codes(range(300)), whole.codes(range(300)), strict=True):
        assert (one == other).all()
    raw = encode_tiny(digits_folder, tmp_path / "raw.drr", codec=GOLDEN_BITSWAP, raw_per_class=2)
    pairs = [DRRDataset(path, raw="pairs") for path in (made, raw)]
    for (one, _, label), (other, _, same) in zip(*pairs, strict=True):
        assert label == same and bool((one == other).all())
    drrpack.verify(made, "full")


def test_what_was_encoded_before_an_interruption_is_taken_over(
    digits_folder: Path,
    bitswap_drr: Path,
    tmp_path: Path,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, encoded = tmp_path / "mem.drr", list[int]()
    honest = Codec.encode

    def third_fails(self: Codec, images: object, tick: object = None) -> object:
        encoded.append(len(encoded))
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return honest(self, images, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(Codec, "encode", third_fails)
    with pytest.raises(KeyboardInterrupt):
        encode_tiny(digits_folder, output, codec=GOLDEN_BITSWAP)
    assert sorted(p.name for p in (tmp_path / ".mem.drr.parts").iterdir()) == [
        "codes-000000.npz", "codes-000001.npz",
    ]  # fmt: skip
    told = list[str]()

    def tell(event: object) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    drrpack.encode(digits_folder, output, codec=GOLDEN_BITSWAP, report=tell)
    assert len(encoded) == 3 + 8 + 1, "8 classes, and the images that PSNR is measured on"
    assert any("60 of 300 images were encoded by an earlier run" in text for text in told)
    for one, other in zip(
        DRRDataset(output).codes(range(300)), DRRDataset(bitswap_drr).codes(range(300)), strict=True
    ):
        assert bool((one == other).all())
    assert os.listdir(tmp_path) == ["mem.drr"]


def test_parts_of_another_quality_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PART_PIXELS", 4 * 32 * 32)
    few = write_digits(tmp_path / "digits", train=4, test=1)
    output, codec = tmp_path / "mem.drr", GOLDEN_CONTEXT
    with monkeypatch.context() as patch:
        patch.setattr("drrpack.formats.container.write", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drrpack.encode(few, output, codec=codec, quality=100)
    assert len(os.listdir(tmp_path / ".mem.drr.parts")) == 20
    drrpack.encode(few, output, codec=codec, quality=50)
    drrpack.encode(few, tmp_path / "fresh.drr", codec=codec, quality=50)
    assert output.read_bytes() == (tmp_path / "fresh.drr").read_bytes()


@pytest.fixture(scope="module")
def alone(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that one process writes, by a context model that it adapts."""
    path = tmp_path_factory.mktemp("alone") / "mem.drr"
    drrpack.encode(digits_folder, path, entropy="adapted")
    return path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return in_parts(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_write_the_file_of_one(
    digits_folder: Path, alone: Path, tmp_path: Path, program: Path, processes: int
) -> None:
    output = tmp_path / "out" / "mem.drr"
    output.parent.mkdir()
    run = by_torchrun(
        processes, program, "encode", digits_folder, "-o", output, "--entropy", "adapted"
    )
    printed, errors = run.communicate(timeout=280)
    assert run.returncode == 0, errors
    assert output.read_bytes() == alone.read_bytes()
    assert os.listdir(output.parent) == ["mem.drr"]
    assert printed.count("payload (streams)") == 1, "the first one speaks for both"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_a_killed_process_ends_the_run_and_the_next_one_goes_on(
    digits_folder: Path, alone: Path, tmp_path: Path, program: Path, processes: int
) -> None:
    output = tmp_path / "out" / "mem.drr"
    output.parent.mkdir()
    parts = output.parent / ".mem.drr.parts"
    run = by_torchrun(
        processes, program, "encode", digits_folder, "-o", output, "--entropy", "adapted"
    )
    end = time.monotonic() + 200
    while len(list(parts.glob("codes-*"))) < 3 and time.monotonic() < end and run.poll() is None:
        time.sleep(0.02)
    errors = errors_after_a_kill(run)
    assert run.returncode != 0 and not output.exists(), errors
    made = {path.name: path.stat().st_mtime_ns for path in parts.glob("codes-*")}
    assert len(made) >= 3
    again = subprocess.run(
        [sys.executable, program, "encode", digits_folder, "-o", output, "--entropy", "adapted"],
        capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    assert f"{30 * len(made)} of 300 images were encoded by an earlier run" in again.stdout
    assert output.read_bytes() == alone.read_bytes()
    assert os.listdir(output.parent) == ["mem.drr"]
