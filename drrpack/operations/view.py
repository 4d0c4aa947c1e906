"""Browse a ``.drr`` file on a local page: the work of ``drrpack view``."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from drrpack.core.errors import OptionError
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.source import Given
from drrpack.operations.preparing import at_least, pictures
from drrpack.operations.progress import Report, heard
from drrpack.operations.viewing.server import ADDRESS, Server
from drrpack.operations.viewing.session import Session

LAST_PORT = 65_535


class View:
    """A page that is served until it is closed; as a context manager it closes itself.

    Attributes:
        address: of the page, such as ``http://127.0.0.1:8765/``.
    """

    def __init__(self, session: Session, port: int) -> None:
        self._session = session
        self._server = Server(session, port)
        self.address = f"http://{ADDRESS}:{self._server.server_port}/"
        self._ended = threading.Event()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self) -> None:
        """Return when the page is closed by another thread; Ctrl-C ends the wait as well."""
        self._ended.wait()

    def close(self) -> None:
        """Serve no more, and free the port; a second call does nothing."""
        if not self._ended.is_set():
            self._ended.set()
            self._server.shutdown()
            self._server.server_close()
            self._session.close()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def view(
    memory: AnyPath,
    *,
    source: Given | None = None,
    class_names: Sequence[str] | None = None,
    port: int = 8765,
    report: Report | None = None,
) -> View:
    """Serve a page on which a ``.drr`` file can be browsed, to this machine alone.

    The page shows classes, reconstructions, codes, the nearest images by codes, and where bytes go.
    Images are decoded when they are looked at. The call returns at once; serving goes on in threads
    until the `View` is closed or the process ends.

    Args:
        memory: the path or the address of the file. A file that changes is opened again.
        source: the folder that holds the original images, or the dataset that was encoded, with
            ``class_names`` if it does not have the file's names. It is compared with the file in
            the background, and ``report`` told how that ended.
        port: the port to serve on, 0 for any that is free.

    Raises:
        OptionError: the port can't be used.
        FormatError: the file can't be read.
    """
    at_least(0, port=port)
    if port > LAST_PORT:
        raise OptionError(f"`port={port}`: say {LAST_PORT} or less", option="port")
    session = Session(memory, pictures(source, class_names), heard(report))
    try:
        return View(session, port)
    except OptionError:
        session.close()
        raise
