"""The parts of a ``.drr`` file that have a checksum, as its structure and its indexes name them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from drrpack.core.codes import LevelName
from drrpack.formats.files.part import Part
from drrpack.formats.hdf5.build import section_digest
from drrpack.formats.hdf5.structure import Structure


def section(structure: Structure, name: str) -> Part:
    """A dataset that has a sha256 of its own."""
    extent, digest = structure.extents[name], structure.digests[name]
    return Part(f"/{name}", ((extent.offset, extent.size),), "sha256", digest, _sha256, "section")


def model(structure: Structure, name: str) -> Part:
    """The config and the weights of a model, which have one sha256."""
    version = structure.versions[name]
    extents = [structure.extents[f"{name}/{part}"] for part in ("config", "weights")]

    def checksum(pieces: Sequence[bytes]) -> str:
        config, weights = pieces
        return section_digest(version, config, weights)

    ranges = tuple((extent.offset, extent.size) for extent in extents)
    return Part(f"/{name}", ranges, "sha256", structure.digests[name], checksum, "model")


def stream(structure: Structure, entry: np.void, row: int, level: LevelName) -> Part:
    """One level of the chunk that has ``entry`` in ``row`` of the index."""
    start = int(entry["offset"]) + (int(entry["top_bytes"]) if level == "bottom" else 0)
    size, crc = int(entry[f"{level}_bytes"]), int(entry[f"{level}_crc"])
    return _record(structure, "streams", start, size, crc, f"the {level} stream of row {row}")


def raw_record(structure: Structure, entry: np.void, row: int) -> Part:
    """The record that has ``entry`` in ``row`` of the index of raw images."""
    start, size, crc = (int(entry[name]) for name in ("offset", "bytes", "crc"))
    what = f"the record of raw images in row {row}"
    return _record(structure, "raw/data", start, size, crc, what)


def _record(structure: Structure, name: str, start: int, size: int, crc: int, what: str) -> Part:
    """``size`` bytes from byte ``start`` of the dataset ``name``, which have a CRC."""
    content = f"record of {structure.digests[name]} from {start}, {size}"
    ranges = ((structure.extents[name].offset + start, size),)
    return Part(what, ranges, "CRC", f"{crc:08x}", _crc, content)


def _sha256(pieces: Sequence[bytes]) -> str:
    return sha256(pieces[0]).hexdigest()


def _crc(pieces: Sequence[bytes]) -> str:
    return f"{zlib.crc32(pieces[0]):08x}"
