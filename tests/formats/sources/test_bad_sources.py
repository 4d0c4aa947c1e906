"""What is wrong with tars, tables, arrays and lists of pictures, and hostile ones among them."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import numpy as np
import pytest
import same_pictures as made
from picture_folders import noise, refused, save

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.source import open_source
from drrpack.formats.sources.tar_index import members, read_member

PNG = made.png(noise(8, 8, 3))
PICTURES = {name: [noise(8, 8, 3) for _ in range(3)] for name in ("cat", "dog")}


# --- tars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([("0.png", PNG)], "0.png: found no label beside this picture"),
        ([("0.cls", b"cat")], "found a label without a picture"),
        ([("0.png", PNG), ("0.cls", b" ")], "0.cls: found no label"),
        ([("0.png", PNG), ("0.cls", b"\xff")], "not UTF-8"),
        ([("0.png", PNG), ("0.cls", b"c" * (1 << 20) + b"c")], "expected 1048576 at most"),
        ([("0.png", PNG), ("0.jpg", PNG), ("0.cls", b"1")], "several pictures under the name '0'"),
        ([("0.png", PNG), ("0.png", PNG), ("0.cls", b"1")], "found this name twice"),
        ([("0.png", PNG), ("0.json", b"{")], "found no JSON"),
        ([("0.png", PNG), ("0.json", b'{"label": 1.5}')], "found float under 'label'"),
        ([("0.png", b"no"), ("0.cls", b"1")], "found 1 of 1 pictures that can't be read"),
        ([("readme.txt", b"no")], "found no pictures to train on"),
    ],
)
def test_tars_that_are_refused(
    tmp_path: Path, content: list[tuple[str, bytes]], words: str
) -> None:
    refused(made.write_tar(tmp_path / "a.tar", content), words)


def test_a_json_without_the_usual_key(tmp_path: Path) -> None:
    path = made.write_tar(tmp_path / "a.tar", [("0.png", PNG), ("0.json", b'{"kind": "cat"}')])
    with pytest.raises(OptionError, match="found the keys kind"):
        open_source(path)
    assert open_source(path, labelling=Labelling(label_column="kind")).classes == ("cat",)
    assert made.as_tar(tmp_path / "b.tar", PICTURES, as_json=True).exists()
    assert open_source(tmp_path / "b.tar").images_per_class == (3, 3)


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    parts = [(f"{n}.{e}", c) for n in (2, 10) for e, c in (("png", PNG), ("cls", b"%d" % n))]
    assert open_source(made.write_tar(tmp_path / "a.tar", parts)).classes == ("2", "10")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    secret = save(tmp_path / "secret.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("0.png")
        info.type, info.linkname = kind, str(secret)
        tar.addfile(info)
        label = tarfile.TarInfo("0.cls")
        label.size = 1
        tar.addfile(label, io.BytesIO(b"1"))
    refused(tmp_path / "a.tar", "0.png: found a link, a device or a sparse file")


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ("../../out", str(tmp_path / "absolute"))
    parts = [(f"{n}.{e}", c) for n in names for e, c in (("png", PNG), ("cls", b"cat"))]
    before = sorted(tmp_path.rglob("*"))
    source = open_source(made.write_tar(tmp_path / "in" / "a.tar", parts))
    assert source.images_per_class == (2,)
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [tmp_path / "in" / "a.tar"]


def header(size: bytes, kind: bytes = b"0", name: bytes = b"0.png") -> bytes:
    """A header by the book, with a size of our choice."""
    block = bytearray(tarfile.TarInfo(name.decode()).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "content",
    [
        header(b"77777777777\0"),  # 8 GB that are not there
        header(b"77777777777\0", b"x"),  # the same for a header with further fields
        header(b"\xff" * 12, b"x"),  # of a negative size
        header(b"\xff" * 12),
        header(b"00000000010\0"),
        b"no tar",
        b"",
    ],
)
def test_hostile_headers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar", "a.tar")


def test_a_tar_that_is_damaged_in_the_middle(tmp_path: Path) -> None:
    path = made.as_tar(tmp_path / "a.tar", PICTURES)
    whole = path.read_bytes()
    third = list(members(path))[2].offset - 512
    path.write_bytes(whole[:third] + b"\x01" * 512 + whole[third + 512 :])
    refused(path, "damaged header")
    path.write_bytes(whole[: third + 100])
    refused(path, "can't be read as a tar")


def test_members_are_read_where_they_lie(tmp_path: Path) -> None:
    path = made.write_tar(tmp_path / "a.tar", [("a" * 200, b"one"), ("b", b"three")])
    found = [(len(m.name), read_member(path, m.offset, m.size)) for m in members(path)]
    assert found == [(200, b"one"), (1, b"three")]


def test_a_compressed_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"")
    refused(tmp_path / "a.tar.gz", "a compressed tar", "undo the compression")
    refused(tmp_path / "none.tar", "no such file")


# --- arrays ---------------------------------------------------------------------------------------

X, Y = noise(4, 8, 8, 3), np.array([0, 0, 1, 1])


def test_arrays_of_several_forms(tmp_path: Path) -> None:
    forms = [
        {"x": X, "y": Y}, {"images": X, "labels": Y[:, None]}, {"X": X[..., 0], "Y": Y},
        {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[1:3]},
        {"train_images": X[..., :1], "train_labels": Y, "val_images": X, "val_labels": Y},
        {"x": X, "y": np.array(["0", "0", "1", "1"])},
    ]  # fmt: skip
    for number, arrays in enumerate(forms):
        np.savez(tmp_path / f"{number}.npz", **arrays)
        source = open_source(tmp_path / f"{number}.npz")
        assert source.classes == ("0", "1") and source.has_test == (len(arrays) == 4)
        np.testing.assert_array_equal(source.load(1)[..., 0], X[2:, ..., 0])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": X}, "found the arrays a; expected x and y"),
        ({"x_test": X, "y_test": Y}, "expected x and y"),
        ({"x": X / 255, "y": Y}, "of float64 (4, 8, 8, 3); expected uint8"),
        ({"x": X.transpose(0, 3, 1, 2), "y": Y}, "transpose (N, 3, H, W)"),
        ({"x": X, "y": Y[:3]}, "of int64 (3,) beside 4 images"),
        ({"x": X, "y": Y / 2}, "expected a whole number"),
        ({"x": X, "y": Y, "classes": np.array(["a"])}, "found the label 1, and names for 1"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b", "c"])}, "of the class 'c'"),
        ({"x": X, "y": np.array([None] * 4)}, "of object (4,)"),
        ({"x": X[:0], "y": Y[:0]}, "found no images"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", words)


def test_damaged_arrays(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no zip")
    refused(tmp_path / "a.npz", "can't be read as a .npz file")


@pytest.mark.parametrize("packed", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_arrays_with_a_byte_changed_are_read_as_they_were_or_refused(
    tmp_path: Path, packed: int
) -> None:
    with ZipFile(tmp_path / "a.npz", "w", packed) as archive:
        for key, array in {"x": X, "y": Y}.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.save(file, array)
    content = (tmp_path / "a.npz").read_bytes()
    errors, places = 0, range(0, len(content), 7)
    for place in places:
        changed = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        (tmp_path / "b.npz").write_bytes(changed)
        try:
            source = open_source(tmp_path / "b.npz")
        except SourceError:
            errors += 1
        else:
            assert source.images_per_class == (2, 2)
    assert errors > len(places) / 2


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path;label\n0.png;cat\n", "found no column with pictures"),
        (
            "path,kind\n0.png,cat\n",
            "found no column with whole numbers or text among the columns path, kind",
        ),
        (
            "path,file,label\n0.png,0.png,cat\n",
            "their paths in a list): path, file; expected one",
        ),
        ("path,label\n", "found no lines after the header"),
        ("", "found the header ''"),
        ("path,label\n0.png\n", "line 2 with another number of values"),
        ("path,label\n0.png,\n", "line 2: found no class"),
        ("path,label\n../0.png,cat\n", "found the path '../0.png'; expected a path below"),
        ("path,label\n/0.png,cat\n", "found the path '/0.png'"),
        ("path,label\n0.png,cat\n0.png,dog\n", "line 3: found '0.png', which line 2 has"),
        ("path,label\nnone.png,cat\n", "can't be opened"),
        ("path,label,split\n0.png,cat,odd\n", "found the split 'odd'"),
        ("path,label,split\n0.png,cat,test\n", "no line of the split train"),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    save(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text(text)
    refused(tmp_path / "list.csv", words)


def test_a_list_with_splits_and_other_columns(tmp_path: Path) -> None:
    for name in ("0.png", "sub/1.png", "2.png"):
        save(tmp_path / name)
    rows = "where,kind,split\n0.png,cat,train\nsub/1.png,dog,train\n2.png,dog,val\n"
    (tmp_path / "list.csv").write_text(rows)
    said = Labelling(image_column="where", label_column="kind")
    source = open_source(tmp_path / "list.csv", labelling=said)
    assert source.images_per_class == (1, 1) and source.load(1, "test").shape[0] == 1
    assert source.paths(1) == [tmp_path / "sub" / "1.png"]


# --- tables ---------------------------------------------------------------------------------------


def test_tables_that_need_a_choice(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"img": [PNG, PNG], "fine_label": ["a", "b"], "coarse_label": ["c", "c"]}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "several columns", "fine_label, coarse_label", "`label_column=")
    for column, classes in (("fine_label", ("a", "b")), ("coarse_label", ("c",))):
        said = Labelling(label_column=column)
        assert open_source(tmp_path / "a.parquet", labelling=said).classes == classes
    with pytest.raises(OptionError, match="found no such column, and the columns img"):
        open_source(tmp_path / "a.parquet", labelling=Labelling(label_column="x"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"label": [1]}, "found no column with pictures"),
        ({"image": [PNG]}, "found no column with whole numbers or text"),
        ({"image": [PNG, PNG], "label": [0, None]}, "row 1: found no label"),
        ({"image": [PNG, None], "label": [0, 1]}, "row 1: has no bytes in the table"),
        ({"image": [PNG, b"no"], "label": [0, 1]}, "row 1: is no picture"),
    ],
)
def test_tables_that_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", words)


def test_tables_of_which_parts_are_missing(tmp_path: Path) -> None:
    made.as_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", PICTURES)
    refused(tmp_path, "data: found 1 of the 2 files that names such as train-00000-of-00002 count")
    made.as_parquet(tmp_path / "data" / "extra.parquet", PICTURES)
    refused(tmp_path, "extra.parquet: found a file of no split")
    os.remove(tmp_path / "data" / "extra.parquet")
    os.rename(
        tmp_path / "data" / "train-00000-of-00002.parquet", tmp_path / "data" / "test-0.parquet"
    )
    refused(tmp_path, "found files of the split 'test' and none to train on")


def test_a_damaged_table_and_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no PAR1")
    refused(tmp_path / "a.parquet", "can't be read as a Parquet file")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(tmp_path / "a.parquet", 'pip install "drrpack[parquet]"')


# --- folders and labels --------------------------------------------------------------------------


def test_a_folder_with_files_of_two_kinds(tmp_path: Path) -> None:
    made.as_tar(tmp_path / "a.tar", PICTURES)
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    refused(tmp_path, "found b.parquet and a.tar, files of two kinds; expected one kind")


def test_numbers_written_as_text_are_sorted_as_numbers(tmp_path: Path) -> None:
    pictures = {str(n): [noise(8, 8, 3)] for n in (2, 10, 1)}
    assert open_source(made.as_csv(tmp_path / "list", pictures)).classes == ("1", "2", "10")
    x, y = np.stack([noise(8, 8, 3) for _ in range(3)]), np.array(["10", "2", "1"])
    np.savez(tmp_path / "a.npz", x=x, y=y)
    source = open_source(tmp_path / "a.npz")
    assert source.classes == ("1", "2", "10")
    assert np.array_equal(source.load(2)[0], x[0]), "each keeps its picture"
    named = {"02": [noise(8, 8, 3)], "10": [noise(8, 8, 3)]}
    assert open_source(made.as_csv(tmp_path / "names", named)).classes == ("02", "10")


def test_a_class_of_a_tar_without_a_picture_that_can_be_read(tmp_path: Path) -> None:
    parts = [("0.png", b"no"), ("0.cls", b"cat"), ("1.png", PNG), ("1.cls", b"dog")]
    path = made.write_tar(tmp_path / "a.tar", parts)
    with pytest.raises(SourceError, match=r"a\.tar: found 1 pictures of the class 'cat', none of"):
        open_source(path, skip_bad=True)
