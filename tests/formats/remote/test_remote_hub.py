"""``hf://`` by huggingface_hub, against a stand-in for the hub on this machine (HF_ENDPOINT)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drrpack.formats.container import Reader

pytest.importorskip("huggingface_hub")

COMMIT = "0" * 39 + "1"
CHILD = """
import hashlib, json, sys
from drrpack.core.errors import DrrError
from drrpack.formats.container import Reader
from drrpack.formats.remote import transfer
transfer.FIRST_PAUSE_SECONDS = 0.001
with Reader(sys.argv[1]) as there:
    streams = b"".join(part for pair in there.streams([3, 4, 80]) for part in pair)
try:
    Reader(sys.argv[2])
except DrrError as error:
    print(json.dumps([there.fingerprint, hashlib.sha256(streams).hexdigest(), str(error)]))
"""


class Hub(BaseHTTPRequestHandler):
    """The few answers of the hub's interface that reading one file of a data set takes."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_GET

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = self.rfile.read(length).decode()
        data: bytes = self.server.data
        self.server.log.append((self.command, self.path, self.headers.get("Range")))
        place = "/datasets/anna/memories"
        entry = {"type": "file", "oid": "2" * 40, "size": len(data), "path": "mem.drr"}
        if self.path.startswith(f"/api{place}/paths-info/"):
            self.send(200, json.dumps([entry] if "mem.drr" in asked else []).encode())
        elif self.path.startswith(f"/api{place}/tree/"):
            self.send(200, json.dumps([entry]).encode())
        elif self.path.startswith(f"/api{place}"):
            found = {"_id": "1", "id": "anna/memories", "sha": COMMIT, "private": False,
                     "downloads": 0, "likes": 0, "tags": [], "siblings": []}  # fmt: skip
            self.send(200, json.dumps(found).encode())
        elif self.path.startswith(f"{place}/resolve/") and "mem.drr" in self.path:
            self.send_file(data)
        else:
            self.send(404, b"{}", **{"X-Error-Code": "EntryNotFound"})

    def send_file(self, data: bytes) -> None:
        about = {"ETag": '"2"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted is None:
            self.send(200, data, **about)
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
        about["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self.send(206, data[first : last + 1], **about)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.server.sent += len(body)
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(hundred: Path) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.data, server.log, server.sent = hundred.read_bytes(), [], 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_of_a_data_set(hub: Any, local: Reader, tmp_path: Path) -> None:
    home = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path)}
    places = [f"hf://datasets/anna/memories/{name}" for name in ("mem.drr", "none.bin")]
    command = [sys.executable, "-c", CHILD, *places]
    environment = {**os.environ, **home, "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, (done.stderr[-2000:], hub.log)
    fingerprint, digest, words = json.loads(done.stdout)
    streams = b"".join(part for pair in local.streams([3, 4, 80]) for part in pair)
    assert fingerprint == local.fingerprint and digest == hashlib.sha256(streams).hexdigest()
    assert words == f"{places[1]}: there is no such file; check the address"
    ranges = [wanted for _, path, wanted in hub.log if "/resolve/" in path and wanted]
    assert len(ranges) == 4, hub.log  # the head, the index of raw images, and two of streams
    assert hub.sent < 100_000
