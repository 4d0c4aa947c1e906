"""What is written is read: against h5py, in other processes, and by the byte."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from drr_files import LARGE, SMALL, read_all, read_streams, streams_of, write_with_h5py
from hypothesis import given, settings
from hypothesis import strategies as st

from drrpack.core.errors import CorruptError, FormatError
from drrpack.core.section import Section
from drrpack.formats import container, layout
from drrpack.formats.container import Chunk, Memory, Reader, write
from drrpack.formats.files import storedfile
from drrpack.formats.hdf5 import structure
from drrpack.formats.layout import Data, Stored

# --- what is written is read ---------------------------------------------------------------------


def test_reader_returns_what_was_written(small: Path) -> None:
    assert read_all(small) == SMALL
    with Reader(small) as reader:
        assert reader.path == small
        assert reader.format_version == "1.0"
        assert reader.images_per_class.tolist() == [5, 0, 1]
        assert reader.index["images"].tolist() == [3, 1, 2]
        with pytest.raises(ValueError, match="read-only"):
            reader.index["images"] = 0


def test_h5py_alone_finds_everything_where_the_specification_says(small: Path) -> None:
    with h5py.File(small, "r") as file:
        models = {"vqvae", "entropy_model"}
        assert set(file) == {"streams", "index", "classes", "metadata", "raw", "seal"} | models
        assert file.attrs["format"] == b"drr"
        assert file.attrs["format_version"] == b"1.0"
        assert (file.attrs["image_height"], file.attrs["image_width"]) == (32, 48)
        assert file.attrs["file_length"] == small.stat().st_size
        assert [name.decode() for name in file["classes"][:]] == SMALL.classes
        assert file["metadata"][:].tobytes() == '{"source":"cifär","psnr_db":22.5}'.encode()
        streams = file["streams"][:].tobytes()
        for row, chunk in zip(file["index"][:], SMALL.chunks, strict=True):
            middle = row["offset"] + row["top_bytes"]
            assert streams[row["offset"] : middle] == chunk.top
            assert streams[middle : middle + row["bottom_bytes"]] == chunk.bottom
            assert row["codes_digest"] == chunk.codes_digest
            assert (row["top_crc"], row["bottom_crc"]) == tuple(
                map(zlib.crc32, (chunk.top, chunk.bottom))
            )
        data = file["raw/data"][:].tobytes()
        for row, record in zip(file["raw/index"][:], SMALL.raw, strict=True):
            assert data[row["offset"] :][: row["bytes"]] == record.data
            assert (row["class"], row["images"]) == (record.class_index, record.images)
            assert row["crc"] == zlib.crc32(record.data)
        assert file["raw"].attrs["version"] == b"1.0"
        for name in ("streams", "index", "classes", "metadata", "raw/index", "raw/data"):
            digest = hashlib.sha256(file[name][:].tobytes()).hexdigest()
            assert file[name].attrs["sha256"] == digest.encode()
        group = file["vqvae"]
        config, weights = group["config"][:].tobytes(), group["weights"][:].tobytes()
        assert (config, weights) == (b'{"channels":128,"stages":[1,2]}', SMALL.vqvae.data)
        joined = hashlib.sha256(b"1.0\0" + config + b"\0" + weights).hexdigest()
        assert group.attrs["sha256"] == joined.encode()
        place = file["seal"].id.get_offset()
        image = small.read_bytes()
        rest = hashlib.sha256(image[:place] + image[place + 32 :]).digest()
        assert file["seal"][:].tobytes() == image[place : place + 32] == rest


def test_storage_is_plain(small: Path) -> None:
    def check(name: str, item: Any) -> None:
        for key in item.attrs:
            assert h5py.check_vlen_dtype(item.attrs.get_id(key).dtype) is None
        if isinstance(item, h5py.Dataset):
            plist = item.id.get_create_plist()
            assert plist.get_layout() == h5py.h5d.CONTIGUOUS
            assert plist.get_nfilters() == 0

    with h5py.File(small, "r") as file:
        file.visititems(check)


def test_same_memory_gives_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.drr", SMALL)
    size = write(tmp_path / "b.drr", SMALL)
    assert (tmp_path / "a.drr").read_bytes() == (tmp_path / "b.drr").read_bytes()
    assert size == (tmp_path / "b.drr").stat().st_size


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
names = names.filter(lambda name: len(name.encode()) <= layout.MAX_NAME_BYTES)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(-1e9, 1e9)
    | st.text("aé\0"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abü"), inner),
    max_leaves=8,
)
configs = st.dictionaries(st.text("abc"), json_values, max_size=4)
sections = st.builds(Section, st.from_regex(r"[0-9]\.[0-9]", fullmatch=True), configs, st.binary())


def test_large_data_are_read_twice_to_be_written(tmp_path: Path) -> None:
    """Once for their checksums, which lie before them in the file, and once to be copied."""
    read = Counter[str]()

    def counted(name: str, data: Data) -> Stored:
        content = bytes(data)

        def now() -> bytes:
            read[name] += 1
            return content

        return Stored(len(content), now)

    chunks = [
        replace(c, top=counted(f"top {n}", c.top), bottom=counted(f"bottom {n}", c.bottom))
        for n, c in enumerate(LARGE.chunks)
    ]
    raw = [replace(r, data=counted(f"raw {n}", r.data)) for n, r in enumerate(LARGE.raw)]
    write(tmp_path / "counted.drr", replace(LARGE, chunks=chunks, raw=raw))
    assert len(read) == 2 * len(chunks) + len(raw) and {*read.values()} == {2}
    write(tmp_path / "plain.drr", LARGE)
    assert (tmp_path / "counted.drr").read_bytes() == (tmp_path / "plain.drr").read_bytes()


def test_a_file_is_read_twice_to_be_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, read, honest = write(tmp_path / "mem.drr", LARGE), list[int](), os.pread

    def counted(descriptor: int, count: int, offset: int) -> bytes:
        found = honest(descriptor, count, offset)
        read.append(len(found))
        return found

    monkeypatch.setattr(os, "pread", counted)
    with Reader(tmp_path / "mem.drr") as reader:
        opening = sum(read)
        reader.verify()
    assert 2 * 600_000 < sum(read) - opening < 2.1 * size


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    classes = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    chunk = st.builds(
        Chunk,
        st.integers(0, len(classes) - 1),
        st.integers(1, 10_000),
        st.binary(),
        st.binary(),
        st.integers(0, 2**64 - 1),
    )
    sides = st.integers(1, layout.MAX_SIDE)
    return Memory(
        (draw(sides), draw(sides)),
        classes,
        draw(st.lists(chunk, max_size=6)),
        draw(sections),
        draw(sections),
        draw(configs),
    )


@settings(max_examples=60, deadline=None)
@given(memory=memories())
def test_any_memory_survives_the_round_trip(
    memory: Memory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.drr"
    write(path, memory, overwrite=True)
    assert read_all(path) == memory


def test_byte_account_adds_up_and_the_container_is_small(tmp_path: Path) -> None:
    classes = [f"n{number:08}" for number in range(100)]
    chunks = [Chunk(number, 500, b"t" * 9000, b"b" * 36000, number) for number in range(100)]
    path = tmp_path / "hundred.drr"
    size = write(path, replace(SMALL, classes=classes, chunks=chunks))
    with Reader(path) as reader:
        account = reader.byte_account()
    assert account.pop("file") == size == path.stat().st_size
    assert sum(account.values()) == size
    assert account["payload"] == 100 * 45000
    assert account["vqvae"] == 40 + len('{"channels":128,"stages":[1,2]}')
    assert account["raw"] == 2 * 24 + sum(len(record.data) for record in SMALL.raw)
    assert account["container"] < 10_000  # names of nine bytes and all


# --- processes -----------------------------------------------------------------------------------


def in_fork(function: Callable[[], Any]) -> Any:
    """What ``function`` returns or raises in a forked child."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def run() -> None:
        try:
            theirs.send(function())
        except Exception as error:
            theirs.send(error)

    process = context.Process(target=run)
    process.start()
    answer = ours.recv() if ours.poll(200) else None
    process.join()
    return answer


