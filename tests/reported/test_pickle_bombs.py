"""Reported: python/cpython#115952: a pickle of a few bytes takes all memory there is.

Right: a CIFAR file that asks for far more memory than it has bytes is refused, by name, before the
memory is taken.
"""

from __future__ import annotations

import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from drrpack.core.errors import SourceError
from drrpack.formats.sources.source import open_source


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """Two classes in the layout of CIFAR-100."""
    root = tmp_path / "cifar-100-python"
    root.mkdir()
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": [0, 1]}
    for name, content in (
        ("meta", {b"fine_label_names": [b"cat", b"dog"]}),
        ("train", batch),
        ("test", batch),
    ):
        (root / name).write_bytes(pickle.dumps(content, protocol=2))
    return root


def one_long_name(times: int) -> bytes:
    """Thousands of class names that are one object of a megabyte."""
    name = b"T" + struct.pack("<I", 1_000_000) + b"x" * 1_000_000 + b"q\x01"
    return b"\x80\x02}U\x10fine_label_names](" + name + b"h\x01" * times + b"es."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train", b"\x80\x02Nr\xff\xff\xff\x01."),
        ("meta", b"\x80\x02Nr\xff\xff\xff\x01."),
        ("meta", one_long_name(200)),
    ],
)
def test_it_is_refused_before(cifar: Path, name: str, content: bytes) -> None:
    (cifar / name).write_bytes(content)
    open_source_again = pytest.raises(SourceError, match=f"{name}: found .*; expected .*: fetch it")
    tracemalloc.start()
    try:
        with open_source_again:
            open_source(cifar)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(content) + 2_000_000
