"""A web server for tests: one file in ranges, a log of requests, and faults on demand."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLOCK = 1 << 14  # bytes that are handed to the network at a time


@dataclass
class Reply:
    """One answer. A fault changes it before it is sent.

    Attributes:
        start: the place of ``body`` in the file. claimed: the Content-Length, if not the true one.
        stop: break the connection after so many bytes of the body.
        pause: seconds before each block.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    start: int = 0
    claimed: int | None = None
    stop: int | None = None
    pause: float = 0.0


Fault = Callable[[Reply], None]


@dataclass
class ByteServer:
    """What is served, and what was asked for. Each request uses up one of the ``faults``."""

    data: bytes
    etag: str | None = '"1"'
    ranges: bool = True
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)  # offset and size of each request
    headers: list[dict[str, str]] = field(default_factory=list)  # of the requests
    sent: int = 0  # bytes of bodies that the network took
    port: int = 0
    scheme: str = "http"
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/mem.drr"

    def forget(self) -> None:
        self.asked.clear()
        self.sent = 0

    def reply(self, path: str, wanted: str) -> Reply:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        assert found is not None, f"a request for all of the file: {wanted!r}"
        first, last = int(found[1]), int(found[2])
        with self.lock:
            self.asked.append((first, last - first + 1))
            fault = self.faults.pop(0) if self.faults else self.always
        reply = self._honest(first, last)
        if path.partition("?")[0] != "/mem.drr":
            reply = Reply(404, {}, b"nothing here")
        if fault is not None:
            fault(reply)
        return reply

    def _honest(self, first: int, last: int) -> Reply:
        size = len(self.data)
        headers = {} if self.etag is None else {"ETag": self.etag}
        if not self.ranges:
            return Reply(200, headers, self.data)
        if first >= size:
            return Reply(416, {"Content-Range": f"bytes */{size}"}, b"no such range")
        body = self.data[first : last + 1]
        place = f"bytes {first}-{first + len(body) - 1}/{size}"
        return Reply(206, {**headers, "Content-Range": place}, body, first)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        served: ByteServer = self.server.served
        served.headers.append(dict(self.headers))
        reply = served.reply(self.path, self.headers.get("Range", ""))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        length = len(reply.body) if reply.claimed is None else reply.claimed
        self.send_header("Content-Length", str(length))
        self.end_headers()
        body = reply.body if reply.stop is None else reply.body[: reply.stop]
        for at in range(0, len(body), BLOCK):
            time.sleep(reply.pause)
            with served.lock:  # before the client has the last byte, and looks
                served.sent += len(body[at : at + BLOCK])
            try:
                self.wfile.write(body[at : at + BLOCK])
            except OSError:  # the client has hung up
                self.close_connection = True
                return
        if len(body) != length:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(data: bytes, context: ssl.SSLContext | None = None) -> Iterator[ByteServer]:
    """A server at a free port of this machine; with TLS where there is a context for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    served = ByteServer(data, port=server.server_port, scheme="https" if context else "http")
    setattr(server, "served", served)  # noqa: B010
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- faults ---------------------------------------------------------------------------------------


def cut_after(size: int) -> Fault:
    def fault(reply: Reply) -> None:
        reply.stop = size

    return fault


def refused_with(status: int, **headers: str) -> Fault:
    def fault(reply: Reply) -> None:
        reply.status, reply.body = status, b"no"
        reply.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    return fault


def flipped(at: int) -> Fault:
    """The byte at this place of the file arrives with another bit."""

    def fault(reply: Reply) -> None:
        if reply.status == 206 and 0 <= at - reply.start < len(reply.body):
            body = bytearray(reply.body)
            body[at - reply.start] ^= 4
            reply.body = bytes(body)

    return fault


def slow(seconds: float) -> Fault:
    def fault(reply: Reply) -> None:
        reply.pause = seconds

    return fault
