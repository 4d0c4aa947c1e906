"""The file that is viewed now: opened again when another one has taken its place."""

from __future__ import annotations

import threading

from drrpack.core.errors import DrrError
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given
from drrpack.operations.progress import Report
from drrpack.operations.viewing.catalogue import Catalogue


class ChangedError(DrrError):
    """The file has changed since it was last looked at; the next look finds what it holds now."""


class Session:
    """The catalogue of a file that may change while it is viewed; threads may share it.

    Raises:
        FormatError: the file can't be read to begin with.
    """

    def __init__(self, memory: AnyPath, source: Given | None, report: Report) -> None:
        self._memory, self._source, self._report = memory, source, report
        self._lock = threading.Lock()
        self._catalogue = Catalogue(memory, source, report)

    def catalogue(self) -> Catalogue:
        """What there is to see.

        Raises:
            ChangedError: the file holds something else by now; this is told once.
            FormatError: there is no file any more, or none that can be read.
        """
        with self._lock:
            old = self._catalogue
            if not old.changed():
                return old
            new = Catalogue(self._memory, self._source, self._report)
            old.close()
            self._catalogue = new
            if new.reader.fingerprint == old.reader.fingerprint:
                return new
            raise ChangedError(
                f"{new.reader.path}: found another content than before, which is open now; numbers "
                "of classes and images may mean others: begin with the list of classes"
            )

    def close(self) -> None:
        """Stop work in the background."""
        self._catalogue.close()
