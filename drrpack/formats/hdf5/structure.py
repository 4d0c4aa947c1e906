"""Where each part of a ``.drr`` file lies. libhdf5 reads the structure and not one byte of data.

What a file says about itself is checked before it is used: only hard links are followed, only
contiguous datasets of known types are accepted, and each must lie inside the file, apart from the
others. So the data can be read by position from the same descriptor, and no other file is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias, TypeVar

import h5py
import numpy as np
from h5py.h5a import AttrID
from h5py.h5d import DatasetID
from h5py.h5g import GroupID
from h5py.h5t import TypeID

from drrpack.core.errors import DrrError, VersionError
from drrpack.formats import layout
from drrpack.formats.files.storedfile import SUPERBLOCK, StoredFile
from drrpack.formats.layout import AnyPath, damaged, forbidden, malformed

_MAX_BYTES = {
    "index": layout.MAX_CHUNKS * layout.INDEX.itemsize,
    "classes": layout.MAX_CLASSES * layout.MAX_NAME_BYTES,
    "metadata": layout.MAX_JSON_BYTES,
    "config": layout.MAX_JSON_BYTES,
    "weights": layout.MAX_WEIGHTS_BYTES,
    "raw/index": layout.MAX_CHUNKS * layout.RAW_INDEX.itemsize,
}
_ROWS = {"index": layout.INDEX, "raw/index": layout.RAW_INDEX}
_Owner: TypeAlias = DatasetID | GroupID  # of an attribute
_Element = TypeVar("_Element", DatasetID, GroupID)


@dataclass(frozen=True)
class Extent:
    """A dataset's bytes: ``count`` items of ``item_bytes`` from byte ``offset`` of the file."""

    offset: int
    count: int
    item_bytes: int

    @property
    def size(self) -> int:
        return self.count * self.item_bytes


@dataclass(frozen=True)
class Structure:
    """Root attributes, extents by dataset path, versions and digests by element."""

    identity: tuple[object, ...]  # of the file that was parsed
    file_bytes: int
    format_version: str
    creator: str
    image_size: tuple[int, int]  # (height, width)
    extents: dict[str, Extent]
    versions: dict[str, str]
    digests: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """A digest of the content, wherever in the file it lies."""
        parts = [str(self.image_size), *sorted(map(repr, self.digests.items()))]
        return sha256("\n".join(parts).encode()).hexdigest()


def read_structure(file: StoredFile) -> Structure:
    """Check all that a file says about itself.

    Raises:
        FormatError: no ``.drr`` file. VersionError: of an unknown version. UnsafeError: links,
            storage or types that the format forbids. CorruptError: libhdf5 can't parse it.
    """
    file.check_superblock()
    try:
        with file.stream() as raw, h5py.File(raw, "r") as root:
            return _Parser(file).root(root.id)
    except DrrError:
        raise
    except Exception as error:  # h5py maps libhdf5's failures to nearly every built-in exception
        found = f"a structure that libhdf5 can't read ({error})"
        raise damaged(file.path, found, "intact HDF5 metadata") from error


