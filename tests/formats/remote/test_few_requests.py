"""Only what is asked for crosses the wire, in few requests: counted by the server itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from byte_server import ByteServer, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from drrpack import ReadError
from drrpack.formats.container import Reader
from drrpack.formats.remote import transfer
from drrpack.formats.remote.connection import Found
from drrpack.formats.remote.remotefile import HEAD_BYTES

pytest.importorskip("aiohttp")
CLASSES = 100


def test_opening_takes_the_head_and_the_index_of_raw_images(
    server: ByteServer, local: Reader
) -> None:
    with Reader(server.address) as there:
        assert there.classes == local.classes and there.fingerprint == local.fingerprint
        np.testing.assert_array_equal(there.index, local.index)
        np.testing.assert_array_equal(there.raw_index, local.raw_index)
    raw = local.structure.extents["raw/index"]
    assert server.asked == [(0, HEAD_BYTES), (raw.offset, raw.size)]
    assert server.sent == HEAD_BYTES + 2 * 24


def test_one_class_of_a_hundred_is_one_request(server: ByteServer, local: Reader) -> None:
    with Reader(server.address) as there:
        server.forget()
        assert list(there.streams([57])) == list(local.streams([57]))
        start = local.structure.extents["streams"].offset + 57 * 5200
        assert server.asked == [(start, 5200)] and server.sent == 5200


def test_all_classes_are_one_request_and_far_ones_two(server: ByteServer, local: Reader) -> None:
    with Reader(server.address) as there:
        server.forget()
        assert list(there.streams(range(CLASSES))) == list(local.streams(range(CLASSES)))
        assert len(server.asked) == 1 and server.sent == CLASSES * 5200
        server.forget()
        assert list(there.streams([90, 3, 5])) == list(local.streams([90, 3, 5]))
        assert sorted(size for _, size in server.asked) == [5200, 3 * 5200]
        server.forget()
        assert list(there.raw_records([0, 1])) == list(local.raw_records([0, 1]))
        assert server.sent == 6000 and len(server.asked) == 1


def test_both_models_are_one_request(server: ByteServer, local: Reader) -> None:
    with Reader(server.address) as there:
        server.forget()
        assert there.models() == local.models()
        assert len(server.asked) == 1 and server.sent < 121_000


def test_the_whole_file_is_verified(server: ByteServer, hundred: Path) -> None:
    with Reader(server.address) as there:
        there.verify()
        server.data = server.data[:-1] + bytes([server.data[-1] ^ 1])
        with pytest.raises(Exception, match="damaged"):
            there.verify()


def test_a_server_without_ranges_sends_little(hundred: Path, short_pauses: None) -> None:
    with serving(bytes(1 << 26)) as server:
        server.ranges = False
        with pytest.raises(ReadError, match="does not support range requests; download") as caught:
            Reader(server.address)
        assert f"asked for {HEAD_BYTES} bytes, and the server sends {1 << 26}" in str(caught.value)
        assert len(server.asked) == 1
    assert server.sent < 1 << 24  # what the buffers of the network hold


def test_large_ranges_are_fetched_side_by_side(
    server: ByteServer, local: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_RANGE_BYTES", 100_000)
    with Reader(server.address) as there:
        server.forget()
        assert list(there.streams(range(CLASSES))) == list(local.streams(range(CLASSES)))
        assert len(server.asked) == 6 and server.sent == CLASSES * 5200


class Bytes:
    """A connection to bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, list[tuple[int, int]]()

    def find(self, head_bytes: int) -> Found:
        return Found(len(self.data), "", self.data[:head_bytes])

    def receive(self, offset: int, size: int, into: bytearray) -> None:
        self.asked.append((offset, size))
        into += self.data[offset : offset + size]


DATA = np.random.default_rng(1).bytes(3000)
RANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 900)), max_size=8)


@settings(deadline=None, max_examples=60)
@given(RANGES, st.integers(0, 300), st.integers(100, 900))
def test_any_ranges_in_any_order(wanted: list[tuple[int, int]], gap: int, longest: int) -> None:
    connection = Bytes(DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "MAX_GAP_BYTES", gap)
        patch.setattr(transfer, "MAX_RANGE_BYTES", longest)
        found = transfer.fetch(connection, wanted)
    assert found == [DATA[offset : offset + size] for offset, size in wanted]
    needed = {n for offset, size in wanted for n in range(offset, offset + size)}
    fetched = [n for offset, size in connection.asked for n in range(offset, offset + size)]
    assert len(fetched) == len(set(fetched)), "no byte twice"
    assert needed <= set(fetched) and all(size <= longest for _, size in connection.asked)
    if gap == 0:
        assert needed == set(fetched), "and none in vain"
