"""Small ``.drr`` files, ways to read them whole, and a second writer made of h5py alone."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from drrpack.core.codes import LEVELS
from drrpack.core.errors import DrrError
from drrpack.core.section import Section
from drrpack.formats import layout
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader

SMALL = Memory(
    image_size=(32, 48),
    classes=["cat", "Füchse", "狐"],
    chunks=[
        Chunk(0, 3, b"top of cat", b"bottom of cat", 77),
        Chunk(2, 1, b"", b"\x00\x01\x02", 0),
        Chunk(0, 2, b"more top", b"", 2**64 - 1),
    ],
    vqvae=Section("1.0", {"channels": 128, "stages": [1, 2]}, bytes(range(40))),
    entropy_model=Section("2.1", {"nested": {"x": None}}, b"weights"),
    metadata={"source": "cifär", "psnr_db": 22.5},
    raw=[RawRecord(0, 2, b"two of cat"), RawRecord(2, 1, b"\x00raw fox")],
)
LARGE = replace(SMALL, chunks=[Chunk(0, 9, bytes(300_000), b"x" * 300_000, 5)])


def read_all(path: Path, *, verify: bool = True) -> Memory:
    """Everything a file holds."""
    with Reader(path) as reader:
        found = reader.memory()
        if verify:
            reader.verify()
        return found


def read_streams(reader: Reader) -> list[bytes]:
    """Top and bottom of each chunk in turn, as `streams_of` has them."""
    rows = range(len(reader.index))
    return [reader.stream(row, level) for row in rows for level in LEVELS]


def streams_of(memory: Memory) -> list[bytes]:
    return [part for chunk in memory.chunks for part in (chunk.top, chunk.bottom)]


def outcome_of(path: Path) -> str:
    """What reading a damaged `SMALL` comes to: "error", "same" or, which must not be, "wrong"."""
    try:
        if read_all(path, verify=False) != SMALL:  # what is read unverified must be right, too
            return "wrong"
        return "same" if read_all(path) == SMALL else "wrong"
    except DrrError as error:
        assert str(path) in str(error)
        return "error"


# --- a second writer, by docs/format.md ---


def put_bytes(group: h5py.Group, name: str, data: bytes | np.ndarray[Any, Any]) -> None:
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    dataset = group.create_dataset(name, data=array)
    dataset.attrs["sha256"] = np.bytes_(hashlib.sha256(array.tobytes()).hexdigest())


def put_model(group: h5py.Group, name: str, section: Section) -> None:
    model = group.create_group(name)
    config = layout.dump_json(section.config)
    model.attrs["version"] = np.bytes_(section.version)
    joined = b"\0".join([section.version.encode(), config, section.data])
    model.attrs["sha256"] = np.bytes_(hashlib.sha256(joined).hexdigest())
    model.create_dataset("config", data=np.frombuffer(config, np.uint8))
    model.create_dataset("weights", data=np.frombuffer(section.data, np.uint8))


STREAMS = b"".join(part for chunk in SMALL.chunks for part in (chunk.top, chunk.bottom))


def rows() -> np.ndarray[Any, Any]:
    fields = ["class", "images", "offset", "top_bytes", "bottom_bytes", "top_crc", "bottom_crc"]
    wide = ("offset", "codes_digest")
    types = [(name, "<u8" if name in wide else "<u4") for name in (*fields, "codes_digest")]
    index = np.zeros(3, types)
    offset = 0
    for row, chunk in enumerate(SMALL.chunks):
        sizes, crcs = zip(
            *((len(s), zlib.crc32(s)) for s in (chunk.top, chunk.bottom)), strict=True
        )
        place = chunk.class_index, chunk.images, offset
        index[row] = (*place, *sizes, *crcs, chunk.codes_digest)
        offset += sum(sizes)
    return index


def raw_rows() -> np.ndarray[Any, Any]:
    fields = ["class", "images", "offset", "bytes", "crc"]
    index = np.zeros(2, [(name, "<u8" if name == "offset" else "<u4") for name in fields])
    offset = 0
    for row, record in enumerate(SMALL.raw):
        size = len(record.data)
        index[row] = (record.class_index, record.images, offset, size, zlib.crc32(record.data))
        offset += size
    return index


def raw_row_with(**values: int) -> np.ndarray[Any, Any]:
    index = raw_rows()
    for name, value in values.items():
        index[name.rstrip("_")][1] = value
    return index


def raw_group(**parts: Any) -> Any:
    """Makes ``/raw`` with the parts given, the others as in `SMALL`."""

    def make(file: h5py.File, name: str) -> None:
        group = file.create_group(name)
        group.attrs["version"] = np.bytes_("1.0")
        data = b"".join(record.data for record in SMALL.raw)
        for part, value in ({"index": raw_rows(), "data": data} | parts).items():
            if callable(value):
                value(group, part)
            elif value is not None:
                put_bytes(group, part, value)

    return make


def row_with(**values: int) -> np.ndarray[Any, Any]:
    index = rows()
    for name, value in values.items():
        index[name.rstrip("_")][1] = value
    return index


def put_seal(file: h5py.File, name: str) -> None:
    file.create_dataset(name, data=np.zeros(32, np.uint8))


def write_with_h5py(
    path: Path, elements: dict[str, Any] | None = None, attributes: dict[str, Any] | None = None
) -> None:
    """A second writer; an element given as a function makes itself, None leaves it out."""
    contents: dict[str, Any] = {
        "streams": STREAMS,
        "index": rows(),
        "classes": np.array([name.encode() for name in SMALL.classes]),
        "metadata": layout.dump_json(SMALL.metadata),
        "vqvae": SMALL.vqvae,
        "entropy_model": SMALL.entropy_model,
        "raw": raw_group(),
        "seal": put_seal,
    } | (elements or {})
    root: dict[str, Any] = {
        "format": np.bytes_("drr"),
        "format_version": np.bytes_("1.0"),
        "creator": np.bytes_("a test"),
        "image_height": np.uint32(32),
        "image_width": np.uint32(48),
        "file_length": np.uint64(0),
    } | (attributes or {})
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for name, value in root.items():
            if value is not None:
                file.attrs[name] = value
        for name, value in contents.items():
            if callable(value):
                value(file, name)
            elif isinstance(value, Section):
                put_model(file, name, value)
            elif value is not None:
                put_bytes(file, name, value)
    if root["file_length"] == 0:
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            file.attrs.modify("file_length", np.uint64(path.stat().st_size))
    seal(path)


def seal(path: Path) -> None:
    """Put the digest of all other bytes of a file into its ``/seal``, where it has one."""
    with h5py.File(path) as file:
        found = file.get("seal")
        place = found.id.get_offset() if isinstance(found, h5py.Dataset) else None
        if place is None or found.nbytes != 32:
            return
    image = bytearray(path.read_bytes())
    image[place : place + 32] = hashlib.sha256(image[:place] + image[place + 32 :]).digest()
    path.write_bytes(image)
