"""Addresses of all other kinds, such as ``s3://`` and ``hf://``, by the file systems of fsspec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drrpack.formats.remote.connection import Failure, Found, refused

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LIMIT_SECONDS = 120.0  # for one request, with what the file system itself tries again
_VERSIONS = ("ETag", "etag", "blob_id", "generation", "mtime", "LastModified", "last_modified")
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_NETWORK = ("aiohttp", "botocore", "httpcore", "httpx", "httpx2", "requests", "urllib3")


class AnySystemConnection:
    """A file in a file system that fsspec knows; see `Connection`."""

    def __init__(self, system: AbstractFileSystem, inside: str) -> None:
        self._system, self._inside = system, inside
        # the asynchronous ones can be told how long to wait
        self._limit = {"timeout": LIMIT_SECONDS} if system.async_impl else {}

    def find(self, head_bytes: int) -> Found:
        try:
            self._system.invalidate_cache()  # what it remembers of a file may be old
            info = self._system.info(self._inside, **self._limit)
        except FileNotFoundError as error:
            raise Failure(str(error), missing=True) from error
        except Exception as error:  # each file system has exceptions of its own
            raise _failure(error) from error
        size = info.get("size")
        if info.get("type") == "directory" or not isinstance(size, int):
            raise Failure("found a folder, or a server that does not tell the size")
        version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
        head = bytearray()
        self.receive(0, min(head_bytes, size), head)
        if len(head) < min(head_bytes, size):
            raise Failure("the answer ended early", passing=True)
        return Found(size, version, bytes(head))

    def receive(self, offset: int, size: int, into: bytearray) -> None:
        if not size:
            return
        try:
            data = self._read(offset, size)
        except Exception as error:
            raise _failure(error) from error
        if len(data) > size:
            raise Failure(
                f"asked for {size} bytes, and {len(data)} came: the server does not support range "
                "requests; download the file and open that"
            )
        into += data

    def _read(self, offset: int, size: int) -> bytes:
        if self._system.async_impl:
            place = {"start": offset, "end": offset + size}
            return bytes(self._system.cat_file(self._inside, **place, **self._limit))
        # of the others, cat_file fetches megabytes beyond the end, to read ahead
        with self._system.open(self._inside, "rb", cache_type="none") as file:
            file.seek(offset)
            return bytes(file.read(size))


def _failure(error: Exception) -> Failure:
    """What an exception of a file system means."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    status = _status(error)
    if status is not None:
        return refused(status, f"({words})")
    from_network = type(error).__module__.partition(".")[0] in _NETWORK
    passing = isinstance(error, (OSError, TimeoutError)) or from_network
    return Failure(words, passing=passing and not isinstance(error, _LASTING))


def _status(error: BaseException) -> int | None:
    """The status of HTTP behind an exception, wherever its library keeps it."""
    while True:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):  # of botocore
            found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(error, "status", None) or getattr(answer, "status_code", None)
        if isinstance(found, int):
            return found
        if error.__cause__ is None:
            return None
        error = error.__cause__
