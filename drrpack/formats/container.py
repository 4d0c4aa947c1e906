"""Writing and reading ``.drr`` files, as ``docs/format.md`` specifies them.

    write("mem.drr", memory)
    with Reader("mem.drr") as reader:
        top = reader.stream(0, "top")

`write` publishes a whole file at once. A `Reader` checks the structure when it opens the file and
each record when it reads it, so it returns what was written or raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import LEVELS, LevelName
from drrpack.core.groups import groups
from drrpack.core.section import Section
from drrpack.formats import layout
from drrpack.formats.files.part import Part
from drrpack.formats.files.places import check_output
from drrpack.formats.files.publish import publish
from drrpack.formats.hdf5 import parts
from drrpack.formats.hdf5.build import build_image
from drrpack.formats.hdf5.digests import check_digests
from drrpack.formats.hdf5.image import Image
from drrpack.formats.hdf5.openfile import OpenFile
from drrpack.formats.hdf5.structure import Structure
from drrpack.formats.hdf5.tables import parse_classes, parse_index, parse_raw_index
from drrpack.formats.layout import AnyPath, Chunk, Json, Memory, RawRecord, Stored

__all__ = ["Chunk", "Memory", "RawRecord", "Reader", "check_output", "write"]

_BATCH_BYTES = 1 << 25  # of records that are held at once: eight requests of `transfer`


def write(
    path: AnyPath,
    memory: Memory | Image,
    *,
    overwrite: bool = False,
    checked: Callable[[Reader], object] | None = None,
) -> int:
    """Write ``memory``, built already or not, all of it or nothing; returns the file's bytes.

    ``checked`` is called with the whole file, read back, before it comes to its place.

    Raises:
        OutputError: ``path`` exists and ``overwrite`` is not set, or it can't be written there, or
            the memory is beyond the limits of the format. Nothing is left behind.
        ValueError, TypeError: a config or the metadata is not JSON (NaN is not).
    """
    check_output(path, overwrite=overwrite)
    image = memory if isinstance(memory, Image) else build_image(path, memory)
    check = partial(_verify, then=checked)
    publish(path, image.write, check, need_bytes=image.length, overwrite=overwrite)
    return image.length


def _verify(path: Path, then: Callable[[Reader], object] | None) -> None:
    with Reader(path) as reader:
        reader.verify()
        if then is not None:
            then(reader)


class Reader:
    """A ``.drr`` file: its structure stays in memory, everything else is read on demand.

    A reader may be used by several threads, survives a fork, and can be pickled: who unpickles it
    opens the file again.

    Attributes:
        path: of the file, or its address without a password and without a query.
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
        self.classes, self.index, self.raw_index, self.metadata = self._read_tables()

    @property
    def structure(self) -> Structure:
        """Where each part of the file lies, with its version and digest."""
        return self._open.current()[1]

    @cached_property
    def images_per_class(self) -> NDArray[np.int64]:
        """How many images each class has, (classes,); it can't be written to."""
        counts = np.zeros(len(self.classes), np.int64)
        np.add.at(counts, self.index["class"], self.index["images"])
        counts.flags.writeable = False
        return counts

    @property
    def vqvae(self) -> Section:
        """The stored VQ-VAE, read from the file and checked at each use."""
        return next(self._models(["vqvae"]))

    @property
    def entropy_model(self) -> Section:
        """The stored entropy model, read from the file and checked at each use."""
        return next(self._models(["entropy_model"]))

    @property
    def raw_version(self) -> str | None:
        """The version of the element that holds raw images; None where there is none."""
        return self.structure.versions.get("raw")

    def stream(self, row: int, level: LevelName) -> bytes:
        """The stream of one level of the chunk in one row of the index.

        Raises:
            CorruptError: it is damaged, as its CRC shows.
        """
        return next(self._each([self._stream_part(row, level)]))[0]

    def streams(self, rows: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
        """Top and bottom stream of each row, which are fetched together and checked one by one."""
        wanted = [self._stream_part(row, level) for row in rows for level in LEVELS]
        data = (pieces[0] for pieces in self._each(wanted))
        yield from zip(data, data, strict=True)

    def _stream_part(self, row: int, level: LevelName) -> Part:
        return parts.stream(self.structure, self.index[row], row, level)

    def raw_record(self, row: int) -> bytes:
        """The record of raw images in one row of ``raw_index``; `drrpack.formats.raw` unpacks it.

        Raises:
            CorruptError: it is damaged, as its CRC shows.
        """
        return next(self.raw_records([row]))

    def raw_records(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Several such records, which are fetched together and checked one by one."""
        wanted = [parts.raw_record(self.structure, self.raw_index[row], row) for row in rows]
        yield from (pieces[0] for pieces in self._each(wanted))

    def _each(self, wanted: Sequence[Part]) -> Iterator[list[bytes]]:
        """The pieces of each part; raises CorruptError at the first that is not as written."""
        found = self._open.current()[0].read_parts(wanted)
        for part, pieces in zip(wanted, found, strict=True):
            checksum = part.checksum(pieces)
            if checksum != part.expected:
                raise part.damage(self.path, checksum)
            yield pieces

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
        file, structure = self._open.anew()
        if file.length() != structure.file_bytes:
            found = f"a file of {file.length()} bytes"
            raise layout.damaged(self.path, found, f"{structure.file_bytes} bytes")
        self._read_tables()
        self.models()
        check_digests(file, structure)

    def check_records(self) -> None:
        """Check the CRC of every stream and of every record of raw images, some at a time."""
        self._open.anew()
        sizes = self.index["top_bytes"].astype(np.int64) + self.index["bottom_bytes"]
        for rows in groups(sizes.tolist(), _BATCH_BYTES):
            for _ in self.streams(rows):
                pass
        for rows in groups(self.raw_index["bytes"].tolist(), _BATCH_BYTES):
            for _ in self.raw_records(rows):
                pass

    def _read_tables(self) -> tuple[list[str], NDArray[np.void], NDArray[np.void], Json]:
        """Classes, index, index of raw images and metadata, fetched together."""
        extents = self.structure.extents
        names = ["classes", "index", "metadata"]
        names += [] if self.raw_version is None else ["raw/index"]
        pieces = self._each([parts.section(self.structure, name) for name in names])
        text, rows, notes, *raw_rows = (piece[0] for piece in pieces)
        classes = parse_classes(self.path, text, extents["classes"].item_bytes)
        index = parse_index(self.path, rows, len(classes), extents["streams"].size)
        raw_index = np.zeros(0, layout.RAW_INDEX)
        for data in raw_rows:
            raw_index = parse_raw_index(self.path, data, len(classes), extents["raw/data"].size)
        return classes, index, raw_index, layout.parse_json(self.path, "/metadata", notes)

    def models(self) -> tuple[Section, Section]:
        """VQ-VAE and entropy model, which are fetched together and checked."""
        vqvae, entropy_model = self._models(layout.MODELS)
        return vqvae, entropy_model

    def _models(self, names: Sequence[str]) -> Iterator[Section]:
        structure = self.structure
        wanted = [parts.model(structure, name) for name in names]
        for name, (config, weights) in zip(names, self._each(wanted), strict=True):
            config_json = layout.parse_json(self.path, f"/{name}/config", config)
            yield Section(structure.versions[name], config_json, weights)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._open.closed

    def close(self) -> None:
        """Close the file; reading from it afterwards is a ValueError."""
        self._open.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
