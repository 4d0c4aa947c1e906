"""What servers and networks do wrong: the right bytes, or an error that says why."""

from __future__ import annotations

import os
import pickle
import re
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from byte_server import ByteServer, Reply, cut_after, flipped, refused_with, serving, slow

from drrpack import CorruptError, FormatError, MissingError, ReadError
from drrpack.formats.container import Chunk, Reader, write
from drrpack.formats.remote import transfer, web

aiohttp = pytest.importorskip("aiohttp")


@pytest.fixture
def there(server: ByteServer) -> Reader:
    reader = Reader(server.address)
    server.forget()
    return reader


def test_a_cut_range_goes_on_where_it_broke(
    server: ByteServer, there: Reader, local: Reader
) -> None:
    server.faults = [cut_after(2000), refused_with(503), cut_after(0), cut_after(1500)]
    assert next(there.streams([8])) == next(local.streams([8]))
    start = local.structure.extents["streams"].offset + 8 * 5200
    rest = [(start, 5200), *[(start + 2000, 3200)] * 3, (start + 3500, 1700)]
    assert server.asked == rest and server.sent == 5200 + len(b"no")


def test_a_connection_that_always_breaks(server: ByteServer, there: Reader) -> None:
    server.always = cut_after(100)
    with pytest.raises(ReadError) as caught:
        there.stream(8, "top")
    words = str(caught.value)
    assert words.startswith(f"{server.address}: can't be read: received 500 of 1200 bytes")
    assert "(5 tries)" in words and "check the address" in words
    assert len(server.asked) == transfer.TRIES == 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_refusal(server: ByteServer, there: Reader, local: Reader, status: int) -> None:
    server.faults = [refused_with(status), refused_with(status, Retry_After="0")]
    assert there.stream(3, "top") == local.stream(3, "top") and len(server.asked) == 3
    server.faults = [refused_with(status)]
    assert Reader(server.address).classes == local.classes


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ReadError), (403, ReadError), (404, MissingError)]
)
def test_a_lasting_refusal_is_asked_for_once(
    server: ByteServer, there: Reader, status: int, kind: type[FormatError]
) -> None:
    server.always = refused_with(status)
    with pytest.raises(kind):
        there.stream(3, "top")
    assert len(server.asked) == 1
    with pytest.raises(kind, match="no such file" if status == 404 else f"status {status} [A-Z]"):
        Reader(server.address)


def test_a_server_that_wants_a_long_pause(server: ByteServer, there: Reader) -> None:
    server.always = refused_with(429, Retry_After="3600")
    with pytest.raises(ReadError, match="status 429 Too Many Requests"):
        there.stream(3, "top")
    assert len(server.asked) == 1


