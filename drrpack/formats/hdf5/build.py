"""A `Memory` to the bytes of a ``.drr`` file, the same bytes each time with the same libhdf5."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import h5py
import numpy as np
from h5py.h5a import AttrID
from h5py.h5d import DatasetID
from h5py.h5f import FileID
from h5py.h5g import GroupID
from h5py.h5t import TypeID
from numpy.typing import NDArray

from drrpack.core.errors import OutputError
from drrpack.core.section import Section
from drrpack.formats import layout
from drrpack.formats.hdf5.elements import (
    Array,
    new_dataset,
    new_file,
    new_group,
    put_number,
    put_text,
    text_type,
)
from drrpack.formats.hdf5.image import Image, Large, Sparse
from drrpack.formats.hdf5.limits import check_memory
from drrpack.formats.layout import AnyPath, Chunk, Data, Memory, RawRecord, Stored, dump_json

# A dataset that exists already, and what it is to hold: an array, or items one after the other.
_Small: TypeAlias = tuple[DatasetID, Array]
_Many: TypeAlias = tuple[DatasetID, Sequence[Data]]
_ALL = h5py.h5s.ALL


def build_image(path: AnyPath, memory: Memory) -> Image:
    """The whole file that ``path`` is to hold; streams and raw images stay where they are.

    Raises:
        OutputError: the memory is beyond the limits of the format.
        ValueError, TypeError: a config or the metadata is not JSON.
    """
    check_memory(path, memory)
    small = Sparse()
    file = new_file(small)
    try:
        length = _put_root(file, memory.image_size)
        # all metadata first and the data behind it, as libhdf5 leaves gaps where they alternate
        sections = _put_sections(path, file, memory)
        large = [part for dataset, data in sections for part in _write(dataset, data)]
        h5py.h5f.flush(file)
        seal = h5py.h5d.open(file, b"seal").get_offset()
        # the length is a number of fixed size, so writing it down does not change it
        length.write(np.array(Image(small, large, seal).length, "<u8"))
    finally:
        file.close()
    return Image(small, large, seal)


def image_bytes(path: AnyPath, memory: Memory) -> int:
    """How long the file would be; reads neither streams nor raw images.

    Raises what `build_image` raises.
    """
    chunks = [replace(c, top=_blank(c.top), bottom=_blank(c.bottom)) for c in memory.chunks]
    raw = [replace(record, data=_blank(record.data)) for record in memory.raw]
    return build_image(path, replace(memory, chunks=chunks, raw=raw)).length


def _blank(data: Data) -> Data:
    """Of the same size, and nothing to be read."""
    return Stored(len(data), bytes)


def _write(dataset: DatasetID, data: Array | Sequence[Data]) -> list[Large]:
    """Write an array; of items write one byte, which gives all of them their place."""
    if isinstance(data, np.ndarray):
        if data.size:
            dataset.write(_ALL, _ALL, data, mtype=dataset.get_type())
        return []
    if not any(map(len, data)):
        return []
    first, place = h5py.h5s.create_simple((1,)), dataset.get_space()
    place.select_hyperslab((0,), (1,))
    dataset.write(first, place, np.zeros(1, np.uint8), mtype=dataset.get_type())
    return [Large(dataset.get_offset(), data)]


def section_digest(version: str, config: bytes, data: bytes) -> str:
    """The sha256 of a model: no part holds a zero byte where it could be taken for the next."""
    return sha256(b"\0".join([version.encode(), config, data])).hexdigest()


def _put_root(file: FileID, image_size: tuple[int, int]) -> AttrID:
    """Write the root's attributes, and return ``file_length`` to be set in the end."""
    try:
        creator = f"drrpack {version('drrpack')}"
    except PackageNotFoundError:
        creator = "drrpack"
    put_text(file, "format", layout.FORMAT)
    put_text(file, "format_version", layout.FORMAT_VERSION)
    put_text(file, "creator", creator)
    put_number(file, "image_height", image_size[0], "<u4")
    put_number(file, "image_width", image_size[1], "<u4")
    return put_number(file, "file_length", 0, "<u8")


