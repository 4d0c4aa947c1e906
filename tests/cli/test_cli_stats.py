"""``drrpack stats``: the keys of its JSON, and its tables."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command import Command

from drrpack.cli import screen
from drrpack.formats.container import Reader


def test_json(drrpack: Command, digits_drr: Path) -> None:
    done = drrpack("stats", digits_drr, "--json")
    assert done.code == 0 and done.errors == ""
    figures = json.loads(done.output)
    wanted = {
        "format_version", "images", "classes", "image_size", "bytes", "bytes_per_image",
        "bits_per_code", "compression_ratio", "psnr_db", "entropy_model",
    }  # fmt: skip
    assert set(figures) == wanted | {"raw_bytes", "psnr_images", "psnr_on"}
    parts = figures["bytes"]
    assert set(parts) == {"file", "payload", "vqvae", "entropy_model", "raw", "container"}
    total = parts.pop("file")
    assert total == sum(parts.values()) == os.path.getsize(digits_drr)
    assert set(figures["bytes_per_image"]) == {"payload", "total"}
    assert set(figures["bits_per_code"]) == {"top", "bottom", "all"}
    for bits in figures["bits_per_code"].values():
        assert set(bits) == {"coded", "order0", "lzma"}
        assert all(isinstance(value, float) for value in bits.values())
    assert figures["format_version"] == "1.0"
    assert (figures["images"], figures["classes"], figures["image_size"]) == (300, 10, [32, 32])


def test_tables(drrpack: Command, digits_drr: Path) -> None:
    done = drrpack("stats", digits_drr)
    assert done.code == 0 and done.errors == ""
    size = os.path.getsize(digits_drr)
    for part in ("Every byte", "table 3", "table 4", f"{size:,}", "UB, 300 raw images", "PSNR"):
        assert part in done.output


@pytest.mark.parametrize(
    ("size", "raw", "words"),
    [
        (1_000, 35_870, "35.9 times smaller than raw pixels"),
        (1_600, 1_000, "1.6 times as large as raw pixels"),
        (1_020, 1_000, "about as large as raw pixels"),
        (980, 1_000, "about as large as raw pixels"),
        (500, 0, "no pixels to compare it with"),
    ],
)
def test_a_file_is_called_smaller_only_where_it_is(size: int, raw: int, words: str) -> None:
    assert screen.beside_raw(size, raw) == words


def test_no_memory(drrpack: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no memory")
    for options in ((), ("--json",)):
        notes = tmp_path / "notes.txt"
        drrpack.refused("stats", notes, *options, naming=(notes,), code=3)
        drrpack.refused("stats", tmp_path / "absent", *options, naming=("no such file",))
        drrpack.refused("stats", tmp_path, *options, naming=("found a folder", "drrpack encode"))
        drrpack.refused("stats", "/dev/null", *options, naming=("found a device, expected a .drr",))


def test_a_damaged_memory(drrpack: Command, own_drr: Path) -> None:
    own_drr.write_bytes(own_drr.read_bytes()[:-1])
    drrpack.refused("stats", own_drr, naming=(own_drr, "damaged"), code=3)


def test_a_damaged_model_is_told_once(drrpack: Command, own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        weights = reader.vqvae.data
    content = bytearray(own_drr.read_bytes())
    content[content.index(weights) + len(weights) // 2] ^= 1
    own_drr.write_bytes(content)
    done = drrpack("stats", own_drr)
    assert done.code == 3 and "for /vqvae" in done.errors
    assert done.errors.count(str(own_drr)) == 1 and "backup" not in done.errors
