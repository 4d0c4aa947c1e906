"""Files at addresses: only what is asked for crosses the wire, from a real HTTP server."""

from __future__ import annotations

import os
import re
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from byte_server import serving
from command import Command
from torch.utils.data import DataLoader

from drrpack import CorruptError, DRRDataset, MissingError, OptionError, ReadError
from drrpack.formats.container import Chunk, Reader
from drrpack.formats.hdf5.build import build_image

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytestmark = pytest.mark.usefixtures("one_thread", "short_pauses")


class Server(ThreadingHTTPServer):
    """Serves one file with byte ranges, and counts what it sends."""

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.path, self.sent, self.ranges, self.cut = path, 0, True, 0
        self.status = 200  # what it answers, a file or an error; 0 hangs up
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.path.name}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        if self.server.status == 0:
            self.close_connection = True
            return
        if self.server.status != 200 or self.path.lstrip("/") != self.server.path.name:
            self.send_error(404 if self.server.status == 200 else self.server.status)
            return
        data, status = self.server.path.read_bytes(), 200
        size = len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is not None and self.server.ranges:
            first, last = int(wanted[1]), int(wanted[2] or size - 1)
            data, status = data[first : last + 1], 206
        if self.server.cut and status == 206:
            data = data[: -self.server.cut]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{size}")
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            with self.server.lock:
                self.server.sent += len(data)
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(path: Path) -> Iterator[Server]:
    made = Server(path)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def server(own_drr: Path) -> Iterator[Server]:
    with served(own_drr) as made:
        yield made


def test_the_same_images_as_from_the_disk(server: Server, own_drr: Path) -> None:
    here, there = DRRDataset(own_drr), DRRDataset(server.address)
    assert len(there) == len(here) and there.classes == here.classes
    assert there.reader.fingerprint == here.reader.fingerprint
    np.testing.assert_array_equal(there.to_numpy()[0], here.to_numpy()[0])
    there.reader.verify()


def test_only_the_classes_asked_for_are_fetched(server: Server, own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        account, index = reader.byte_account(), reader.index
        row = index[index["class"] == 7][0]
        wanted = int(row["top_bytes"]) + int(row["bottom_bytes"])
    DRRDataset(server.address, classes=["7"]).to_numpy()
    models = account["vqvae"] + account["entropy_model"]
    overhead = server.sent - models - wanted
    assert 0 < overhead < account["container"] + 2 * 65536  # what libhdf5 reads comes in blocks
    before = server.sent
    dataset = DRRDataset(server.address, classes=["7", "8"])
    opening = server.sent - before
    dataset.codes([0])
    rest = models + wanted - (server.sent - before - opening)  # what the head of the file held
    assert 0 <= rest < 65536, "class 8 is not touched"


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_fetch_for_themselves(bitswap_drr: Path, context: str, workers: int) -> None:
    expected = DRRDataset(bitswap_drr).to_numpy()[0]
    with served(bitswap_drr) as server:
        dataset = DRRDataset(server.address)
        dataset.pixels([0])  # the parent has talked to the server before it forks
        loader = DataLoader(dataset, 50, num_workers=workers, multiprocessing_context=context)
        found = np.concatenate([images.permute(0, 2, 3, 1).numpy() for images, _ in loader])
    np.testing.assert_array_equal(found, expected)


def test_a_file_in_memory(own_drr: Path) -> None:
    with fsspec.open("memory://box/mem.drr", "wb") as file:
        file.write(own_drr.read_bytes())
    found = DRRDataset("memory://box/mem.drr").to_numpy()[0]
    np.testing.assert_array_equal(found, DRRDataset(own_drr).to_numpy()[0])
    with pytest.raises(MissingError, match=r"memory://box/absent.drr"):
        Reader("memory://box/absent.drr")


def test_a_large_file_is_verified_in_little_memory(hundred: Path) -> None:
    """Of 192 MB in streams, which the server has in memory all the time."""
    with Reader(hundred) as reader:
        small = reader.memory()
    chunks = [Chunk(n, 1, b"", bytes(1 << 22), n) for n in range(48)]
    with fsspec.open("memory://box/large.drr", "wb") as file:
        build_image("large.drr", replace(small, chunks=chunks)).write(file)
    with Reader("memory://box/large.drr") as reader:
        tracemalloc.start()
        reader.check_records()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    fsspec.filesystem("memory").rm("/box/large.drr")
    assert peak < 48 << 22


def test_what_goes_wrong_has_a_name(server: Server) -> None:
    reader = Reader(server.address)
    server.cut = 3
    with pytest.raises((ReadError, CorruptError), match=re.escape(server.address)):
        reader.stream(0, "top")
    server.cut = 0
    with pytest.raises(MissingError, match="check the address"):
        Reader(server.address + "x")
    server.shutdown()
    server.server_close()
    with pytest.raises(ReadError, match="can't be re"):
        reader.stream(0, "top")
    with pytest.raises(ReadError, match="can't be reached"):
        Reader(server.address)
    with pytest.raises(OptionError, match="nosuch"):
        Reader("nosuch://mem.drr")


def test_a_server_without_ranges(server: Server) -> None:
    reader = Reader(server.address)
    server.ranges = False  # now it sends the whole file, whatever is asked for
    for read in (lambda: reader.stream(3, "top"), lambda: Reader(server.address)):
        with pytest.raises(ReadError, match="does not support range requests; download") as caught:
            read()
        assert str(caught.value).startswith(f"{server.address}: can't be re")
        assert ": asked for " in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 416, 429, 500, 503])
def test_a_server_that_refuses(server: Server, status: int) -> None:
    reader = Reader(server.address)
    server.status = status
    with pytest.raises(ReadError, match=f"the server answers with status {status} [A-Z]") as caught:
        Reader(server.address)
    assert str(caught.value).startswith(server.address) and "no such file" not in str(caught.value)
    with pytest.raises(ReadError, match=f"can't be read: .*{status}"):
        reader.stream(0, "top")


@pytest.mark.parametrize("status", [404, 410])
def test_a_server_that_does_not_have_it(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(MissingError, match="there is no such file; check the address"):
        Reader(server.address)


def test_a_server_that_hangs_up(server: Server) -> None:
    server.status = 0
    with pytest.raises(ReadError, match="can't be reached: Server disconnected"):
        Reader(server.address)


def test_a_file_that_was_replaced_is_noticed(server: Server, own_drr: Path) -> None:
    reader = Reader(server.address)
    image = bytearray(own_drr.read_bytes())
    image[-3] ^= 1
    own_drr.write_bytes(image)
    with pytest.raises(CorruptError, match="CRC"):
        reader.stream(len(reader.index) - 1, "bottom")
    assert os.path.exists(own_drr)


@pytest.mark.slow
def test_a_run_keeps_no_secret(digits_drr: Path, tmp_path: Path, drrpack: Command) -> None:
    with serving(digits_drr.read_bytes()) as server:
        plain = server.address.partition("://")[2]
        small = (
            "--phases",
            "1",
            "--base",
            "1",
            "--classes",
            "0,1",
            "--epochs",
            "1",
            "--width",
            "2",
        )
        address = f"http://anna:s3cret@{plain}?token=0123abcd"
        done = drrpack("train", address, "--out", tmp_path / "run", "--no-ceiling", *small)
    assert done.code == 0, done.errors
    assert f'memory = "http://***@{plain}?***"' in (tmp_path / "run" / "run.toml").read_text()
    texts = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    for text in [*texts, done.output.encode(), done.errors.encode()]:
        assert b"s3cret" not in text and b"0123abcd" not in text
