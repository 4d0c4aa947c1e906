"""What a way of fetching files offers, and how it says that it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # of HTTP: worth another try
GONE_STATUSES = (404, 410)  # there is no such file


class Failure(Exception):
    """A file, or a part of it, could not be fetched.

    Args:
        words: what happened, for people.
        passing: whether the same request may succeed a moment later.
        missing: whether there is no such file.
        wait_seconds: how long the server asks to wait before the next request.
    """

    def __init__(
        self,
        words: str,
        *,
        passing: bool = False,
        missing: bool = False,
        wait_seconds: float = 0.0,
    ) -> None:
        super().__init__(words)
        self.passing, self.missing, self.wait_seconds = passing, missing, wait_seconds


def refused(status: int, words: str, wait_seconds: float = 0.0) -> Failure:
    """The failure that a status of HTTP means."""
    passing, missing = status in PASSING_STATUSES, status in GONE_STATUSES
    text = f"the server answers with status {status} {words}".rstrip()
    return Failure(text, passing=passing, missing=missing, wait_seconds=wait_seconds)


@dataclass(frozen=True)
class Found:
    """A file as a server has it.

    Attributes:
        size: in bytes.
        version: changes with the content (an ETag or a time); empty where the server tells none.
        head: the first bytes of the file.
    """

    size: int
    version: str
    head: bytes


class Connection(Protocol):
    """A way to one file. Several threads may receive at the same time."""

    def find(self, head_bytes: int) -> Found:
        """Look the file up, and fetch its first bytes; raises Failure."""

    def receive(self, offset: int, size: int, into: bytearray) -> None:
        """One try to append ``size`` bytes from ``offset`` to ``into``.

        What came before a Failure stays in ``into``. There may be fewer bytes without one.
        """