class _Parser:
    def __init__(self, file: StoredFile) -> None:
        self.path: AnyPath = file.path
        self.identity = file.identity
        self.file_bytes = file.size
        self.objects: set[int] = set()  # addresses of those that have been opened
        self.extents: dict[str, Extent] = {}
        self.versions: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def root(self, root: GroupID) -> Structure:
        self.objects.add(h5py.h5o.get_info(root).addr)
        version = self._check_format(root)
        length = self._number(root, "file_length", "<u8")
        if length != self.file_bytes:
            raise damaged(self.path, f"a file of {self.file_bytes} bytes", f"{length} bytes")
        sides = self._number(root, "image_height", "<u4"), self._number(root, "image_width", "<u4")
        if not all(1 <= side <= layout.MAX_SIDE for side in sides):
            raise forbidden(self.path, f"image size {sides}", f"sides of 1 to {layout.MAX_SIDE}")
        for name in ("streams", "index", "classes", "metadata"):
            self._section(root, name, name)
        self._seal(root)
        for model in layout.MODELS:
            self._model(root, model)
        if root.links.exists(b"raw"):  # the one element that may be missing
            self._raw(root)
        self._check_apart()
        creator = self._text(root, "creator")
        return Structure(
            identity=self.identity,
            file_bytes=self.file_bytes,
            format_version=version,
            creator=creator,
            image_size=sides,
            extents=self.extents,
            versions=self.versions,
            digests=self.digests,
        )

    def _section(self, group: GroupID, name: str, path: str) -> None:
        """A dataset with a digest of its own: ``name`` in its group, ``path`` in the file."""
        dataset = self._open(group, name, DatasetID)
        self.extents[path] = self._extent(dataset, path)
        self.digests[path] = self._digest(dataset, path)

    def _seal(self, root: GroupID) -> None:
        extent = self._extent(self._open(root, "seal", DatasetID), "seal")
        if extent.size != layout.SEAL_BYTES:
            found = f"a seal of {extent.size} bytes"
            raise forbidden(self.path, found, f"{layout.SEAL_BYTES}")
        self.extents["seal"] = extent

    def _model(self, root: GroupID, model: str) -> None:
        """A group of two datasets, which has one digest for both."""
        group = self._open(root, model, GroupID)
        self.versions[model] = self._text(group, "version")
        self.digests[model] = self._digest(group, model)
        for part in ("config", "weights"):
            extent = self._extent(self._open(group, part, DatasetID), part)
            self.extents[f"{model}/{part}"] = extent

    def _raw(self, root: GroupID) -> None:
        group = self._open(root, "raw", GroupID)
        self.versions["raw"] = self._text(group, "version")
        self._section(group, "index", "raw/index")
        self._section(group, "data", "raw/data")

    def _check_format(self, root: GroupID) -> str:
        if not h5py.h5a.exists(root, b"format") or self._text(root, "format") != layout.FORMAT:
            raise malformed(self.path, "an HDF5 file of another kind", "root attribute format=drr")
        version = self._text(root, "format_version")
        match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", version)
        if match is None:
            raise malformed(self.path, f"format version {version!r}", "a version such as 1.0")
        if int(match[1]) != layout.FORMAT_MAJOR:
            raise VersionError(
                f"{self.path}: found format version {version}, expected {layout.FORMAT_MAJOR}.x; "
                "read it with the release of drrpack that wrote it, or a newer one"
            )
        self._check_features(root)
        return version

    def _check_features(self, root: GroupID) -> None:
        """Refuse a file that can't be read without something that this program lacks."""
        if not h5py.h5a.exists(root, b"required_features"):
            return
        unknown = set(self._text(root, "required_features").split()) - layout.FEATURES
        if unknown:
            raise VersionError(
                f"{self.path}: found the required feature {min(unknown)!r}, expected "
                f"{', '.join(sorted(layout.FEATURES)) or 'none'}; read it with a newer release of "
                "drrpack"
            )

    def _open(self, group: GroupID, name: str, kind: type[_Element]) -> _Element:
        key = name.encode()
        if not group.links.exists(key):
            raise malformed(self.path, f"no {name!r}", "all elements of the format")
        link = group.links.get_info(key).type
        if link != h5py.h5l.TYPE_HARD:
            kind_of_link = {h5py.h5l.TYPE_SOFT: "a soft", h5py.h5l.TYPE_EXTERNAL: "an external"}
            found = f"{kind_of_link.get(link, 'a user-defined')} link {name!r}"
            raise forbidden(self.path, found, "a hard link")
        opened = h5py.h5o.open(group, key)
        if not isinstance(opened, kind):
            expected = kind.__name__.removesuffix("ID").lower()
            raise forbidden(self.path, f"{name!r} of another kind", f"a {expected}")
        where = h5py.h5o.get_info(opened).addr
        if where in self.objects:
            raise forbidden(self.path, f"{name!r} that is another element, too", "one of its own")
        self.objects.add(where)
        return opened

    def _extent(self, dataset: DatasetID, name: str) -> Extent:
        self._check_storage(dataset, name)
        item_bytes = self._item_bytes(dataset.get_type(), name)
        space = dataset.get_space()
        shape: tuple[int, ...] = space.get_simple_extent_dims() if space.is_simple() else ()
        if len(shape) != 1:
            raise forbidden(self.path, f"{name!r} of another shape", "one dimension")
        extent = Extent(int(dataset.get_offset() or 0), int(shape[0]), item_bytes)
        end = extent.offset + extent.size
        if extent.size and not SUPERBLOCK.size <= extent.offset <= end <= self.file_bytes:
            found = f"{name!r} at bytes {extent.offset} to {end}"
            raise forbidden(self.path, found, f"bytes inside the file's {self.file_bytes}")
        if extent.size > _MAX_BYTES.get(name, self.file_bytes):
            limit = f"{_MAX_BYTES[name]} at most"
            raise forbidden(self.path, f"{name!r} of {extent.size} bytes", limit)
        return extent

    def _check_storage(self, dataset: DatasetID, name: str) -> None:
        """The bytes lie in this file, as they are and in one piece."""
        plist = dataset.get_create_plist()  # first of all: a virtual dataset's size is elsewhere
        if plist.get_external_count():
            raise forbidden(self.path, f"{name!r} stored in another file", "all in this file")
        if plist.get_layout() == h5py.h5d.VIRTUAL:
            raise forbidden(self.path, f"{name!r} as a virtual dataset", "bytes of this file")
        if plist.get_nfilters():
            raise forbidden(self.path, f"{name!r} with a filter", "unfiltered bytes")
        if plist.get_layout() != h5py.h5d.CONTIGUOUS:
            raise forbidden(self.path, f"{name!r} in chunks or compact", "a contiguous dataset")

    def _item_bytes(self, stored: TypeID, name: str) -> int:
        if name == "classes":
            is_text = stored.get_class() == h5py.h5t.STRING and not stored.is_variable_str()
            if not is_text or stored.get_size() > layout.MAX_NAME_BYTES:
                expected = f"strings of a fixed length, {layout.MAX_NAME_BYTES} bytes at most"
                raise forbidden(self.path, "'classes' of another type", expected)
            return int(stored.get_size())
        dtype = _ROWS.get(name, np.dtype("u1"))
        if not stored.equal(h5py.h5t.py_create(dtype)):
            expected = f"{dtype.itemsize} bytes an item, as docs/format.md has them"
            raise forbidden(self.path, f"{name!r} of another type", expected)
        return dtype.itemsize

    def _check_apart(self) -> None:
        end = 0
        for extent in sorted(self.extents.values(), key=lambda extent: extent.offset):
            if extent.size and extent.offset < end:
                raise forbidden(self.path, "datasets that share bytes", "each in its own place")
            end = max(end, extent.offset + extent.size)

    def _digest(self, owner: _Owner, name: str) -> str:
        digest = self._text(owner, "sha256")
        if re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise forbidden(self.path, f"{name!r} with sha256 {digest!r}", "64 hexadecimal digits")
        return digest

    def _attribute(self, owner: _Owner, name: str) -> AttrID:
        key = name.encode()
        if not h5py.h5a.exists(owner, key):
            raise malformed(self.path, f"no attribute {name!r}", "all attributes of the format")
        attribute = h5py.h5a.open(owner, key)
        if attribute.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
            raise forbidden(self.path, f"attribute {name!r} of another shape", "a scalar")
        return attribute

    def _text(self, owner: _Owner, name: str) -> str:
        attribute = self._attribute(owner, name)
        stored = attribute.get_type()
        is_text = stored.get_class() == h5py.h5t.STRING and not stored.is_variable_str()
        if not is_text or stored.get_size() > layout.MAX_TEXT_BYTES:
            expected = f"a string of fixed length, {layout.MAX_TEXT_BYTES} bytes at most"
            raise forbidden(self.path, f"attribute {name!r} of another type", expected)
        value = np.empty((), dtype=f"S{stored.get_size()}")
        attribute.read(value, mtype=stored)
        return bytes(value[()]).decode("utf-8")

    def _number(self, owner: _Owner, name: str, dtype: str) -> int:
        attribute = self._attribute(owner, name)
        value = np.empty((), dtype=dtype)
        if not attribute.get_type().equal(h5py.h5t.py_create(value.dtype)):
            raise forbidden(self.path, f"attribute {name!r} of another type", f"type {dtype}")
        attribute.read(value)
        return int(value)
