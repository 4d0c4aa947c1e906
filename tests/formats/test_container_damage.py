"""A damaged file is an error or reads as it was written; it never reads otherwise."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from drr_children import run_child
from drr_files import SMALL, outcome_of

from drrpack.core.errors import CorruptError
from drrpack.formats.container import Reader


def outcome_of_bytes(damaged: bytes | bytearray, folder: Path) -> str:
    path = folder / "damaged.drr"
    path.write_bytes(damaged)
    return outcome_of(path)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_no_flipped_bit_goes_unnoticed(small: Path, step: int) -> None:
    """Of every byte, or of every fifth."""
    status, output, messages = run_child("flip", small, str(step), timeout=250)
    assert status == 0, messages
    errors, same, wrong = map(int, output.split())
    assert wrong == 0
    flipped = len(range(0, small.stat().st_size, step))
    assert same == 0 and errors == flipped  # the seal covers bytes that hold nothing


def test_every_flip_in_the_data_is_an_error(small: Path, tmp_path: Path) -> None:
    image = small.read_bytes()
    for data in (
        b"bottom of cat",
        SMALL.vqvae.data,
        b"weights",
        b'{"nested"',
        b"psnr",
        b"more top",
    ):
        position = image.index(data)
        for bit in range(8):
            damaged = bytearray(image)
            damaged[position + bit % len(data)] ^= 1 << bit
            assert outcome_of_bytes(damaged, tmp_path) == "error"


@pytest.mark.parametrize("seed", range(3))
def test_larger_damage_is_noticed(small: Path, tmp_path: Path, seed: int) -> None:
    image, chance = small.read_bytes(), random.Random(seed)
    for _ in range(60):
        start, length = chance.randrange(len(image)), chance.choice([2, 16, 512, 4096])
        noise = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
        damaged = (image[:start] + noise + image[start + length :])[: len(image)]
        assert outcome_of_bytes(damaged, tmp_path) != "wrong"


def test_truncated_files_and_trailing_junk_are_errors(small: Path, tmp_path: Path) -> None:
    image = small.read_bytes()
    for length in {*range(0, len(image), 41), *range(60), *range(len(image) - 60, len(image))}:
        assert outcome_of_bytes(image[:length], tmp_path) == "error", length
    for junk in (b"\0", b"junk", bytes(4096), image):
        assert outcome_of_bytes(image + junk, tmp_path) == "error"
        assert outcome_of_bytes(junk + image, tmp_path) == "error"


def test_a_stream_is_checked_when_it_is_read_and_others_stay_readable(small: Path) -> None:
    image = bytearray(small.read_bytes())
    image[image.index(b"bottom of cat")] ^= 1
    small.write_bytes(image)
    with Reader(small) as reader:
        assert reader.stream(0, "top") == b"top of cat"
        with pytest.raises(CorruptError, match=r"bottom stream of row 0.*encode the images again"):
            reader.stream(0, "bottom")
        assert reader.stream(2, "top") == b"more top"
        with pytest.raises(CorruptError, match="sha256"):
            reader.verify()


def test_a_file_cut_while_it_is_open_is_an_error(small: Path) -> None:
    with Reader(small) as reader:
        os.truncate(small, 100)
        with pytest.raises(CorruptError):
            reader.stream(0, "top")
        with pytest.raises(CorruptError):
            reader.verify()
