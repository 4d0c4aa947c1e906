"""A `Memory` to the bytes of a ``.drr`` file, the same bytes each time with the same libhdf5."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
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
from drrpack.formats.layout import AnyPath, Chunk, Memory, RawRecord, dump_json

_Array: TypeAlias = NDArray[np.generic]
_Data = tuple[DatasetID, _Array]  # a dataset that exists already, and what is to be written to it


def build_image(path: AnyPath, memory: Memory) -> bytes:
    """The whole file that ``path`` is to hold.

    Raises:
        OutputError: the memory is beyond the limits of the format.
        ValueError, TypeError: a config or the metadata is not JSON.
    """
    _check(path, memory)
    image = BytesIO()
    file = _new_file(image)
    try:
        length = _put_root(file, memory.image_size)
        # all metadata first and the data behind it, as libhdf5 leaves gaps where they alternate
        for dataset, array in _put_sections(path, file, memory):
            if array.size:
                dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array, mtype=dataset.get_type())
        h5py.h5f.flush(file)
        # the length is a number of fixed size, so writing it down does not change it
        length.write(np.array(image.getbuffer().nbytes, "<u8"))
        seal = h5py.h5d.open(file, b"seal").get_offset()
    finally:
        file.close()
    return _sealed(image.getvalue(), seal)


def _sealed(image: bytes, place: int) -> bytes:
    """The file with the digest of all other bytes in ``/seal``, those of no section included."""
    before, after = image[:place], image[place + layout.SEAL_BYTES :]
    return b"".join([before, sha256(before + after).digest(), after])


def section_digest(version: str, config: bytes, data: bytes) -> str:
    """The sha256 of a model: no part holds a zero byte where it could be taken for the next."""
    return sha256(b"\0".join([version.encode(), config, data])).hexdigest()


def _check(path: AnyPath, memory: Memory) -> None:
    """Refuse what a reader would refuse."""
    faults = [*_faults_of_classes(memory.classes), *_faults_of_chunks(memory)]
    faults += _faults_of_raw(memory)
    if not all(1 <= side <= layout.MAX_SIDE for side in memory.image_size):
        faults.append(f"image size {memory.image_size}: sides go from 1 to {layout.MAX_SIDE}")
    for section in (memory.vqvae, memory.entropy_model):
        if re.fullmatch("[0-9A-Za-z.+-]{1,32}", section.version) is None:
            faults.append(f"section version {section.version!r}: give one such as 1.0")
        if len(section.data) > layout.MAX_WEIGHTS_BYTES:
            faults.append(f"{len(section.data)} bytes of weights: use a smaller model")
    if faults:
        raise OutputError(f"{path}: can't be written: {faults[0]}")


def check_classes(path: AnyPath, classes: list[str]) -> None:
    """Refuse classes that no file can hold, before there is anything to write.

    Raises:
        OutputError: there are too many, or one has a name that won't do.
    """
    for fault in _faults_of_classes(classes):
        raise OutputError(f"{path}: can't be written: {fault}")


def _faults_of_classes(classes: list[str]) -> Iterable[str]:
    if not 1 <= len(classes) <= layout.MAX_CLASSES:
        yield f"{len(classes)} classes: a file holds 1 to {layout.MAX_CLASSES}"
    if len(set(classes)) != len(classes):
        yield "two classes of the same name: rename one of them"
    for name in classes:
        size = len(name.encode("utf-8", "replace"))
        has_surrogate = any("\ud800" <= letter <= "\udfff" for letter in name)
        if not 1 <= size <= layout.MAX_NAME_BYTES or "\0" in name or has_surrogate:
            yield (
                f"class name {name!r}: rename the class; a name has 1 to {layout.MAX_NAME_BYTES} "
                "bytes of UTF-8 and no NUL"
            )


def _faults_of_chunks(memory: Memory) -> Iterable[str]:
    images = sum(chunk.images for chunk in memory.chunks)
    if len(memory.chunks) > layout.MAX_CHUNKS or images > layout.MAX_IMAGES:
        yield (
            f"{len(memory.chunks)} chunks of {images} images: a file holds {layout.MAX_CHUNKS} "
            f"chunks and {layout.MAX_IMAGES} images at most; write several files"
        )
    for chunk in memory.chunks:
        if not 0 <= chunk.class_index < len(memory.classes) or chunk.images < 1:
            yield f"a chunk of {chunk.images} images of class number {chunk.class_index}"
        if not 0 <= chunk.codes_digest < 1 << 64:
            yield f"the digest {chunk.codes_digest} of codes: it has 64 bits"
        if max(len(chunk.top), len(chunk.bottom)) > layout.MAX_STREAM_BYTES:
            yield (
                f"a stream of more than {layout.MAX_STREAM_BYTES} bytes: "
                "put the images of the class into several chunks"
            )


def _faults_of_raw(memory: Memory) -> Iterable[str]:
    if len(memory.raw) > layout.MAX_CHUNKS:
        yield f"{len(memory.raw)} records of raw images: a file holds {layout.MAX_CHUNKS}"
    for record in memory.raw:
        if not 0 <= record.class_index < len(memory.classes) or record.images < 1:
            yield f"a record of {record.images} raw images of class number {record.class_index}"
        if len(record.data) > layout.MAX_STREAM_BYTES:
            yield (
                f"a record of raw images of more than {layout.MAX_STREAM_BYTES} bytes: "
                "put them into several records"
            )


def _lay_out(chunks: list[Chunk]) -> tuple[NDArray[np.void], bytes]:
    """The index, (chunks,) of `layout.INDEX`, and all streams one after the other."""
    index = np.zeros(len(chunks), layout.INDEX)
    offset = 0
    for row, chunk in enumerate(chunks):
        sizes = len(chunk.top), len(chunk.bottom)
        crcs = zlib.crc32(chunk.top), zlib.crc32(chunk.bottom)
        place = chunk.class_index, chunk.images, offset
        index[row] = (*place, *sizes, *crcs, chunk.codes_digest)
        offset += sum(sizes)
    return index, b"".join(part for chunk in chunks for part in (chunk.top, chunk.bottom))


def _lay_out_raw(records: list[RawRecord]) -> tuple[NDArray[np.void], bytes]:
    """The index of the raw images, (records,) of `layout.RAW_INDEX`, and their data."""
    index = np.zeros(len(records), layout.RAW_INDEX)
    offset = 0
    for row, record in enumerate(records):
        size = len(record.data)
        index[row] = (record.class_index, record.images, offset, size, zlib.crc32(record.data))
        offset += size
    return index, b"".join(record.data for record in records)


def _json(path: AnyPath, name: str, value: layout.Json) -> bytes:
    text = dump_json(value)
    if len(text) > layout.MAX_JSON_BYTES:
        found = f"{name} is {len(text)} bytes of JSON"
        raise OutputError(
            f"{path}: can't be written: {found}; keep it below {layout.MAX_JSON_BYTES}"
        )
    return text


# --- HDF5 ---------------------------------------------------------------------------------------
# By h5py's low-level interface: the other one puts time stamps into the root, so that no two files
# are the same, and chooses types by itself.


def _new_file(image: BytesIO) -> FileID:
    """An HDF5 file in ``image``, complete once it is closed.

    Not libhdf5's own files in memory: before version 2.0 it returned their images with a superblock
    whose checksum was wrong.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, image)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)  # closing the file closes its objects
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_meta_block_size(0)  # nothing set aside for metadata to come: 360 bytes less
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    return h5py.h5f.create(b"memory.drr", h5py.h5f.ACC_TRUNC, creation, access)


