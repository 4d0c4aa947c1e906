"""The parts of a ``.drr`` file that have a checksum, as its structure and its indexes name them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from hashlib import sha256

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


def record(structure: Structure, name: str, start: int, size: int, crc: int, what: str) -> Part:
    """``size`` bytes from byte ``start`` of the dataset ``name``, which have a CRC."""
    content = f"record of {structure.digests[name]} from {start}, {size}"
    ranges = ((structure.extents[name].offset + start, size),)
    return Part(what, ranges, "CRC", f"{crc:08x}", _crc, content)


def _sha256(pieces: Sequence[bytes]) -> str:
    return sha256(pieces[0]).hexdigest()


def _crc(pieces: Sequence[bytes]) -> str:
    return f"{zlib.crc32(pieces[0]):08x}"
