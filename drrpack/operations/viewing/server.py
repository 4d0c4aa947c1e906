"""The server: HTTP on this machine alone, for what `drrpack.operations.viewing.routes` has.

A page of another site could give its own name this machine's address and read what is served here
(DNS rebinding). Such a request has that name in its Host header, and is refused.
"""

from __future__ import annotations

import socket
import socketserver
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from drrpack import __version__
from drrpack.core.errors import OptionError
from drrpack.operations.viewing.routes import TEXT, Response, respond
from drrpack.operations.viewing.session import Session

Request = socket.socket | tuple[bytes, socket.socket]  # as `socketserver` has it

ADDRESS = "127.0.0.1"
HOSTS = (ADDRESS, "localhost")  # with any port: an ssh tunnel may have another one
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    server: Server
    protocol_version = "HTTP/1.1"  # one connection for many pictures
    server_version, sys_version = f"drrpack/{__version__}", ""
    timeout: ClassVar[float] = 60.0  # seconds that an idle connection stays open

    def do_GET(self) -> None:
        self._send(self._answer())

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self.close_connection = True  # whatever the request brings along is not read
        self._send(Response(405, TEXT, b"only GET and HEAD\n"), {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def _answer(self) -> Response:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1:
            return Response(400, TEXT, b"expected one Host header\n")
        name, colon, port = hosts[0].strip().lower().partition(":")
        if name not in HOSTS or (colon and not (port.isascii() and port.isdecimal())):
            text = (
                f"found another host than {' or '.join(HOSTS)} in the address: use one of these\n"
            )
            return Response(403, TEXT, text.encode())
        return respond(self.server.session, self.path)

    def _send(self, answer: Response, more: dict[str, str] | None = None) -> None:
        keep = "private, max-age=31536000, immutable" if answer.lasting else "no-store"
        headers = {
            "Content-Type": answer.kind, "Content-Length": str(len(answer.body)),
            "Cache-Control": keep, **HEADERS, **(more or {}),
        }  # fmt: skip
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: only the command line prints."""


class Server(ThreadingHTTPServer):
    """Serves a session on `ADDRESS`; port 0 is any free one.

    Raises:
        OptionError: the port can't be used.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, session: Session, port: int) -> None:
        self.session = session
        self._connections: set[Request] = set()
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise OptionError(
                f"`port={port}`: it can't be used ({error.strerror}), expected a free port; say "
                "another one, or `port=0` for any that is free",
                option="port",
            ) from error

    def server_bind(self) -> None:
        """Bind, without looking up a name for the address, which may ask the network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def process_request(self, request: Request, client_address: object) -> None:
        """Answer in a thread of its own, and know the connection until it ends."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Request) -> None:
        """A connection has ended."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Free the port, and end connections that a browser keeps open."""
        super().server_close()
        for connection in list(self._connections):
            if isinstance(connection, socket.socket):
                with suppress(OSError):  # it has ended already
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no error; anything else is one of drrpack."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