OTHER = replace(SMALL, chunks=[Chunk(0, 3, b"TOP OF CAT", b"bottom of cat", 77)])


def test_a_fork_goes_on_with_the_open_file(small: Path) -> None:
    with Reader(small) as reader:
        assert in_fork(lambda: read_streams(reader)) == streams_of(SMALL)
        write(small, OTHER, overwrite=True)
        assert in_fork(lambda: (read_streams(reader), reader.models())) == (
            streams_of(SMALL), (SMALL.vqvae, SMALL.entropy_model)
        )  # fmt: skip
        small.unlink()
        assert in_fork(lambda: read_streams(reader)) == streams_of(SMALL)
        assert in_fork(reader.close) is None
        assert read_streams(reader) == streams_of(SMALL)


def test_forks_read_side_by_side(small: Path) -> None:
    """From one descriptor, while this process has libhdf5 read the same file."""
    write(small, LARGE, overwrite=True)
    expected, context = streams_of(LARGE), multiprocessing.get_context("fork")

    def run() -> None:
        assert all(read_streams(reader) == expected for _ in range(100))

    with Reader(small) as reader:
        children = [context.Process(target=run) for _ in range(3)]
        for child in children:
            child.start()
        while any(child.is_alive() for child in children):
            structure.read_structure(reader._open.current()[0])
            assert read_streams(reader) == expected
    assert [child.exitcode for child in children] == [0, 0, 0]


