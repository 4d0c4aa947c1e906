"""``http://`` and ``https://``: ranges by the session that fsspec keeps for such addresses.

fsspec's own reads keep nothing of an answer that breaks off, and take a whole file from a server
that does not know ranges. So the requests are made here, with fsspec's session and settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from drrpack.formats.remote.connection import Failure, Found, refused

if TYPE_CHECKING:
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

CONNECT_SECONDS = 20.0
SILENCE_SECONDS = 30.0  # without a byte
SLOWEST_BYTES = 10_000  # a second; a request that is slower on the whole is broken off
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_EMPTY = re.compile(r"bytes \*/0")


@dataclass
class _Answer:
    """What the head of an answer says; filled in before any byte of the file is read."""

    size: int = 0
    version: str = ""


class HttpConnection:
    """A file on a web server; see `Connection`."""

    def __init__(self, system: HTTPFileSystem, url: str) -> None:
        self._system, self._url = system, url
        self._size: int | None = None

    def find(self, head_bytes: int) -> Found:
        head, answer = bytearray(), _Answer()
        self._size = None
        self._request(0, head_bytes, head, answer)
        if len(head) < min(head_bytes, answer.size):
            raise Failure("the answer ended early", passing=True)
        self._size = answer.size
        return Found(answer.size, answer.version, bytes(head))

    def receive(self, offset: int, size: int, into: bytearray) -> None:
        self._request(offset, size, into, _Answer())

    def _request(self, offset: int, size: int, into: bytearray, answer: _Answer) -> None:
        import aiohttp
        from fsspec.asyn import sync

        try:
            sync(self._system.loop, self._get, offset, size, into, answer)
        except (aiohttp.InvalidURL, aiohttp.TooManyRedirects) as error:
            raise Failure(f"{type(error).__name__}: {error}") from error
        except aiohttp.ClientSSLError as error:
            raise Failure(f"the server's certificate or encryption fails: {error}") from error
        except aiohttp.ClientConnectorError as error:
            raise Failure(str(error), passing=self._size is not None) from error
        except TimeoutError as error:
            words = str(error) or "the request took too long"
            raise Failure(f"the server is too slow: {words}", passing=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Failure(str(error) or type(error).__name__, passing=True) from error

    async def _get(self, offset: int, size: int, into: bytearray, answer: _Answer) -> None:
        session = await self._system.set_session()
        options = self._options(offset, size)
        async with session.get(self._system.encode_url(self._url), **options) as response:
            try:
                self._check(response, offset, size, answer)
                missing = size if response.status == 206 else 0  # an empty file has no range
                while missing > 0 and (data := await response.content.readany()):
                    into += data[:missing]
                    missing -= len(data)
            except Failure:
                response.close()  # whatever else the server would send is not wanted
                raise

    def _options(self, offset: int, size: int) -> dict[str, object]:
        """Arguments of a request: those that the user has set in fsspec, and ours."""
        import aiohttp

        options = dict(self._system.kwargs)
        given = options.pop("headers", None) or {}
        wanted = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
        limit = aiohttp.ClientTimeout(
            total=CONNECT_SECONDS + SILENCE_SECONDS + size / SLOWEST_BYTES,
            sock_connect=CONNECT_SECONDS,
            sock_read=SILENCE_SECONDS,
        )
        return {"timeout": limit, **options, "headers": {**given, **wanted}}

    def _check(
        self, response: aiohttp.ClientResponse, offset: int, size: int, answer: _Answer
    ) -> None:
        """Raise Failure unless the answer is the range that was asked for; fill in ``answer``."""
        content_range = response.headers.get("Content-Range", "")
        if response.status == 416 and _EMPTY.fullmatch(content_range):
            return
        if response.status == 200:
            raise _no_ranges(response, size)
        if response.status != 206:
            raise refused(response.status, _phrase(response), _wait_seconds(response))
        found = _RANGE.fullmatch(content_range)
        if found is None:
            words = f"a part of the file without its place and size ({content_range!r})"
            raise Failure(f"the server sends {words}; download the file and open that")
        if int(found[1]) != offset:
            raise Failure(f"asked for byte {offset}, and the server sends byte {found[1]}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Failure("the server sends the file compressed; download it and open that")
        answer.size = int(found[3])
        answer.version = _version(response)
        if self._size is not None and answer.size != self._size:
            raise Failure(
                f"found a file of {answer.size} bytes where one of {self._size} was opened: the "
                "file has changed on the server; open it again"
            )


def _no_ranges(response: aiohttp.ClientResponse, size: int) -> Failure:
    whole = response.headers.get("Content-Length", "all")
    return Failure(
        f"asked for {size} bytes, and the server sends {whole}: it does not support range "
        "requests; download the file and open that"
    )


def _phrase(response: aiohttp.ClientResponse) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return ""


def _wait_seconds(response: aiohttp.ClientResponse) -> float:
    """What the server asks for in seconds; it may also name a date, which is not read."""
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"\d{1,6}", given) else 0.0


def _version(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
