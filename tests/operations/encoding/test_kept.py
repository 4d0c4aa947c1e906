"""What an encode keeps of its work: found again by its key, and never when it is not sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drrpack.core.codec import ClassStreams
from drrpack.core.codes import Codes
from drrpack.core.errors import WriteError
from drrpack.operations.encoding.kept import (
    InFolder,
    InMemory,
    Kept,
    codes_of,
    codes_to_arrays,
    found,
    kept_beside,
    streams_of,
    streams_to_arrays,
)
from drrpack.trainers.ranks import Ranks


@pytest.fixture(params=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return InMemory() if request.param == "memory" else InFolder(tmp_path)


def codes(count: int, seed: int = 0) -> Codes:
    rng = np.random.default_rng(seed)
    return Codes.of(rng.integers(0, 512, (count, 2, 3)), rng.integers(0, 512, (count, 4, 6)))


def test_codes_and_streams_come_back(kept: Kept) -> None:
    pieces = [codes(3), codes(0), codes(2, 1)]
    kept.put("codes", 4, "key", codes_to_arrays(pieces))
    for one, again in zip(pieces, codes_of(found(kept, "codes", 4, "key")), strict=True):
        np.testing.assert_array_equal(one.top, again.top)
        np.testing.assert_array_equal(one.bottom, again.bottom)
    words = np.array([7, 2**32 - 1], np.uint32)
    streams = [ClassStreams(3, words, words[:1], 2**64 - 1), ClassStreams(1, words[:0], words, 0)]
    kept.put("streams", 4, "key", streams_to_arrays(streams))
    again = streams_of(found(kept, "streams", 4, "key"))
    assert [(s.images, s.codes_digest) for s in again] == [(3, 2**64 - 1), (1, 0)]
    assert [s.top.tolist() for s in again] == [words.tolist(), []]
    assert [s.bottom.tolist() for s in again] == [[7], words.tolist()]


def test_another_key_finds_nothing(kept: Kept) -> None:
    kept.put("codes", 0, "mine", codes_to_arrays([codes(1)]))
    assert kept.get("codes", 0, "another") is None
    assert kept.get("streams", 0, "mine") is None
    assert kept.get("codes", 1, "mine") is None
    with pytest.raises(WriteError, match="part 1 is missing"):
        found(kept, "codes", 1, "mine")


@pytest.mark.parametrize("place", [*range(0, 1100, 41), 979])
def test_a_damaged_part_is_not_taken(tmp_path: Path, place: int) -> None:
    kept, one = InFolder(tmp_path), codes(3)
    kept.put("codes", 0, "key", codes_to_arrays([one]))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[place] ^= 0x41
    path.write_bytes(data)
    again = kept.get("codes", 0, "key")
    if again is not None:  # the byte was one of those that zip does not need
        np.testing.assert_array_equal(codes_of(again)[0].bottom, one.bottom)
        np.testing.assert_array_equal(codes_of(again)[0].top, one.top)
    for cut in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        assert kept.get("codes", 0, "key") is None


def test_the_folder_goes_after_success_and_stays_after_an_error(tmp_path: Path) -> None:
    folder = tmp_path / ".mem.drr.parts"
    with pytest.raises(KeyboardInterrupt), kept_beside(folder, 2, Ranks()) as kept:
        kept.put("codes", 0, "key", codes_to_arrays([codes(1)]))
        raise KeyboardInterrupt
    with kept_beside(folder, 2, Ranks()) as kept:
        assert kept.get("codes", 0, "key") is not None
    assert not folder.exists()
    with pytest.raises(KeyboardInterrupt), kept_beside(folder, 2, Ranks()):
        raise KeyboardInterrupt
    assert not folder.exists(), "there is nothing to go on from"
    with kept_beside(folder, 1, Ranks()) as kept:
        assert not folder.exists() and not kept.lasts
