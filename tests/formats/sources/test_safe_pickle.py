"""Pickles that ask for more than they have: refused before anything is made of them."""

from __future__ import annotations

import pickle
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from drrpack.formats.sources import safe_pickle
from drrpack.formats.sources.safe_pickle import StoredArray

START = b"\x80\x02"


def encoded_again_and_again(letters: int, times: int) -> bytes:
    """``_codecs.encode`` of one string, whose copies are kept in a list."""
    text = b"X" + struct.pack("<I", letters) + b"x" * letters + b"q\x01"
    call = b"c_codecs\nencode\nq\x00" + text + b"X\x06\x00\x00\x00latin1\x86q\x02"
    return START + b"](" + call + b"h\x00h\x02R" * times + b"e."


BOMBS: dict[str, tuple[bytes, str]] = {
    "memo": (START + b"Nr\xff\xff\xff\x03.", "entry 67108863 of the memo"),
    "memo in text": (b"Np30000000\n.", "entry 30000000 of the memo"),
    "copies": (encoded_again_and_again(100_000, 500), "again and again"),
    "bytes that are not there": (START + b"B\xff\xff\xff\x3f" + b"x.", "expected 1073741823"),
    "more of them": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.", "expected 10995116"),
    "integer": (START + b"\x8b" + struct.pack("<I", 1 << 20) + b"\1" * (1 << 20) + b".", "LONG4"),
    "integer in text": (b"I" + b"9" * 40 + b"\n.", "more than 32 bits"),
    "objects": (START + b"](" + b"}" * 20_000 + b"e.", "more than 20000 operations"),
    "the stack doubled": (START + b"N" + b"2" * 1000 + b".", "DUP"),
    "another's objects": (START + b"ccollections\nOrderedDict\n)R.", "not run"),
    "by another way": (START + b"(cos\nsystem\no.", "OBJ"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "OPERATIONS_MAX", 20_000)
    content, words = BOMBS[name]
    tracemalloc.start()
    try:
        with pytest.raises((pickle.UnpicklingError, ValueError), match=words):
            safe_pickle.loads(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(content) + 1_000_000


def kinds() -> list[Callable[[object], bytes]]:
    return [lambda x, p=p: pickle.dumps(x, protocol=p) for p in range(2, pickle.HIGHEST_PROTOCOL)]


@pytest.mark.parametrize("write", kinds())
def test_what_numpy_and_python_write(write: Callable[[object], bytes]) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = {b"data": array, "labels": [0, 1, 70_000, -5], b"names": [b"a", b"b", b"a"] * 300}
    found = safe_pickle.loads(write(content))
    stored = found.pop(b"data")
    assert isinstance(stored, StoredArray) and stored.shape == (3, 4)
    assert stored.bytes_of("u1") == array.tobytes() and stored.bytes_of("i4") is None
    del content[b"data"]
    assert found == content


@pytest.mark.parametrize("array_state", [b"(K\x01K\x02t", b"N", b"]", b"}", b"(NNNNNt"])
def test_an_array_that_is_none(array_state: bytes) -> None:
    """Its parts are read with doubt."""
    content = START + b"cnumpy.core.multiarray\n_reconstruct\n)R" + array_state + b"b."
    stored = safe_pickle.loads(content)
    assert stored.shape is None and stored.bytes_of("u1") is None
