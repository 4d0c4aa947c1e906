"""A stand-in for the Hugging Face hub: the addresses that huggingface_hub asks for a data set."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

MAIN, CONVERTED = "main", "refs/convert/parquet"


def commit_of(revision: str) -> str:
    return hashlib.sha1(revision.encode()).hexdigest()


@dataclass
class Served:
    """One data set: the content of its files by revision, and its card; and what was asked for."""

    repo: str
    revisions: dict[str, dict[str, bytes]]
    card: Mapping[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def files(self, revision: str) -> dict[str, bytes] | None:
        commits = {commit_of(name): held for name, held in self.revisions.items()}
        return self.revisions.get(revision, commits.get(revision))

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request."""
        self.asked.append(path)
        listing = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/revision/([^/]+)", path)
        file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = listing or file
        if found is None or found[1] != self.repo:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        revision = unquote(found[2])
        held = self.files(revision)
        if held is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        commit = revision if len(revision) == 40 else commit_of(revision)
        if listing is not None:
            siblings = [{"rfilename": name} for name in held]
            body = {"id": self.repo, "sha": commit, "siblings": siblings, "cardData": self.card}
            return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()
        content = held.get(unquote(found[3]))
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return 200, {"X-Repo-Commit": commit, "ETag": etag}, content


@contextmanager
def serving(data: Served) -> Iterator[str]:
    """The address of a server of one data set, on this machine alone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _send(self, with_body: bool) -> None:
            status, headers, body = data.answer(self.path.split("?")[0])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def do_GET(self) -> None:
            self._send(True)

        def do_HEAD(self) -> None:
            self._send(False)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
