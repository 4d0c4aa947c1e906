"""A codec that two processes fit: one fit, one file, and a killed fit that goes on."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from several_processes import by_torchrun, errors_after_a_kill, started

import drrpack

# Small networks, a checkpoint after each step, and a line for each fit: where it starts.
PROGRAM = """
import os
import torch
from drrpack.cli.main import main
from drrpack.trainers.fitting import loop
from tiny_memory import tiny_networks
loop.CHECKPOINT_SECONDS = 0.0
restore = loop._restore

def told(task, path, fingerprint):
    kept = restore(task, path, fingerprint)
    with open(os.environ["STARTED"], "a") as file:
        file.write(f"{path.name} {kept[0]}\\n")
    return kept

loop._restore = told
torch.set_num_threads(1)
with tiny_networks():
    main()
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("STARTED", str(tmp_path / "started.txt"))
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def encode(source: Path, output: Path, epochs: int) -> tuple[object, ...]:
    return "encode", source, "-o", output, "--fit", "--epochs", epochs, "--device", "cpu"


def test_a_codec_of_two_is_as_good_as_that_of_one(
    digits_folder: Path, tmp_path: Path, program: Path
) -> None:
    found = []
    for name, begin in (("one", started), ("two", partial(by_torchrun, 2))):
        run = begin(program, *encode(digits_folder, tmp_path / f"{name}.drr", 6))
        printed, errors = run.communicate(timeout=250)
        assert run.returncode == 0, errors
        assert "Warning" not in errors, errors
        assert printed.count("payload (streams)") == 1, "the first one speaks for both"
        assert not list(tmp_path.glob(".*")), "checkpoints and parts are gone"
        found.append(drrpack.stats(tmp_path / f"{name}.drr"))
    drrpack.verify(tmp_path / "two.drr", "full")
    one, two = found
    assert two.psnr_db == pytest.approx(one.psnr_db, abs=0.7)
    coded = [found.bits_per_code.all.coded for found in (one, two)]
    assert coded[1] == pytest.approx(coded[0], rel=0.2)


def test_a_finer_decoder_of_two_leaves_the_codes_as_they_are(
    digits_folder: Path, tmp_path: Path, program: Path
) -> None:
    """Though the model that chose them is not in the file, and comes with drrpack."""
    before, after = tmp_path / "before.drr", tmp_path / "after.drr"
    drrpack.encode(digits_folder, before, entropy="table", device="cpu")
    run = by_torchrun(
        2, program, "encode", digits_folder, "-o", after, "--codec", before, "--finetune-decoder",
        "--epochs", 1, "--device", "cpu",
    )  # fmt: skip
    _, errors = run.communicate(timeout=250)
    assert run.returncode == 0, errors
    old, new = (drrpack.DRRDataset(path) for path in (before, after))
    for grid, same in zip(old.codes(range(len(old))), new.codes(range(len(new))), strict=True):
        assert torch.equal(grid, same)


def test_a_killed_fit_goes_on(digits_folder: Path, tmp_path: Path, program: Path) -> None:
    output = tmp_path / "out" / "mem.drr"
    output.parent.mkdir()
    run = by_torchrun(2, program, *encode(digits_folder, output, 2))
    end = time.monotonic() + 130
    while not list(output.parent.rglob("vqvae.pt")) and time.monotonic() < end:
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    errors = errors_after_a_kill(run)
    assert run.returncode != 0 and not output.exists()
    assert "another process of this run has ended" in errors or "interrupted" in errors
    told = tmp_path / "started.txt"
    assert told.read_text().splitlines() == ["features.pt 0"] * 2 + ["vqvae.pt 0"] * 2
    told.unlink()
    again = started(program, *encode(digits_folder, output, 2))  # by another number of processes
    _, errors = again.communicate(timeout=250)
    assert again.returncode == 0, errors
    steps = [int(line.split()[1]) for line in told.read_text().splitlines()]
    assert steps[0] > 0 and steps[1] > 0, "gone on with, by another number of processes"
    drrpack.verify(output, "full")
    assert os.listdir(output.parent) == ["mem.drr"]
