"""Checkpoints: a bit that has flipped in the weights is found, which PyTorch alone does not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

from drrpack.trainers.checkpoints import DamagedCheckpointError, load_checkpoint, save_checkpoint

WEIGHTS = {"weights": torch.arange(1000, dtype=torch.float32), "step": 7}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "phase.pt"
    with path.open("wb") as file:
        save_checkpoint(WEIGHTS, file)
    return path


def test_what_was_saved(saved: Path) -> None:
    found: dict[str, Any] = load_checkpoint(saved)
    assert torch.equal(found["weights"], WEIGHTS["weights"]) and found["step"] == 7


def test_a_flipped_bit_of_a_weight(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    place = content.index(WEIGHTS["weights"].numpy().tobytes()) + 4 * 500
    content[place] ^= 1
    saved.write_bytes(content)
    assert not torch.equal(torch.load(saved)["weights"], WEIGHTS["weights"]), "PyTorch takes it"
    with pytest.raises(DamagedCheckpointError, match=r"the checksum of .*data/0 in it is wrong"):
        load_checkpoint(saved)


def test_a_part_of_it_and_another_file(saved: Path) -> None:
    whole = saved.read_bytes()
    for content in (whole[:-100], b"", b"weights"):
        saved.write_bytes(content)
        with pytest.raises(DamagedCheckpointError, match="it is not a whole file"):
            load_checkpoint(saved)
    with ZipFile(saved, "w") as archive:
        archive.writestr("archive/data.pkl", b"no pickle")
    with pytest.raises(DamagedCheckpointError) as caught:
        load_checkpoint(saved)
    assert "weights_only" not in str(caught.value), "nobody is invited to load without checks"


def test_there_are_checksums_whatever_the_program_asks_for(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        with (tmp_path / "phase.pt").open("wb") as file:
            save_checkpoint(WEIGHTS, file)
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_checkpoint(tmp_path / "phase.pt")["step"] == 7