def _put_root(file: FileID, image_size: tuple[int, int]) -> AttrID:
    """Write the root's attributes, and return ``file_length`` to be set in the end."""
    try:
        creator = f"drrpack {version('drrpack')}"
    except PackageNotFoundError:
        creator = "drrpack"
    _put_text(file, "format", layout.FORMAT)
    _put_text(file, "format_version", layout.FORMAT_VERSION)
    _put_text(file, "creator", creator)
    _put_number(file, "image_height", image_size[0], "<u4")
    _put_number(file, "image_width", image_size[1], "<u4")
    return _put_number(file, "file_length", 0, "<u8")


def _put_sections(path: AnyPath, file: FileID, memory: Memory) -> list[_Data]:
    index, streams = _lay_out(memory.chunks)
    names = [name.encode() for name in memory.classes]
    width = max(map(len, names))
    return [
        _put_section(file, "classes", np.array(names, f"S{width}"), _text_type(width)),
        _put_section(file, "index", index),
        _put_section(file, "metadata", _bytes(_json(path, "metadata", memory.metadata))),
        *_put_model(path, file, "entropy_model", memory.entropy_model),
        *_put_model(path, file, "vqvae", memory.vqvae),
        *_put_raw(file, memory.raw),
        _put_seal(file),
        _put_section(file, "streams", _bytes(streams)),
    ]


