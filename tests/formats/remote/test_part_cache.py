"""The cache of fetched parts: by digest, bounded, for several processes, and never trusted."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from byte_server import ByteServer, cut_after

from drrpack import CorruptError, OptionError, verify
from drrpack.formats.container import Reader
from drrpack.formats.remote import part_cache
from drrpack.formats.remote.part_cache import PartCache
from drrpack.operations.verify import Depth

pytest.importorskip("aiohttp")
KEYS = [f"{n:064x}" for n in range(10)]


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


def test_nothing_is_fetched_twice(server: ByteServer, local: Reader, cache: Path) -> None:
    with Reader(server.address) as first:
        list(first.streams([3, 4]))
        first.models()
    server.forget()
    with Reader(server.address) as again:
        assert len(server.asked) == 1, "the head, from which the file is known"
        assert list(again.streams([4, 3])) == list(local.streams([4, 3]))
        assert again.stream(3, "bottom") == local.stream(3, "bottom")
        assert again.models() == local.models() and len(server.asked) == 1
        assert list(again.streams([3, 9])) == list(local.streams([3, 9]))
        assert [size for _, size in server.asked[1:]] == [5200]
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in entries(cache)} == {0o600}


def elsewhere(server: ByteServer) -> str:
    return server.address.replace("localhost", "127.0.0.1")


def test_a_sha256_is_known_at_another_address(
    server: ByteServer, local: Reader, cache: Path
) -> None:
    with Reader(server.address) as first, Reader(elsewhere(server)) as other:
        first.models()
        server.forget()
        assert other.models() == local.models() and server.asked == []


# what of five bytes can be flipped without a change of any CRC32: the bits of its polynomial
SAME_CRC = ((0xEDB88320 << 1) | 1).to_bytes(5, "little")


def with_the_same_crc(data: bytes, at: int) -> bytes:
    changed = bytes(a ^ b for a, b in zip(data[at : at + 5], SAME_CRC, strict=True))
    return data[:at] + changed + data[at + 5 :]


@pytest.mark.parametrize("dataset", ["streams", "raw/data"])
@pytest.mark.parametrize("etag", ['"1"', None])
@pytest.mark.parametrize("moment", ["elsewhere", "later"])
def test_no_file_gives_its_records_to_another(
    server: ByteServer,
    local: Reader,
    cache: Path,
    dataset: str,
    etag: str | None,
    moment: str,
) -> None:
    """Also where the other bytes have the same length, place and CRC32."""

    def records(address: str) -> list[object]:
        with Reader(address) as reader:
            rows = reader.streams([0]) if dataset == "streams" else reader.raw_records([0])
            return list(rows)

    honest, server.etag = server.data, etag
    server.data = with_the_same_crc(honest, local.structure.extents[dataset].offset + 7)
    forged = records(server.address)
    server.data = honest
    if moment == "later" and etag is not None:
        server.etag = '"2"'
    there = elsewhere(server) if moment == "elsewhere" else server.address
    assert records(there) == records(str(local.path)) != forged
    assert records(there) == records(str(local.path))


def test_another_file_at_the_same_address_is_not(
    server: ByteServer, cache: Path, golden_file: bytes
) -> None:
    next(Reader(server.address).streams([3]))
    server.data, server.etag = golden_file, '"new"'
    with Reader(server.address) as there:
        assert len(there.classes) < 100
        there.verify()


@pytest.mark.parametrize("depth", ["quick", "sections"])
@pytest.mark.parametrize("dataset", ["streams", "raw/data", "vqvae/weights"])
def test_a_verification_takes_nothing_that_was_kept(
    server: ByteServer, local: Reader, cache: Path, depth: Depth, dataset: str
) -> None:
    """The file is damaged at its address, and this machine has all of it as it was."""
    with Reader(server.address) as first:
        list(first.streams(range(len(first.index))))
        list(first.raw_records(range(len(first.raw_index))))
        first.models()
    place = local.structure.extents[dataset].offset + 7
    damaged = bytearray(server.data)
    damaged[place] ^= 1
    server.data = bytes(damaged)
    if (depth, dataset) == ("quick", "vqvae/weights"):  # of which it says nothing
        assert verify(server.address, depth).sound
        return
    with pytest.raises(CorruptError):
        verify(server.address, depth)


@pytest.fixture
def golden_file() -> bytes:
    return (Path(__file__).parents[2] / "golden" / "digits.drr").read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "empty", "folder", "pipe", "link"])
def test_a_damaged_entry_is_fetched_again(
    server: ByteServer, local: Reader, cache: Path, damage: str
) -> None:
    with Reader(server.address) as there:
        list(there.streams([3]))
        for path in entries(cache):
            data = path.read_bytes()
            path.unlink()
            if damage == "folder":
                path.mkdir()
            elif damage == "pipe":
                os.mkfifo(path)
            elif damage == "link":
                path.symlink_to("/dev/zero")
            else:
                flipped = bytes([data[0] ^ 1]) + data[1:]
                made = {"flip": flipped, "cut": data[:-1], "longer": data + b"x", "empty": b""}
                path.write_bytes(made[damage])
        server.forget()
        assert list(there.streams([3])) == list(local.streams([3])) and len(server.asked) == 1
        assert list(there.streams([3])) == list(local.streams([3]))
        assert len(server.asked) == (2 if damage == "folder" else 1), "mended where it can be"


def test_the_cache_is_off(
    server: ByteServer, local: Reader, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(part_cache.BYTES, "0")
    with Reader(server.address) as there:
        server.forget()
        assert [next(there.streams([3])) for _ in range(2)] == [next(local.streams([3]))] * 2
    assert len(server.asked) == 2 and not cache.exists()
    for wrong in ("many", "-1", "1.5", "1 GB"):
        monkeypatch.setenv(part_cache.BYTES, wrong)
        with pytest.raises(OptionError, match="expected a whole number of bytes"):
            Reader(server.address)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = PartCache(tmp_path / "c", 1000)
    foreign = tmp_path / "c" / "notes.txt"
    for n in range(4):
        cache.put({KEYS[n]: bytes(240)})
        os.utime(tmp_path / "c" / f"{KEYS[n]}.part", (1000 + n, 1000 + n))
    foreign.write_bytes(bytes(5000))  # a folder that others use, too: their files don't count
    os.utime(foreign, (1, 1))
    assert cache.get(KEYS[0], 240) == bytes(240)  # which makes it the newest
    cache.put({KEYS[4]: bytes(240)})
    left = [n for n in range(5) if cache.get(KEYS[n], 240) is not None]
    assert left == [0, 3, 4] and foreign.exists()
    cache.put({KEYS[5]: bytes(950)})
    assert cache.get(KEYS[5], 950) is None, "larger than the cache should be"


def test_a_leftover_of_a_killed_process_goes_too(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    cache = PartCache(folder, 1000)
    cache.put({KEYS[0]: bytes(200)})
    (folder / "drr-abcd1234.tmp").write_bytes(bytes(900))
    os.utime(folder / "drr-abcd1234.tmp", (1, 1))
    cache.put({KEYS[1]: bytes(200)})
    assert sorted(path.stem for path in folder.iterdir()) == KEYS[:2]


@pytest.mark.parametrize("place", ["a file", "below a file", "full", "not to be written"])
def test_a_folder_that_keeps_nothing(
    server: ByteServer,
    local: Reader,
    cache: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if place in ("a file", "below a file"):
        cache.write_text("a file")
        monkeypatch.setenv(part_cache.FOLDER, str(cache / "c" if "below" in place else cache))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if place == "not to be written":
        monkeypatch.setattr(part_cache.tempfile, "mkstemp", _denied)
    try:
        if place == "full":  # the system writes 500 bytes of a file, and no more
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
        with Reader(server.address) as there:
            for _ in range(2):
                assert list(there.streams([3])) == list(local.streams([3]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert cache.is_file() or all(path.stat().st_size <= 500 for path in entries(cache))


def _denied(*_: object) -> tuple[int, str]:
    raise PermissionError(13, "Permission denied")


READ_ONLY = """
import os, sys
from drrpack.formats.container import Reader
with Reader(sys.argv[1]) as reader:
    if os.getuid() == 0:  # whom no permission stops
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    print(len(list(reader.streams([3, 4]))))
"""


def test_a_folder_that_may_only_be_read(
    server: ByteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        monkeypatch.setenv(part_cache.FOLDER, name)
        monkeypatch.delenv(part_cache.BYTES)
        list(Reader(server.address).streams([3]))
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        before = sorted(folder.iterdir())
        server.forget()
        command = [sys.executable, "-c", READ_ONLY, server.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.stdout == "2\n", done.stderr
        assert [size for _, size in server.asked][1:] == [5200], "row 3 came from the folder"
        assert sorted(folder.iterdir()) == before
        folder.chmod(0o755)


HAMMER = """
import sys
from drrpack.formats.container import Reader
with Reader(sys.argv[2]) as local, Reader(sys.argv[1]) as there:
    for start in range(0, 60, 4):
        rows = range(start, start + 20)
        assert list(there.streams(rows)) == list(local.streams(rows))
"""


def test_several_processes_at_once(
    server: ByteServer, hundred: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(part_cache.BYTES, "150000")  # so that each evicts what others use
    server.faults = [cut_after(3000)] * 6
    command = [sys.executable, "-W", "error", "-c", HAMMER, server.address, str(hundred)]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        _, said = child.communicate(timeout=200)
        assert child.returncode == 0, said
    assert not [path for path in entries(cache) if path.suffix != ".part"]
    assert sum(path.stat().st_size for path in entries(cache)) <= 150_000


def test_it_may_vanish_while_in_use(server: ByteServer, local: Reader, cache: Path) -> None:
    with Reader(server.address) as there:
        list(there.streams([3]))
        shutil.rmtree(cache)
        assert list(there.streams([3])) == list(local.streams([3]))
        assert list(there.streams([3])) == list(local.streams([3]))


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(part_cache.BYTES)
    monkeypatch.delenv(part_cache.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    part_cache.of_user().put({KEYS[0]: b"x"})
    (found,) = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert found.name == f"{KEYS[0]}.part" and "drrpack" in found.parts
    assert time.time() - found.stat().st_mtime < 600
