"""Digests of a whole file, in one pass over it."""

from __future__ import annotations

import hashlib
from hashlib import sha256

from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.hdf5 import parts
from drrpack.formats.hdf5.structure import Structure
from drrpack.formats.layout import damaged

_BLOCK_BYTES = 1 << 20
_LARGE = ("streams", "raw/data")  # datasets that may be too large for the memory


def check_digests(file: StoredFile, structure: Structure) -> None:
    """Check the seal, which is a digest of all bytes but its own, and the digests of datasets that
    may be large.

    Raises:
        CorruptError: something is not as it was written.
    """
    extents, whole, place = structure.extents, sha256(), 0
    large = {name: sha256() for name in _LARGE if name in extents}
    for name in sorted(("seal", *large), key=lambda name: extents[name].offset):
        start, end = extents[name].offset, extents[name].offset + extents[name].size
        if start < end:  # an empty one may be nowhere
            _hash(file, place, start, whole)
            if name in large:
                _hash(file, start, end, whole, large[name])
            place = end
    _hash(file, place, structure.file_bytes, whole)
    for name, digest in large.items():
        part = parts.section(structure, name)
        if digest.hexdigest() != part.expected:
            raise part.damage(file.path, digest.hexdigest())
    seal = extents["seal"]
    if whole.digest() != file.read(seal.offset, seal.size):
        raise damaged(file.path, "bytes that do not fit the file's seal", "those written")


def _hash(file: StoredFile, start: int, end: int, *digests: hashlib._Hash) -> None:
    for place in range(start, end, _BLOCK_BYTES):
        block = file.read(place, min(_BLOCK_BYTES, end - place))
        for digest in digests:
            digest.update(block)
