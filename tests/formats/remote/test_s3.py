"""``s3://`` by s3fs, against a server that speaks as S3 does (moto's), in a process of its own."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from drrpack import FormatError, MissingError, ReadError
from drrpack.formats.container import Reader

pytest.importorskip("moto")
pytest.importorskip("flask")
s3fs = pytest.importorskip("s3fs")

SERVER = """
import sys
from werkzeug.serving import WSGIRequestHandler, make_server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        print(code, self.command, self.path, self.headers.get("Range", "-"), flush=True)

app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3") / "requests"


@pytest.fixture(scope="module")
def endpoint(log: Path) -> Iterator[str]:
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdout=file, stderr=subprocess.PIPE, text=True
        )
        try:
            while not (port := log.read_text().partition("\n")[0]):
                assert server.poll() is None, server.stderr and server.stderr.read()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()
            if server.stderr is not None:
                server.stderr.close()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3fs.S3FileSystem]:
    """A file system with the bucket "memories"; `Reader` finds the server by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "unguessable")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = s3fs.S3FileSystem()
    if not system.exists("memories"):
        system.mkdir("memories")
    yield system


def requests(log: Path, before: int) -> list[str]:
    """What was asked for since the log was so long."""
    return [line for line in log.read_text()[before:].splitlines() if "memories/" in line]


def test_few_requests_for_a_file_in_a_bucket(
    bucket: s3fs.S3FileSystem, hundred: Path, local: Reader, log: Path, short_pauses: None
) -> None:
    bucket.pipe_file("memories/a/mem.drr", hundred.read_bytes())
    before = len(log.read_text())
    with Reader("s3://memories/a/mem.drr") as there:
        assert there.fingerprint == local.fingerprint
        opening = requests(log, before)
        assert [line.split()[1] for line in opening] == ["HEAD", "GET", "GET"], opening
        before = len(log.read_text())
        assert list(there.streams([7, 8, 60])) == list(local.streams([7, 8, 60]))
        assert len(requests(log, before)) == 2
        assert there.models() == local.models()
        there.verify()


def test_what_is_not_there_and_what_changes(
    bucket: s3fs.S3FileSystem, hundred: Path, short_pauses: None
) -> None:
    for address in ("s3://memories/none.drr", "s3://no-such-bucket/mem.drr"):
        with pytest.raises(MissingError, match=f"{address}: there is no such file"):
            Reader(address)
    bucket.pipe_file("memories/b.drr", hundred.read_bytes())
    there = Reader("s3://memories/b.drr")
    start = there.structure.extents["streams"].offset
    image = bytearray(hundred.read_bytes())
    image[start] ^= 1
    bucket.pipe_file("memories/b.drr", bytes(image))
    with pytest.raises(ReadError, match="changed on the server; open it again"):
        there.stream(0, "top")
    bucket.rm_file("memories/b.drr")
    with pytest.raises(FormatError, match=r"s3://memories/b\.drr: there is no such file"):
        there.stream(1, "top")


def test_another_process_opens_it_for_itself(
    bucket: s3fs.S3FileSystem, hundred: Path, local: Reader, short_pauses: None
) -> None:
    bucket.pipe_file("memories/c.drr", hundred.read_bytes())
    child = (
        "import pickle, sys; reader = pickle.loads(sys.stdin.buffer.read()); "
        "sys.stdout.buffer.write(reader.stream(9, 'top'))"
    )
    with Reader("s3://memories/c.drr") as there:
        done = subprocess.run(
            [sys.executable, "-c", child], input=pickle.dumps(there), capture_output=True
        )
    assert done.stdout == local.stream(9, "top"), done.stderr


def test_a_bucket_that_may_not_be_read(
    bucket: s3fs.S3FileSystem, endpoint: str, short_pauses: None
) -> None:
    check_signatures(endpoint, True)
    try:
        with pytest.raises(ReadError) as caught:
            Reader("s3://memories/secret.drr")
    finally:
        check_signatures(endpoint, False)
    assert re.search("Forbidden|403", str(caught.value))
    assert "unguessable" not in str(caught.value) and "no such file" not in str(caught.value)


def check_signatures(endpoint: str, check: bool) -> None:
    """Let moto refuse users that it does not know, or none."""
    place, body = f"{endpoint}/moto-api/reset-auth", b"0" if check else b"inf"
    request = urllib.request.Request(place, body, {"Content-Type": "text/plain"})
    urllib.request.urlopen(request).close()