def _put_sections(path: AnyPath, file: FileID, memory: Memory) -> list[_Small | _Many]:
    index, streams, digest = _lay_out(memory.chunks)
    names = [name.encode() for name in memory.classes]
    width = max(map(len, names))
    return [
        _put_array(file, "classes", np.array(names, f"S{width}"), text_type(width)),
        _put_array(file, "index", index),
        _put_array(file, "metadata", _bytes(_json(path, "metadata", memory.metadata))),
        *_put_model(path, file, "entropy_model", memory.entropy_model),
        *_put_model(path, file, "vqvae", memory.vqvae),
        *_put_raw(file, memory.raw),
        _put_seal(file),
        _put_items(file, "streams", streams, digest),
    ]


def _lay_out(chunks: Sequence[Chunk]) -> tuple[NDArray[np.void], list[Data], str]:
    """The index, (chunks,) of `layout.INDEX`, all streams in their order, and their digest."""
    index, digest = np.zeros(len(chunks), layout.INDEX), sha256()
    offset = 0
    for row, chunk in enumerate(chunks):
        sizes = len(chunk.top), len(chunk.bottom)
        crcs = [_crc(part, digest) for part in (chunk.top, chunk.bottom)]
        place = chunk.class_index, chunk.images, offset
        index[row] = (*place, *sizes, *crcs, chunk.codes_digest)
        offset += sum(sizes)
    streams = [part for chunk in chunks for part in (chunk.top, chunk.bottom)]
    return index, streams, digest.hexdigest()


def _lay_out_raw(records: Sequence[RawRecord]) -> tuple[NDArray[np.void], str]:
    """The index of the raw images, (records,) of `layout.RAW_INDEX`, and the digest of them all."""
    index, digest = np.zeros(len(records), layout.RAW_INDEX), sha256()
    offset = 0
    for row, record in enumerate(records):
        size, crc = len(record.data), _crc(record.data, digest)
        index[row] = (record.class_index, record.images, offset, size, crc)
        offset += size
    return index, digest.hexdigest()


def _crc(data: Data, digest: hashlib._Hash) -> int:
    """The CRC of data, which are read once for it and for a ``digest`` of all items."""
    content = bytes(data)
    digest.update(content)
    return zlib.crc32(content)


def _put_raw(file: FileID, records: Sequence[RawRecord]) -> list[_Small | _Many]:
    """Nothing at all where there are no raw images."""
    if not records:
        return []
    group = new_group(file, "raw")
    put_text(group, "version", layout.RAW_VERSION)
    index, digest = _lay_out_raw(records)
    return [
        _put_array(group, "index", index),
        _put_items(group, "data", [record.data for record in records], digest),
    ]


def _put_model(path: AnyPath, file: FileID, name: str, section: Section) -> list[_Small | _Many]:
    group = new_group(file, name)
    config = _json(path, f"the config of {name}", section.config)
    put_text(group, "version", section.version)
    put_text(group, "sha256", section_digest(section.version, config, section.data))
    parts = {"config": _bytes(config), "weights": _bytes(section.data)}
    return [(new_dataset(group, name, a.shape, a.dtype), a) for name, a in parts.items()]


def _put_seal(file: FileID) -> _Small:
    """Room for the seal; it is the one dataset without a digest of its own."""
    blank = np.zeros(layout.SEAL_BYTES, np.uint8)
    return new_dataset(file, "seal", blank.shape, blank.dtype), blank


def _put_array(group: GroupID, name: str, array: Array, stored: TypeID | None = None) -> _Small:
    dataset = new_dataset(group, name, array.shape, stored or array.dtype)
    put_text(dataset, "sha256", sha256(array.tobytes()).hexdigest())
    return dataset, array


def _put_items(group: GroupID, name: str, items: Sequence[Data], digest: str) -> _Many:
    dataset = new_dataset(group, name, (sum(map(len, items)),), np.dtype(np.uint8))
    put_text(dataset, "sha256", digest)
    return dataset, items


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _json(path: AnyPath, name: str, value: layout.Json) -> bytes:
    text = dump_json(value)
    if len(text) > layout.MAX_JSON_BYTES:
        found = f"{name} is {len(text)} bytes of JSON"
        raise OutputError(
            f"{path}: can't be written: {found}; keep it below {layout.MAX_JSON_BYTES}"
        )
    return text
