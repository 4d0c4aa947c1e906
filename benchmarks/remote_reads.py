"""What crosses the wire when a memory at an address is read: requests and bytes, each step counted.

    python benchmarks/remote_reads.py mem.drr -o remote-reads.json

A web server on this machine serves the file and counts. Each step runs twice: without the cache of
fetched parts, and again with what an earlier run left in it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from made_by import made_by

import drrpack
from drrpack.formats.container import Reader

ONE_CLASS = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        data: bytes = self.server.data
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(wanted[1]), int(wanted[2])) if wanted else (0, len(data) - 1)
        body = data[first : last + 1]
        self.server.sizes.append(len(body))
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')  # without a version, streams would not be kept
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def all_streams(address: str) -> None:
    with Reader(address) as reader:
        for _ in reader.streams(range(len(reader.index))):
            pass


STEPS: dict[str, Callable[[str], object]] = {
    "open": lambda address: Reader(address).close(),
    "stats": drrpack.stats,
    "one class, decoded": lambda address: drrpack.DRRDataset(address, classes=ONE_CLASS).codes([0]),
    "the streams of all classes": all_streams,
}


def counted(server: Any, address: str) -> dict[str, dict[str, int]]:
    found = {}
    for name, step in STEPS.items():
        server.sizes.clear()
        step(address)
        found[name] = {"requests": len(server.sizes), "bytes": sum(server.sizes)}
    return found


def measured(path: Path) -> dict[str, Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.data, server.sizes = path.read_bytes(), []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/mem.drr"
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DRRPACK_CACHE=folder, DRRPACK_CACHE_BYTES="0")
        without = counted(server, address)
        del os.environ["DRRPACK_CACHE_BYTES"]
        for step in STEPS.values():
            step(address)
        cached = counted(server, address)
    server.shutdown()
    with Reader(path) as reader:
        parts, classes = reader.byte_account(), len(reader.classes)
    return {
        **made_by(),
        "memory": {"classes": classes, "bytes": parts},
        "without the cache": without,
        "with what an earlier run left in the cache": cached,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.write_text(json.dumps(measured(given.memory), indent=1) + "\n")


if __name__ == "__main__":
    main()
