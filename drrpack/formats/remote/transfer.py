"""Fetch ranges of a file: few requests, side by side, and each tried again where it breaks off."""

from __future__ import annotations

import random
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from drrpack.formats.remote.connection import Connection, Failure

TRIES = 5  # of one request
FIRST_PAUSE_SECONDS = 0.5  # before the second try; each pause is twice as long as the one before
LONGEST_PAUSE_SECONDS = 20.0
LAST_TRY_SECONDS = 180.0  # no try starts later than this after the first
MAX_GAP_BYTES = 1 << 16  # to fetch so many bytes in vain is faster than one more request
MAX_RANGE_BYTES = 1 << 22  # longer ranges are divided, and their parts fetched side by side
PARALLEL = 8  # requests at a time

Range = tuple[int, int]  # offset and size in bytes
Result = TypeVar("Result")


def fetch(connection: Connection, wanted: Sequence[Range]) -> list[bytes]:
    """The bytes of each range, in the order of ``wanted``; raises Failure."""
    spans = merged(wanted)
    requests = [piece for span in spans for piece in _divided(*span)]
    data = dict(zip(requests, _each(connection, requests), strict=True))
    whole = [b"".join(data[piece] for piece in _divided(*span)) for span in spans]
    starts = [start for start, _ in spans]
    return [_cut(starts, whole, offset, size) for offset, size in wanted]


def merged(wanted: Sequence[Range]) -> list[Range]:
    """Ranges that cover all of ``wanted``, in order; small gaps between them are covered, too."""
    spans: list[Range] = []
    for offset, size in sorted(one for one in wanted if one[1]):
        start, end = spans[-1][0] if spans else 0, sum(spans[-1]) if spans else -1
        if spans and offset <= end + MAX_GAP_BYTES:
            spans[-1] = (start, max(end, offset + size) - start)
        else:
            spans.append((offset, size))
    return spans


def _divided(offset: int, size: int) -> list[Range]:
    """Parts of equal size, none of more than MAX_RANGE_BYTES."""
    each = -(-size // -(-size // MAX_RANGE_BYTES))
    return [(at, min(each, offset + size - at)) for at in range(offset, offset + size, each)]


def _cut(starts: Sequence[int], whole: Sequence[bytes], offset: int, size: int) -> bytes:
    """One range, from the last of the spans, which are in order, that does not start behind it."""
    if size == 0:  # no span may cover it
        return b""
    span = bisect_right(starts, offset) - 1
    inside = offset - starts[span]
    return whole[span][inside : inside + size]


def _each(connection: Connection, requests: Sequence[Range]) -> list[bytes]:
    if len(requests) < 2:
        return [_whole(connection, *one) for one in requests]
    with ThreadPoolExecutor(min(PARALLEL, len(requests)), "drrpack-fetch") as threads:
        try:
            return list(threads.map(lambda one: _whole(connection, *one), requests))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _whole(connection: Connection, offset: int, size: int) -> bytes:
    """One range; after a failure the next try goes on from the byte where the last one ended."""
    got = bytearray()

    def attempt() -> bytes:
        connection.receive(offset + len(got), size - len(got), got)
        if len(got) < size:
            raise Failure("the answer ended early", passing=True)
        return bytes(got)

    try:
        return tried(attempt)
    except Failure as failure:
        received = f"received {len(got)} of {size} bytes from byte {offset}"
        raise Failure(f"{received}: {failure}", missing=failure.missing) from failure


def tried(attempt: Callable[[], Result]) -> Result:
    """The result of the first try that succeeds; raises the Failure of the last one."""
    start = time.monotonic()
    for number in range(1, TRIES + 1):
        try:
            return attempt()
        except Failure as failure:
            pause = max(FIRST_PAUSE_SECONDS * 2 ** (number - 1), failure.wait_seconds)
            late = time.monotonic() - start + pause > LAST_TRY_SECONDS
            if not failure.passing:
                raise
            if number == TRIES or late or failure.wait_seconds > LONGEST_PAUSE_SECONDS:
                raise Failure(f"{failure} ({number} tries)") from failure
        time.sleep(pause * random.uniform(0.75, 1.25))  # not all clients at the same moment
    raise AssertionError("the last try returns or raises")