def _put_raw(file: FileID, records: list[RawRecord]) -> list[_Data]:
    """Nothing at all where there are no raw images."""
    if not records:
        return []
    group = _new_group(file, "raw")
    index, data = _lay_out_raw(records)
    _put_text(group, "version", layout.RAW_VERSION)
    return [_put_section(group, "index", index), _put_section(group, "data", _bytes(data))]


def _put_seal(file: FileID) -> _Data:
    """Room for the seal; it is the one dataset without a digest of its own."""
    blank = np.zeros(layout.SEAL_BYTES, np.uint8)
    return _new_dataset(file, "seal", blank), blank


def _new_group(file: FileID, name: str) -> GroupID:
    creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    return h5py.h5g.create(file, name.encode(), gcpl=creation)


def _put_model(path: AnyPath, file: FileID, name: str, section: Section) -> list[_Data]:
    group = _new_group(file, name)
    config = _json(path, f"the config of {name}", section.config)
    _put_text(group, "version", section.version)
    _put_text(group, "sha256", section_digest(section.version, config, section.data))
    parts = {"config": _bytes(config), "weights": _bytes(section.data)}
    return [(_new_dataset(group, part, array), array) for part, array in parts.items()]


def _put_section(group: GroupID, name: str, array: _Array, stored: TypeID | None = None) -> _Data:
    dataset = _new_dataset(group, name, array, stored)
    _put_text(dataset, "sha256", sha256(array.tobytes()).hexdigest())
    return dataset, array


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _new_dataset(
    group: GroupID, name: str, array: _Array, stored: TypeID | None = None
) -> DatasetID:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_obj_track_times(False)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    stored = stored or h5py.h5t.py_create(array.dtype)
    space = h5py.h5s.create_simple(array.shape)
    return h5py.h5d.create(group, name.encode(), stored, space, creation)


def _put_text(owner: DatasetID | GroupID, name: str, text: str) -> None:
    data = text.encode()
    stored = _text_type(len(data))
    scalar = h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(owner, name.encode(), stored, scalar)
    attribute.write(np.array(data, f"S{len(data)}"), mtype=stored)


def _put_number(owner: DatasetID | GroupID, name: str, value: int, dtype: str) -> AttrID:
    array = np.array(value, dtype)
    scalar = h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(owner, name.encode(), h5py.h5t.py_create(array.dtype), scalar)
    attribute.write(array)
    return attribute


def _text_type(size: int) -> TypeID:
    text = h5py.h5t.C_S1.copy()
    text.set_size(size)
    text.set_strpad(h5py.h5t.STR_NULLPAD)
    text.set_cset(h5py.h5t.CSET_UTF8)
    return text