def test_a_slow_server(
    server: ByteServer, there: Reader, local: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SILENCE_SECONDS", 1.0)  # an honest answer takes less
    server.faults = [slow(5.0)]
    assert there.stream(3, "top") == local.stream(3, "top") and len(server.asked) == 2
    monkeypatch.setattr(transfer, "TRIES", 2)
    server.always = slow(5.0)
    with pytest.raises(ReadError, match="the server is too slow"):
        there.stream(4, "top")


def test_a_server_that_never_ends(
    server: ByteServer, there: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never silent for long, and slower on the whole than a request may be."""
    monkeypatch.setattr(web, "SLOWEST_BYTES", 1_000_000)
    for name in ("SILENCE_SECONDS", "CONNECT_SECONDS"):
        monkeypatch.setattr(web, name, 0.5)
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.always = slow(0.1)  # before each 16 kB
    with pytest.raises(ReadError, match="too slow: the request took too long"):
        list(there.streams(range(100)))


def test_a_flipped_bit_on_the_way(server: ByteServer, there: Reader, local: Reader) -> None:
    place = local.structure.extents["streams"].offset + 5200 * 3 + 17
    server.faults = [flipped(place)]
    assert there.stream(3, "top") == local.stream(3, "top") and len(server.asked) == 2
    server.always = flipped(place)
    with pytest.raises(CorruptError, match=r"CRC .* for the top stream of row 3"):
        there.stream(3, "top")
    assert there.stream(4, "top") == local.stream(4, "top")


def test_flipped_bits_while_it_is_opened(server: ByteServer, hundred: Path) -> None:
    """Of the head that libhdf5 parses: never other classes, sizes or digests."""
    for place in (3, 40, 700, 2000, 5000, 9000):
        server.always = flipped(place)
        try:
            found = Reader(server.address)
        except FormatError:
            continue
        assert found.structure.digests == Reader(hundred).structure.digests


@pytest.mark.parametrize("etag", ['"2"', None])
@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changed(
    server: ByteServer,
    there: Reader,
    local: Reader,
    tmp_path: Path,
    etag: str | None,
    same_size: bool,
) -> None:
    memory = local.memory()
    chunks = [*memory.chunks]
    chunks[3] = Chunk(3, 10, bytes(1200 if same_size else 1201), bytes(4000), 3)
    write(tmp_path / "other.drr", replace(memory, chunks=chunks))
    server.data = (tmp_path / "other.drr").read_bytes()
    server.etag = etag
    with pytest.raises(FormatError) as caught:
        there.stream(3, "top")
    assert re.search("changed on the server; open it again", str(caught.value))
    if same_size:  # the same bytes as before, with their checksum
        assert there.stream(4, "top") == memory.chunks[4].top


def test_a_server_that_lies_about_lengths(server: ByteServer, there: Reader, local: Reader) -> None:
    expected = local.stream(3, "top")

    def shorter(reply: Reply) -> None:
        reply.body, reply.claimed = reply.body[:700], 700

    def longer(reply: Reply) -> None:
        reply.body += bytes(5000)

    def promised(reply: Reply) -> None:
        reply.claimed = len(reply.body) + 5000

    for fault in (shorter, longer, promised):
        server.faults = [fault]
        assert there.stream(3, "top") == expected, fault.__name__


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("Content-Range", "bytes 5-1204/9", "the server sends byte 5"),
        ("Content-Range", "", "without its place and size"),
        ("Content-Range", "bytes 0-9/*", "without its place and size"),
        ("Content-Encoding", "gzip", "compressed"),
    ],
)
def test_a_server_that_sends_something_else(
    server: ByteServer, there: Reader, header: str, value: str, words: str
) -> None:
    def fault(reply: Reply) -> None:
        reply.headers[header] = value

    server.always = fault
    with pytest.raises(ReadError, match=words):
        there.stream(3, "top")


def test_a_whole_file_in_the_place_of_a_range(server: ByteServer, there: Reader) -> None:
    server.ranges = False
    with pytest.raises(ReadError, match="does not support range requests; download the file"):
        there.stream(3, "top")


def test_an_empty_file_and_another_kind_of_file(short_pauses: None) -> None:
    for data, words in ((b"", "an empty file"), (b"<html>" * 50, "no HDF5 signature")):
        with serving(data) as server, pytest.raises(FormatError, match=words):
            Reader(server.address)


def test_redirects(server: ByteServer, local: Reader) -> None:
    with serving(b"") as front:
        front.always = refused_with(302, Location=server.address)
        there = Reader(front.address)
        assert there.stream(3, "top") == local.stream(3, "top")
        front.always = refused_with(302, Location=front.address)
        with pytest.raises(ReadError, match="TooManyRedirects"):
            there.stream(4, "top")


def test_pickling_and_forking(server: ByteServer, there: Reader, local: Reader) -> None:
    copy: Reader = pickle.loads(pickle.dumps(there))
    assert copy.stream(5, "top") == local.stream(5, "top")
    expected, (left, right) = local.stream(6, "bottom"), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(right, b"right" if there.stream(6, "bottom") == expected else b"wrong")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(left, 5) == b"right"
    assert there.stream(6, "bottom") == expected
    os.close(left)
    os.close(right)


SECRET = "s3cr%2Fet"


def test_secrets_stay_out_of_messages(server: ByteServer, local: Reader, cache: Path) -> None:
    plain = server.address.partition("://")[2]
    address = f"http://anna:{SECRET}@{plain}?X-Amz-Signature=0123abcd&part=1"
    reader = Reader(address)
    assert reader.path == f"http://***@{plain}?***"
    assert server.headers[-1]["Authorization"].startswith("Basic ")
    assert reader.stream(1, "top") == local.stream(1, "top")
    texts = [repr(reader.path), *(path.name for path in cache.iterdir())]
    for fault in (refused_with(403), refused_with(404), cut_after(0), slow(0.0)):
        server.always, server.ranges = fault, False
        for read in (lambda: Reader(address), lambda: reader.stream(2, "top")):
            with pytest.raises(FormatError) as caught:
                read()
            assert str(caught.value).startswith(f"http://***@{plain}?***: ")
            texts += [str(caught.value), repr(caught.value.__cause__)]
    for text in texts:
        assert not re.search("anna|s3cr|0123abcd|Signature", text), text


CHILD = """
import sys
from drrpack.formats.container import Reader
print(Reader(sys.argv[1]).classes[-1])
"""


def test_a_server_with_tls(hundred: Path, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(hundred.read_bytes(), context) as server:
        assert server.address.startswith("https://")
        with pytest.raises(ReadError, match="certificate"):  # of an authority that nobody knows
            Reader(server.address)
        trusting = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        command = [sys.executable, "-W", "error", "-c", CHILD, server.address]
        done = subprocess.run(command, env=trusting, capture_output=True, text=True, timeout=200)
    assert done.stdout == "class 99\n", done.stderr


def test_several_threads_read_from_one_reader(
    server: ByteServer, there: Reader, local: Reader
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server.faults = [cut_after(300)] * 4
    rows = np.random.default_rng(0).permutation(100)[:24].tolist()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda row: there.stream(row, "bottom"), rows))
    assert found == [local.stream(row, "bottom") for row in rows]
