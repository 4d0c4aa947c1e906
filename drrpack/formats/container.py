"""Writing and reading ``.drr`` files, as ``docs/format.md`` specifies them.

    write("mem.drr", memory)
    with Reader("mem.drr") as reader:
        top = reader.stream(0, "top")

`write` publishes a whole file at once. A `Reader` checks the structure when it opens the file and
each record when it reads it, so it returns what was written or raises an error.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import LEVELS, LevelName
from drrpack.core.section import Section
from drrpack.formats import layout
from drrpack.formats.files.places import check_output
from drrpack.formats.files.publish import publish
from drrpack.formats.hdf5.build import build_image, section_digest
from drrpack.formats.hdf5.openfile import OpenFile
from drrpack.formats.hdf5.structure import Structure
from drrpack.formats.hdf5.tables import parse_classes, parse_index, parse_raw_index
from drrpack.formats.layout import (
    AnyPath,
    Chunk,
    Json,
    Memory,
    RawRecord,
    Stored,
    damaged,
    parse_json,
)

__all__ = ["Chunk", "Memory", "RawRecord", "Reader", "check_output", "write"]

_BLOCK_BYTES = 1 << 20


def write(path: AnyPath, memory: Memory, *, overwrite: bool = False) -> int:
    """Write ``memory`` to ``path``, all of it or nothing, and return the file's size in bytes.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is not set, or it can't be written there, or
            the memory is beyond the limits of the format. Nothing is left behind.
        ValueError, TypeError: a config or the metadata is not JSON (NaN is not).
    """
    check_output(path, overwrite=overwrite)
    image = build_image(path, memory)
    publish(path, image.write, _verify, need_bytes=image.length, overwrite=overwrite)
    return image.length


def _verify(path: Path) -> None:
    with Reader(path) as reader:
        reader.verify()


class Reader:
    """A ``.drr`` file: its structure stays in memory, everything else is read on demand.

    A reader may be used by several threads, survives a fork, and can be pickled: each process
    opens the file for itself when it first reads.

    Attributes:
        path: of the file, or its address.
        format_version: of the container, such as "1.0".
        creator: the program that wrote the file.
        image_size: (height, width) in pixels.
        classes: their names; labels are positions in this list.
        index: (chunks,) of `layout.INDEX`, in the order of writing.
        raw_index: (records,) of `layout.RAW_INDEX`; empty where no raw images are kept.
        metadata: as it was written.
        fingerprint: a digest of the content, the same for copies of a file.

    Raises:
        FormatError: the file is not a ``.drr`` file. MissingError: there is no file. ReadError: it
            can't be read. VersionError: this program does not know its version. UnsafeError: it
            breaks a rule of the format. CorruptError: it is damaged.
    """

    def __init__(self, path: AnyPath) -> None:
        self._open = OpenFile(path)
        self.path = self._open.path
        structure = self.structure
        self.format_version = structure.format_version
        self.creator = structure.creator
        self.image_size = structure.image_size
        self.fingerprint = structure.fingerprint
        self.classes = self._read_classes()
        self.index = self._read_index()
        self.raw_index = self._read_raw_index()
        self.metadata: Json = parse_json(self.path, "/metadata", self._checked("metadata"))

    @property
    def structure(self) -> Structure:
        """Where each part of the file lies, with its version and digest."""
        return self._open.current()[1]

    @property
    def images_per_class(self) -> NDArray[np.int64]:
        """How many images each class has, (classes,)."""
        counts = np.zeros(len(self.classes), np.int64)
        np.add.at(counts, self.index["class"], self.index["images"])
        return counts

    @property
    def vqvae(self) -> Section:
        """The stored VQ-VAE, read from the file and checked at each use."""
        return self._model("vqvae")

    @property
    def entropy_model(self) -> Section:
        """The stored entropy model, read from the file and checked at each use."""
        return self._model("entropy_model")

    @property
    def raw_version(self) -> str | None:
        """The version of the element that holds raw images; None where there is none."""
        return self.structure.versions.get("raw")

    def stream(self, row: int, level: LevelName) -> bytes:
        """The stream of one level of the chunk in one row of the index.

        Raises:
            CorruptError: it is damaged, as its CRC shows.
        """
        chunk = self.index[row]
        start = int(chunk["offset"]) + (int(chunk["top_bytes"]) if level == "bottom" else 0)
        where = f"the {level} stream of row {row}"
        size, crc = int(chunk[f"{level}_bytes"]), int(chunk[f"{level}_crc"])
        return self._record("streams", start, size, crc, where)

    def raw_record(self, row: int) -> bytes:
        """The record of raw images in one row of ``raw_index``; `drrpack.formats.raw` unpacks it.

        Raises:
            CorruptError: it is damaged, as its CRC shows.
        """
        record = self.raw_index[row]
        place = int(record["offset"]), int(record["bytes"]), int(record["crc"])
        return self._record("raw/data", *place, f"the record of raw images in row {row}")

    def _record(self, name: str, start: int, size: int, crc: int, where: str) -> bytes:
        file, structure = self._open.current()
        data = file.read(structure.extents[name].offset + start, size)
        found = zlib.crc32(data)
        if found != crc:
            raise damaged(self.path, f"CRC {found:08x} for {where}", f"{crc:08x}")
        return data

    def memory(self) -> Memory:
        """The whole content of the file, to be written again with changes."""
        return self.stored().loaded()

    def stored(self) -> Memory:
        """The same, but streams and raw images are read when they are asked for, from this reader,
        which stays open until then."""
        models = self.vqvae, self.entropy_model
        chunks, records = enumerate(self.index), enumerate(self.raw_index)
        return Memory(
            self.image_size, list(self.classes), [self._chunk(n, row) for n, row in chunks],
            *models, dict(self.metadata), [self._raw_record(n, row) for n, row in records],
        )  # fmt: skip

    def _chunk(self, number: int, row: np.void) -> Chunk:
        top, bottom = (
            Stored(int(row[f"{level}_bytes"]), partial(self.stream, number, level))
            for level in LEVELS
        )
        return Chunk(int(row["class"]), int(row["images"]), top, bottom, int(row["codes_digest"]))

    def _raw_record(self, number: int, row: np.void) -> RawRecord:
        data = Stored(int(row["bytes"]), partial(self.raw_record, number))
        return RawRecord(int(row["class"]), int(row["images"]), data)

    @property
    def section_count(self) -> int:
        """How many parts of the file have a sha256."""
        return len(self.structure.digests)

    def byte_account(self) -> dict[str, int]:
        """The bytes of the file by part; the parts add up to ``file``.

        ``payload`` is all streams, ``raw`` is raw images with their index, and ``container`` is
        everything else: index, names, metadata and HDF5 itself.
        """
        structure = self.structure
        parts = {"payload": int(self.index["top_bytes"].sum(dtype=np.int64))}
        parts["payload"] += int(self.index["bottom_bytes"].sum(dtype=np.int64))
        for name in layout.MODELS:
            sizes = (structure.extents[f"{name}/{part}"].size for part in ("config", "weights"))
            parts[name] = sum(sizes)
        raw = (e for name, e in structure.extents.items() if name.startswith("raw/"))
        parts["raw"] = sum(extent.size for extent in raw)
        total = structure.file_bytes
        return {"file": total, **parts, "container": total - sum(parts.values())}

    def verify(self) -> None:
        """Read the whole file and check its length and all checksums.

        Raises:
            CorruptError: something is not as it was written.
        """
        self.check_sections()
        self.check_records()

    def check_sections(self) -> None:
        """Check the file's length and the sha256 of every section."""
        file, structure = self._open.current()
        if file.length() != structure.file_bytes:
            found = f"a file of {file.length()} bytes"
            raise damaged(self.path, found, f"{structure.file_bytes} bytes")
        self._read_classes()
        self._read_index()
        self._checked("metadata")
        for name in layout.MODELS:
            self._model(name)
        self._check_data("streams")
        if self.raw_version is not None:
            self._read_raw_index()
            self._check_data("raw/data")
        self._check_seal()

    def check_records(self) -> None:
        """Check the CRC of every stream and of every record of raw images."""
        for row in range(len(self.index)):
            for level in LEVELS:
                self.stream(row, level)
        for row in range(len(self.raw_index)):
            self.raw_record(row)

    def _check_data(self, name: str) -> None:
        """Check the digest of a dataset that may be too large to be read at once."""
        extent, digest = self.structure.extents[name], sha256()
        self._hash(digest, extent.offset, extent.offset + extent.size)
        self._compare(name, digest.hexdigest())

    def _check_seal(self) -> None:
        """Check the digest of all bytes except the seal, including those between the sections."""
        structure, digest = self.structure, sha256()
        extent = structure.extents["seal"]
        self._hash(digest, 0, extent.offset)
        self._hash(digest, extent.offset + extent.size, structure.file_bytes)
        if digest.digest() != self._open.read("seal"):
            raise damaged(self.path, "bytes that do not fit the file's seal", "those written")

    def _hash(self, digest: hashlib._Hash, start: int, end: int) -> None:
        file = self._open.current()[0]
        for place in range(start, end, _BLOCK_BYTES):
            digest.update(file.read(place, min(_BLOCK_BYTES, end - place)))

    def _read_classes(self) -> list[str]:
        width = self.structure.extents["classes"].item_bytes
        return parse_classes(self.path, self._checked("classes"), width)

    def _read_index(self) -> NDArray[np.void]:
        room = self.structure.extents["streams"].size
        return parse_index(self.path, self._checked("index"), len(self.classes), room)

    def _read_raw_index(self) -> NDArray[np.void]:
        if self.raw_version is None:
            return np.zeros(0, layout.RAW_INDEX)
        room = self.structure.extents["raw/data"].size
        return parse_raw_index(self.path, self._checked("raw/index"), len(self.classes), room)

    def _model(self, name: str) -> Section:
        version = self.structure.versions[name]
        config, weights = (self._open.read(f"{name}/{part}") for part in ("config", "weights"))
        self._compare(name, section_digest(version, config, weights))
        return Section(version, parse_json(self.path, f"/{name}/config", config), weights)

    def _checked(self, name: str) -> bytes:
        data = self._open.read(name)
        self._compare(name, sha256(data).hexdigest())
        return data

    def _compare(self, name: str, digest: str) -> None:
        expected = self.structure.digests[name]
        if digest != expected:
            raise damaged(self.path, f"sha256 {digest[:12]}... for /{name}", f"{expected[:12]}...")

    def close(self) -> None:
        """Close the file; reading from it afterwards is a ValueError."""
        self._open.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
