"""Writing and reading ``.drr`` files, as ``docs/format.md`` specifies them.

    write("mem.drr", memory)
    with Reader("mem.drr") as reader:
        top = reader.stream(0, "top")

`write` publishes a whole file at once. A `Reader` checks the structure when it opens the file and
each record when it reads it, so it returns what was written or raises an error.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import FormatError
from drrpack.formats import layout
from drrpack.formats.build import build_image, section_digest
from drrpack.formats.files.addresses import is_address
from drrpack.formats.files.places import check_output
from drrpack.formats.files.publish import publish
from drrpack.formats.files.remotefile import open_stored
from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.layout import (
    AnyPath,
    Chunk,
    Json,
    Level,
    Memory,
    RawRecord,
    Section,
    damaged,
    forbidden,
    parse_json,
)
from drrpack.formats.structure import Structure, read_structure

__all__ = ["Chunk", "Memory", "RawRecord", "Reader", "Section", "check_output", "write"]

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
    publish(path, image, _verify, overwrite=overwrite)
    return len(image)


def _verify(path: Path) -> None:
    with Reader(path) as reader:
        reader.verify()


class Reader:
    """A ``.drr`` file: its structure in memory, and everything else read when it is asked for.

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
        FormatError: no ``.drr`` file. MissingError: no file at all. ReadError: it can't be read.
        VersionError: a version that this program does not know. UnsafeError: the file breaks the
            rules of the format. CorruptError: it is damaged.
    """

    def __init__(self, path: AnyPath) -> None:
        self.path: AnyPath = path if is_address(path) else Path(path)
        file = open_stored(self.path)
        # where it is opened again: the process may go to another folder, and others start there
        self._place = self.path if isinstance(self.path, str) else Path(self.path).absolute()
        structure = read_structure(file)
        self._file: StoredFile | None = file
        self._closed = False
        self._structure = structure
        self.format_version = structure.format_version
        self.creator = structure.creator
        self.image_size = structure.image_size
        self.fingerprint = structure.fingerprint
        self.classes = self._read_classes()
        self.index = self._read_index()
        self.raw_index = self._read_raw_index()
        self.metadata: Json = parse_json(self.path, "/metadata", self._checked("metadata"))

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
        return self._opened()[1].versions.get("raw")

    def stream(self, row: int, level: Level) -> bytes:
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
        file, structure = self._opened()
        data = file.read(structure.extents[name].offset + start, size)
        found = zlib.crc32(data)
        if found != crc:
            raise damaged(self.path, f"CRC {found:08x} for {where}", f"{crc:08x}")
        return data

    def memory(self) -> Memory:
        """The whole content of the file, to be written again with changes."""
        chunks = [
            Chunk(
                int(row["class"]),
                int(row["images"]),
                self.stream(number, "top"),
                self.stream(number, "bottom"),
                int(row["codes_digest"]),
            )
            for number, row in enumerate(self.index)
        ]
        raw = [
            RawRecord(int(row["class"]), int(row["images"]), self.raw_record(number))
            for number, row in enumerate(self.raw_index)
        ]
        models = self.vqvae, self.entropy_model
        classes = list(self.classes)
        return Memory(self.image_size, classes, chunks, *models, dict(self.metadata), raw)

    @property
    def section_count(self) -> int:
        """How many parts of the file have a sha256."""
        return len(self._opened()[1].digests)

    def byte_account(self) -> dict[str, int]:
        """What the file's bytes are spent on: the parts add up to ``file``.

        ``payload`` is all streams, ``raw`` images kept as they are with their index, and
        ``container`` all that is in no other part: index, names, metadata and HDF5 itself.
        """
        structure = self._opened()[1]
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
        file, structure = self._opened()
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
            for level in layout.LEVELS:
                self.stream(row, level)
        for row in range(len(self.raw_index)):
            self.raw_record(row)

    def _check_data(self, name: str) -> None:
        """The digest of what may be too large to be read whole."""
        extent, digest = self._opened()[1].extents[name], sha256()
        self._hash(digest, extent.offset, extent.offset + extent.size)
        self._compare(name, digest.hexdigest())

    def _check_seal(self) -> None:
        """All bytes but the seal's own, those between the sections included."""
        structure, digest = self._opened()[1], sha256()
        extent = structure.extents["seal"]
        self._hash(digest, 0, extent.offset)
        self._hash(digest, extent.offset + extent.size, structure.file_bytes)
        if digest.digest() != self._read_extent("seal"):
            raise damaged(self.path, "bytes that do not fit the file's seal", "those written")

    def _hash(self, digest: hashlib._Hash, start: int, end: int) -> None:
        file = self._opened()[0]
        for place in range(start, end, _BLOCK_BYTES):
            digest.update(file.read(place, min(_BLOCK_BYTES, end - place)))

    def _read_classes(self) -> list[str]:
        width = self._opened()[1].extents["classes"].item_bytes
        names = np.frombuffer(self._checked("classes"), f"S{width}")
        try:
            classes = [bytes(name).decode("utf-8") for name in names]
        except UnicodeDecodeError as error:
            raise forbidden(self.path, "a class name that is not UTF-8", "UTF-8") from error
        if not 1 <= len(classes) <= layout.MAX_CLASSES:
            expected = f"1 to {layout.MAX_CLASSES}"
            raise forbidden(self.path, f"{len(classes)} classes", expected)
        if len(set(classes)) != len(classes) or "" in classes:
            raise forbidden(self.path, "a class name that is empty or used twice", "distinct names")
        return classes

    def _read_index(self) -> NDArray[np.void]:
        index = np.frombuffer(self._checked("index"), layout.INDEX)  # read-only
        if (index["class"] >= len(self.classes)).any():
            raise forbidden(self.path, "an index row of no class", f"below {len(self.classes)}")
        if (index["images"] == 0).any() or index["images"].sum(dtype=np.uint64) > layout.MAX_IMAGES:
            expected = f"at least one a row and {layout.MAX_IMAGES} in all"
            raise forbidden(self.path, "an impossible number of images in the index", expected)
        longest = max(int(index[f"{level}_bytes"].max(initial=0)) for level in layout.LEVELS)
        if longest > layout.MAX_STREAM_BYTES:
            expected = f"{layout.MAX_STREAM_BYTES} at most"
            raise forbidden(self.path, f"a stream of {longest} bytes", expected)
        sizes = index["top_bytes"].astype(np.int64) + index["bottom_bytes"]
        self._check_places("streams", index["offset"], sizes)
        return index

    def _read_raw_index(self) -> NDArray[np.void]:
        if self.raw_version is None:
            return np.zeros(0, layout.RAW_INDEX)
        index = np.frombuffer(self._checked("raw/index"), layout.RAW_INDEX)  # read-only
        if (index["class"] >= len(self.classes)).any() or (index["images"] == 0).any():
            expected = f"classes below {len(self.classes)} and at least one image a row"
            raise forbidden(self.path, "an impossible row in the index of raw images", expected)
        if index["images"].sum(dtype=np.uint64) > layout.MAX_IMAGES:
            raise forbidden(self.path, "too many raw images", f"{layout.MAX_IMAGES} at most")
        if int(index["bytes"].max(initial=0)) > layout.MAX_STREAM_BYTES:
            expected = f"{layout.MAX_STREAM_BYTES} at most"
            raise forbidden(self.path, "too large a record of raw images", expected)
        self._check_places("raw/data", index["offset"], index["bytes"].astype(np.int64))
        return index

    def _check_places(
        self, name: str, offsets: NDArray[np.uint64], sizes: NDArray[np.int64]
    ) -> None:
        """All records lie inside their dataset and share no byte."""
        limit = self._opened()[1].extents[name].size
        start = np.minimum(offsets, np.uint64(limit + 1)).astype(np.int64)  # no overflow
        end = start + sizes
        order = np.lexsort((end, start))
        expected = f"each in its own part of {limit} bytes"
        if (end > limit).any():
            raise forbidden(self.path, f"records of /{name} that lie outside of it", expected)
        if (start[order][1:] < end[order][:-1]).any():
            raise forbidden(self.path, f"records of /{name} that overlap", expected)

    def _model(self, name: str) -> Section:
        version = self._opened()[1].versions[name]
        config, weights = (self._read_extent(f"{name}/{part}") for part in ("config", "weights"))
        self._compare(name, section_digest(version, config, weights))
        return Section(version, parse_json(self.path, f"/{name}/config", config), weights)

    def _checked(self, name: str) -> bytes:
        data = self._read_extent(name)
        self._compare(name, sha256(data).hexdigest())
        return data

    def _compare(self, name: str, digest: str) -> None:
        expected = self._opened()[1].digests[name]
        if digest != expected:
            raise damaged(self.path, f"sha256 {digest[:12]}... for /{name}", f"{expected[:12]}...")

    def _read_extent(self, name: str) -> bytes:
        file, structure = self._opened()
        extent = structure.extents[name]
        return file.read(extent.offset, extent.size)

    # --- one descriptor a process ---------------------------------------------------------------

    def _opened(self) -> tuple[StoredFile, Structure]:
        """The file as this process opened it, and what lies where in it."""
        if self._closed:
            raise ValueError(f"{self.path}: the reader is closed")
        file, structure = self._file, self._structure
        if file is None or file.pid != os.getpid():
            file = open_stored(self._place)
            if file.identity != structure.identity:
                structure = self._recognise(file)
            self._structure, self._file = structure, file
        return file, structure

    def _recognise(self, file: StoredFile) -> Structure:
        """A file in the old one's place will do if it has the same content, as a copy has."""
        structure = read_structure(file)
        if structure.fingerprint != self.fingerprint:
            raise FormatError(
                f"{self.path}: found another file than the one that was opened, expected the same "
                "one in every process; open it again"
            )
        return structure

    def close(self) -> None:
        """Close the file; reading from it afterwards is a ValueError."""
        self._closed = True
        if self._file is not None:
            self._file.close()
        self._file = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}