@pytest.mark.parametrize("taken", [True, False], ids=["by another file", "by nobody"])
def test_a_fork_that_lost_the_descriptor_opens_the_file_again(small: Path, taken: bool) -> None:
    with Reader(small) as reader:

        def read_elsewhere() -> list[bytes]:
            lost = reader._open._file.fd  # type: ignore[union-attr]
            os.close(lost)
            if taken:
                null = os.open("/dev/null", os.O_RDONLY)
                os.dup2(null, lost)
            streams = read_streams(reader)
            if taken:  # what took the number stays open
                assert os.path.sameopenfile(null, lost)
            return streams

        assert in_fork(read_elsewhere) == streams_of(SMALL)


def test_a_fork_notices_a_file_written_over_and_takes_a_copy(small: Path) -> None:
    with Reader(small) as reader:
        write_with_h5py(small)  # the same content in another layout
        assert in_fork(lambda: read_streams(reader)) == streams_of(SMALL)
        write(small.with_name("other.drr"), OTHER)
        small.write_bytes(small.with_name("other.drr").read_bytes())
        error = in_fork(lambda: reader.stream(0, "top"))
        assert isinstance(error, FormatError)
        assert "open it again" in str(error)


def test_the_opening_process_keeps_the_file_it_opened(small: Path) -> None:
    with Reader(small) as reader:
        write(small, replace(SMALL, chunks=[]), overwrite=True)
        assert read_streams(reader) == streams_of(SMALL)


def test_a_pickled_reader_carries_no_descriptor(small: Path) -> None:
    with Reader(small) as reader:
        frozen = pickle.dumps(reader)
    copy = pickle.loads(frozen)
    assert copy._open._file is None
    assert read_streams(copy) == streams_of(SMALL)
    assert copy.vqvae == SMALL.vqvae
    small.unlink()
    with pytest.raises(FormatError, match="no such file"):
        pickle.loads(frozen).stream(0, "top")


def test_a_closed_reader_says_so(small: Path) -> None:
    reader = Reader(small)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.stream(0, "top")


def test_readers_leave_no_descriptors_open(small: Path, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))

    (tmp_path / "bad").write_bytes(small.read_bytes()[:-1])
    before = descriptors()
    for _ in range(20):
        Reader(small).stream(0, "top")
        with pytest.raises(CorruptError):
            Reader(tmp_path / "bad")
    assert descriptors() <= before + 1  # the last error may still be held


def test_threads_read_through_one_reader(small: Path) -> None:
    wrong: list[int] = []
    with Reader(small) as reader:

        def run() -> None:
            wrong.extend(1 for _ in range(200) if read_streams(reader) != streams_of(SMALL))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_public_names() -> None:
    assert container.__all__ == sorted(container.__all__)
    assert all(hasattr(container, name) for name in container.__all__)
    assert storedfile.SUPERBLOCK.size == 48
