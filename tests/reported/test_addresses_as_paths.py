"""Reported: scikit-hep/uproot5#670: pathlib drops a slash of https://, and the file is not found.
Right: commands that read a memory take the addresses that Python takes, and those that can't take
an address say so; every message shows the address as it was given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import Command

import drrpack as library
from drrpack import DRRDataset

pytest.importorskip("fsspec")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drrpack", *map(str, arguments)],
        capture_output=True, text=True, timeout=250, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_reading_commands_take_an_address(own_drr: Path, digits_folder: Path) -> None:
    place, address = own_drr.parent, own_drr.as_uri()
    assert address.startswith("file:///")
    done = run("stats", address)
    assert done.returncode == 0 and done.stdout.startswith(f"{address}: format"), done.stderr
    done = run("verify", address, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["path"] == address
    done = run("preview", address, "-o", place / "grid.png", "--rows", "1", "--columns", "1")
    assert done.returncode == 0 and (place / "grid.png").is_file(), done.stderr
    done = run("export", address, place / "images.npz", "--classes", "0,1")
    assert done.returncode == 0, done.stderr
    expected = DRRDataset(own_drr, classes=[0, 1]).to_numpy()[0]
    with np.load(place / "images.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], expected)
    short = ("--phases", "1", "--base", "1", "--classes", "0,1", "--epochs", "1", "--width", "2")
    done = run("train", address, "--out", place / "run", "--no-ceiling", *short)
    assert done.returncode == 0 and (place / "run" / "result.json").is_file(), done.stderr


@pytest.mark.parametrize("address", ["https://localhost:1/mem.drr", "HTTPS://localhost:1/mem.drr"])
def test_an_address_that_cannot_be_read(drrpack: Command, address: str) -> None:
    pytest.importorskip("aiohttp")
    done = drrpack("stats", address)
    assert done.code in (2, 6) and done.errors.startswith(f"error: {address}: ")


@pytest.mark.parametrize("command", ["drop", "merge", "append", "encode", "compare", "report"])
def test_the_others_say_that_they_take_none(drrpack: Command, tmp_path: Path, command: str) -> None:
    address = "s3://bucket/images"
    rest = {
        "drop": ["3"], "merge": ["-o", tmp_path / "new.drr"], "append": [tmp_path],
        "encode": ["-o", tmp_path / "new.drr"],
    }.get(command, [])  # fmt: skip
    done = drrpack(command, address, *rest)
    assert done.code == 2 and not list(tmp_path.iterdir())
    assert done.errors.startswith(f"error: {address}: found an address, expected a path: download")


@pytest.mark.parametrize("name", ["drop", "merge", "append", "encode", "compare"])
def test_so_do_the_functions(tmp_path: Path, context_drr: Path, name: str) -> None:
    """`pathlib` would make https:/host/mem.drr of it."""
    address, images = "https://anna:secret@host/mem.drr", [(np.zeros((16, 16, 3), np.uint8), 0)]
    calls: dict[str, Callable[[], object]] = {
        "drop": lambda: library.drop(address, "3"),
        "merge": lambda: library.merge([context_drr, address], tmp_path / "new.drr"),
        "append": lambda: library.append(address, images),
        "encode": lambda: library.encode(images, tmp_path / "new.drr", codec=address),
        "compare": lambda: library.compare(images, codec=address),
    }
    with pytest.raises(library.OptionError) as caught:
        calls[name]()
    assert str(caught.value).startswith(
        "https://***@host/mem.drr: found an address, expected a path: download the file first"
    )
    assert not list(tmp_path.iterdir())
