"""Files that were made to harm, or are of another kind, get an error with a name."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from drr_files import (
    SMALL,
    STREAMS,
    put_bytes,
    raw_group,
    raw_row_with,
    read_all,
    row_with,
    rows,
    write_with_h5py,
)
from mutants import lookup3, metadata_blocks

from drrpack.core.errors import CorruptError, FormatError, UnsafeError
from drrpack.formats import layout
from drrpack.formats.container import Reader, write
from drrpack.formats.files import plainfile

Make = Callable[[h5py.File, str], None]


def test_a_file_of_a_second_writer_is_read(tmp_path: Path) -> None:
    write_with_h5py(tmp_path / "second.drr")
    assert read_all(tmp_path / "second.drr") == SMALL


def test_raw_images_may_be_missing(tmp_path: Path) -> None:
    write_with_h5py(tmp_path / "none.drr", {"raw": None})
    assert read_all(tmp_path / "none.drr") == replace(SMALL, raw=[])
    write(tmp_path / "own.drr", replace(SMALL, raw=[]))
    with h5py.File(tmp_path / "own.drr") as file:
        assert "raw" not in file
    with Reader(tmp_path / "own.drr") as reader:
        assert reader.raw_version is None and len(reader.raw_index) == 0
        assert reader.byte_account()["raw"] == 0


def test_additions_of_later_minor_versions_are_ignored(tmp_path: Path) -> None:
    def extra(file: h5py.File, name: str) -> None:
        file.create_group(name).create_dataset("pixels", data=np.zeros(9), chunks=(3,))

    attributes = {"format_version": np.bytes_("1.7"), "novelty": "variable length"}
    write_with_h5py(tmp_path / "later.drr", {"extra": extra}, attributes)
    assert read_all(tmp_path / "later.drr") == SMALL


SECRET = b"the content of another file"


def external_link(file: h5py.File, name: str) -> None:
    with h5py.File(Path(file.file.filename).with_name("other.h5"), "w") as other:
        put_bytes(other, "streams", SECRET)
    file[name] = h5py.ExternalLink("other.h5", "/streams")


def soft_link(file: h5py.File, name: str) -> None:
    put_bytes(file.file, "elsewhere", STREAMS)
    file[name] = h5py.SoftLink("/elsewhere")


def virtual(file: h5py.File, name: str) -> None:
    with h5py.File(Path(file.file.filename).with_name("other.h5"), "w") as other:
        put_bytes(other, "streams", SECRET)
    sources = h5py.VirtualLayout(shape=(len(SECRET),), dtype="u1")
    sources[:] = h5py.VirtualSource("other.h5", "streams", shape=(len(SECRET),))
    file.create_virtual_dataset(name, sources).attrs["sha256"] = np.bytes_("0" * 64)


def external_storage(file: h5py.File, name: str) -> None:
    secret = Path(file.file.filename).with_name("secret")
    secret.write_bytes(SECRET)
    dataset = file.create_dataset(
        name, (len(SECRET),), "u1", external=[(str(secret), 0, len(SECRET))]
    )
    dataset.attrs["sha256"] = np.bytes_(hashlib.sha256(SECRET).hexdigest())


def dataset_of(*shape: int, dtype: Any = "u1", **options: Any) -> Make:
    def make(file: h5py.File, name: str) -> None:
        dataset = file.create_dataset(name, shape, dtype, **options)
        dataset.attrs["sha256"] = np.bytes_("0" * 64)

    return make


def a_group(file: h5py.File, name: str) -> None:
    file.create_group(name)


def the_root(file: h5py.File, name: str) -> None:
    file[name] = file["/"]


def alias(file: h5py.File, name: str) -> None:
    file[name] = file.file["streams"]


def other_digest(file: h5py.File, name: str) -> None:
    put_bytes(file, name, b"{}")
    file[name].attrs["sha256"] = np.bytes_("A" * 64)


TOO_MANY = np.array([b"%05d" % n for n in range(layout.MAX_CLASSES + 1)])
TWICE = b'{"a":[{"b":1,"\\u0062":2}]}'
deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

# elements and attributes for `write_with_h5py`, and a word of the error
HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "external link": ({"streams": external_link}, {}, "an external link"),
    "soft link": ({"streams": soft_link}, {}, "a soft link"),
    "virtual dataset": ({"streams": virtual}, {}, "a virtual dataset"),
    "external storage": ({"streams": external_storage}, {}, "in another file"),
    "gzip": ({"streams": dataset_of(64, compression="gzip")}, {}, "with a filter"),
    "chunks": ({"streams": dataset_of(64, chunks=(8,))}, {}, "in chunks"),
    "resizable": ({"streams": dataset_of(64, maxshape=(None,))}, {}, "in chunks"),
    "fletcher32": ({"index": dataset_of(64, fletcher32=True)}, {}, "with a filter"),
    "huge": ({"streams": dataset_of(1 << 60)}, {}, "inside the file"),
    "huge index": ({"index": dataset_of(1 << 40, dtype=layout.INDEX)}, {}, "inside the file"),
    "huge metadata": ({"metadata": bytes(layout.MAX_JSON_BYTES + 1)}, {}, "1048576 at most"),
    "vlen": ({"streams": dataset_of(4, dtype=h5py.vlen_dtype(np.uint8))}, {}, "another type"),
    "vlen names": ({"classes": dataset_of(3, dtype=h5py.string_dtype())}, {}, "fixed length"),
    "two dimensions": ({"streams": dataset_of(4, 4)}, {}, "one dimension"),
    "scalar": ({"streams": dataset_of()}, {}, "one dimension"),
    "wide items": ({"streams": dataset_of(8, dtype=">i8")}, {}, "another type"),
    "index of bytes": ({"index": dataset_of(96)}, {}, "another type"),
    "index of other fields": ({"index": rows()[["class", "images", "offset"]]}, {}, "another type"),
    "group for dataset": ({"streams": a_group}, {}, "a dataset"),
    "dataset for group": ({"vqvae": b"weights"}, {}, "a group"),
    "empty group": ({"vqvae": a_group}, {}, "no attribute"),
    "an alias": ({"metadata": alias}, {}, "another element, too"),
    "a cycle": ({"vqvae": the_root}, {}, "another element, too"),
    "no streams": ({"streams": None}, {}, "no 'streams'"),
    "no model": ({"entropy_model": None}, {}, "no 'entropy_model'"),
    "no classes": ({"classes": np.zeros(0, "S3")}, {}, "0 classes"),
    "too many classes": ({"classes": TOO_MANY}, {}, "65537 classes"),
    "an empty name": ({"classes": np.array([b"cat", b"", b"dog"])}, {}, "empty or used twice"),
    "names twice": ({"classes": np.array([b"cat", b"cat", b"dog"])}, {}, "used twice"),
    "names not UTF-8": ({"classes": np.array([b"cat", b"\xff", b"dog"])}, {}, "not UTF-8"),
    "a zero in a name": ({"classes": np.array([b"cat", b"d\0g", b"eel"])}, {}, "a zero byte"),
    "long names": ({"classes": np.array([b"cat", b"x" * 256, b"dog"])}, {}, "255 bytes"),
    "unknown class": ({"index": row_with(class_=3)}, {}, "no class"),
    "no images": ({"index": row_with(images=0)}, {}, "number of images"),
    "too many images": ({"index": row_with(images=2**32 - 1)}, {}, "number of images"),
    "offset outside": ({"index": row_with(offset=len(STREAMS) - 2)}, {}, "lie outside"),
    "offset overflows": ({"index": row_with(offset=2**64 - 2)}, {}, "lie outside"),
    "offset overlaps": ({"index": row_with(offset=1)}, {}, "overlap"),
    "long stream": ({"index": row_with(top_bytes=2**32 - 1)}, {}, "4294967295 bytes"),
    "digest of another kind": ({"metadata": other_digest}, {}, "64 hexadecimal digits"),
    "no seal": ({"seal": None}, {}, "no 'seal'"),
    "a long seal": ({"seal": bytes(33)}, {}, "a seal of 33"),
    "a seal elsewhere": ({"seal": soft_link}, {}, "a soft link"),
    "raw a dataset": ({"raw": b"raw"}, {}, "a group"),
    "raw without data": ({"raw": raw_group(data=None)}, {}, "no 'data'"),
    "raw an empty group": ({"raw": a_group}, {}, "no attribute"),
    "raw data elsewhere": ({"raw": raw_group(data=soft_link)}, {}, "a soft link"),
    "raw data in another file": ({"raw": raw_group(data=external_link)}, {}, "an external link"),
    "raw index of bytes": ({"raw": raw_group(index=dataset_of(48))}, {}, "another type"),
    "raw index of streams": ({"raw": raw_group(index=rows())}, {}, "another type"),
    "raw an alias": ({"raw": raw_group(data=alias)}, {}, "another element, too"),
    "raw of no class": ({"raw": raw_group(index=raw_row_with(class_=3))}, {}, "impossible row"),
    "raw of no image": ({"raw": raw_group(index=raw_row_with(images=0))}, {}, "impossible row"),
    "too many raw": ({"raw": raw_group(index=raw_row_with(images=2**32 - 1))}, {}, "too many raw"),
    "raw outside": ({"raw": raw_group(index=raw_row_with(offset=12))}, {}, "lie outside"),
    "raw overlaps": ({"raw": raw_group(index=raw_row_with(offset=9))}, {}, "overlap"),
    "long raw": ({"raw": raw_group(index=raw_row_with(bytes=2**32 - 1))}, {}, "too large a record"),
    "raw damaged": ({"raw": raw_group(index=raw_row_with(crc=7))}, {}, "CRC"),
    "metadata a list": ({"metadata": b"[]"}, {}, "JSON list"),
    "metadata NaN": ({"metadata": b'{"a":NaN}'}, {}, "NaN"),
    "metadata infinite": ({"metadata": b'{"a":[1,1e999]}'}, {}, "Out of range float"),
    "metadata minus infinity": ({"metadata": b'{"a":-1e999}'}, {}, "Out of range float"),
    "metadata half a pair": ({"metadata": b'{"a":"\\ud83e"}'}, {}, "surrogates not allowed"),
    "metadata half a pair as key": ({"metadata": b'{"\\udd8a":1}'}, {}, "surrogates not allowed"),
    "metadata a key twice": ({"metadata": b'{"a":1,"b":2,"a":1}'}, {}, "a key occurs twice"),
    "metadata a key twice inside": ({"metadata": TWICE}, {}, "a key occurs twice"),
    "metadata deep": ({"metadata": deep}, {}, "recursion"),
    "metadata a long number": ({"metadata": b'{"a":' + b"9" * 100_000 + b"}"}, {}, "100000 digits"),
    "metadata not UTF-8": ({"metadata": b'{"a":"\xff"}'}, {}, "utf-8"),
    "other format": ({}, {"format": np.bytes_("drrx")}, "another kind"),
    "no format": ({}, {"format": None}, "another kind"),
    "format a number": ({}, {"format": np.uint32(1)}, "another type"),
    "format vlen": ({}, {"format": "drr"}, "fixed length"),
    "format long": ({}, {"format": np.bytes_("drr" * 100)}, "64 bytes"),
    "a feature": ({}, {"required_features": np.bytes_("time-travel")}, "'time-travel'"),
    "version 2": ({}, {"format_version": np.bytes_("2.0")}, "expected 1.x"),
    "version odd": ({}, {"format_version": np.bytes_("one")}, "'one'"),
    "no size": ({}, {"image_height": None}, "no attribute"),
    "size 0": ({}, {"image_height": np.uint32(0)}, "sides of"),
    "size huge": ({}, {"image_width": np.uint32(2**32 - 1)}, "sides of"),
    "size an array": ({}, {"image_width": np.array([1, 2], np.uint32)}, "another shape"),
    "size signed": ({}, {"image_width": np.int64(-1)}, "another type"),
    "length wrong": ({}, {"file_length": np.uint64(77)}, "77 bytes"),
}


# not 5, unsafe: what is missing or of another kind, damaged, or of another version
OTHER_CODES = {
    **dict.fromkeys(("empty group", "no streams", "no model", "no seal", "raw without data"), 3),
    **dict.fromkeys(("raw an empty group", "other format", "no format", "version odd"), 3),
    **dict.fromkeys(("no size", "length wrong", "raw damaged"), 3),
    **dict.fromkeys(("a feature", "version 2"), 4),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_get_a_named_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.drr"
    elements, attributes, reason = HOSTILE[kind]
    write_with_h5py(path, elements, attributes)
    with pytest.raises(FormatError) as caught:
        read_all(path)
    message = str(caught.value)
    assert str(path) in message
    assert reason in message
    assert "expected" in message
    assert caught.value.exit_code == OTHER_CODES.get(kind, 5)
    assert SECRET.decode() not in message


@pytest.mark.parametrize("place", [8, 40, "the config"])
def test_data_that_lie_where_other_data_do(small: Path, place: int | str) -> None:
    """In the superblock, across its end, or in the place of another dataset: h5py writes no such
    file, so an address is exchanged and the checksum of its object mended."""
    with Reader(small) as reader:
        weights, config = (
            reader.structure.extents[f"vqvae/{part}"] for part in ("weights", "config")
        )
    address = config.offset if isinstance(place, str) else place
    before, after = (struct.pack("<QQ", at, weights.size) for at in (weights.offset, address))
    image = small.read_bytes()
    assert image.count(before) == 1
    changed = bytearray(image.replace(before, after))
    for start, end in metadata_blocks(image):
        struct.pack_into("<I", changed, end, lookup3(bytes(changed[start:end])))
    small.write_bytes(changed)
    told = "share bytes" if isinstance(place, str) else f"'weights' at bytes {place} to "
    with pytest.raises(UnsafeError, match=told):
        Reader(small)


def test_escapes_that_are_text_and_keys_that_differ_are_read(tmp_path: Path) -> None:
    metadata = b'{"a":"\\ud83e\\udd8a","A":{"a":1e308},"\\u00e9":1,"e\\u0301":2}'
    write_with_h5py(tmp_path / "x.drr", {"metadata": metadata})
    with Reader(tmp_path / "x.drr") as reader:
        found = {"a": "\N{FOX FACE}", "A": {"a": 1e308}, "\u00e9": 1, "e\u0301": 2}
        assert reader.metadata == found


def test_an_unknown_major_version_is_not_called_damage(tmp_path: Path) -> None:
    write_with_h5py(tmp_path / "x.drr", {}, {"format_version": np.bytes_("2.0")})
    with pytest.raises(FormatError, match=r"version 2\.0, expected 1\.x.*newer") as caught:
        Reader(tmp_path / "x.drr")
    assert not isinstance(caught.value, CorruptError)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = 1
    with h5py.File(tmp_path / "latest.h5", "w", libver="latest") as file:
        file["x"] = 1
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello" * 100)
    os.mkfifo(tmp_path / "pipe")
    for name in ("plain.h5", "latest.h5", "empty", "text", "pipe", ".", "missing"):
        with pytest.raises(FormatError) as caught:
            Reader(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_refused_superblocks(small: Path, tmp_path: Path) -> None:
    image = small.read_bytes()
    for position, value in ((11, 1), (12, 48), (20, 48)):  # flags, base address, extension
        changed = bytearray(image)
        struct.pack_into("<B", changed, position, value)
        (tmp_path / "x.drr").write_bytes(changed)
        with pytest.raises(FormatError, match="expected flags 0"):
            Reader(tmp_path / "x.drr")


def test_a_wrong_length_is_seen_before_libhdf5_is_asked(small: Path, tmp_path: Path) -> None:
    for changed in (small.read_bytes() + b"\0", small.read_bytes()[:-1], small.read_bytes()[:20]):
        (tmp_path / "x.drr").write_bytes(changed)
        with pytest.raises(CorruptError, match=f"{len(changed)} bytes"):
            plainfile.PlainFile(tmp_path / "x.drr").check_superblock()
