"""A memory of 100 classes, on a web server, for the tests of files at addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from byte_server import ByteServer, serving

from drrpack.core.section import Section
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader, write
from drrpack.formats.remote import part_cache, transfer

CLASSES = 100


def hundred_classes() -> Memory:
    """Streams of 1 and 4 kB a class, models of 80 and 40 kB, and two raw records; about 660 kB."""
    rng = np.random.default_rng(0)
    chunks = [Chunk(n, 10, rng.bytes(1200), rng.bytes(4000), n) for n in range(CLASSES)]
    return Memory(
        image_size=(32, 32),
        classes=[f"class {n}" for n in range(CLASSES)],
        chunks=chunks,
        vqvae=Section("9.0", {"made": "up"}, rng.bytes(80_000)),
        entropy_model=Section("9.0", {"made": "up"}, rng.bytes(40_000)),
        metadata={"note": "for tests"},
        raw=[RawRecord(n, 1, rng.bytes(3000)) for n in (4, 5)],
    )


@pytest.fixture(scope="session")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hundred") / "mem.drr"
    write(path, hundred_classes())
    return path


@pytest.fixture
def local(hundred: Path) -> Iterator[Reader]:
    with Reader(hundred) as reader:
        yield reader


@pytest.fixture
def server(hundred: Path, short_pauses: None) -> Iterator[ByteServer]:
    with serving(hundred.read_bytes()) as server:
        yield server


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache that is on."""
    monkeypatch.setenv(part_cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.delenv(part_cache.BYTES)
    return tmp_path / "cache"
