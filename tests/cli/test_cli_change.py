"""append, drop, merge, export and verify, as people give them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Command
from PIL import Image
from tiny_memory import GOLDEN_CONTEXT, encode_tiny

from drrpack import DRRDataset
from drrpack.formats.container import Reader, write
from drrpack.formats.originals import open_originals

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def four(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with digits 0 to 3 and two raw exemplars of each, by the codec of all."""
    place = tmp_path_factory.mktemp("four")
    folder = part(digits_folder, place / "first", "0123")
    return encode_tiny(folder, place / "four.drr", codec=GOLDEN_CONTEXT, raw_per_class=2)


@pytest.fixture
def start(four: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copy(four, tmp_path / "mem.drr"))


def part(folder: Path, output: Path, digits: str, count: int = 30, skip: int = 0) -> Path:
    """Some pictures of some digits, both splits."""
    for split in ("train", "test"):
        for digit in digits:
            pictures = sorted((folder / split / digit).iterdir())
            chosen = pictures[skip : skip + count] if split == "train" else pictures
            (output / split / digit).mkdir(parents=True, exist_ok=True)
            for picture in chosen:
                shutil.copy(picture, output / split / digit)
    return output


def pixels_of(path: Path, name: str) -> np.ndarray:
    return DRRDataset(path, classes=[name]).to_numpy()[0]


def test_append_tunes_and_keeps_the_smaller(
    drrpack: Command, start: Path, digits_folder: Path, tmp_path: Path
) -> None:
    before = {name: pixels_of(start, name) for name in "0123"}
    more = part(digits_folder, tmp_path / "more", "45")
    done = drrpack("append", start, more, "--epochs", "1")
    assert done.code == 0, done.errors
    assert "as it was" in done.output and "tuned and everything coded anew" in done.output
    with Reader(start) as reader:
        assert reader.classes == list("012345")
        assert reader.images_per_class.tolist() == 6 * [30]
        assert np.bincount(reader.raw_index["class"]).tolist() == 6 * [1]
        assert reader.raw_index["images"].tolist() == 6 * [2]
        found = open_originals(reader, None, "train")
        assert found.load("4").shape == (30, 32, 32, 3) and len(found.parts) == 2
    for name, pixels in before.items():
        np.testing.assert_array_equal(pixels_of(start, name), pixels)
    assert drrpack("verify", start, "--full").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"more", "mem.drr"}
    out = tmp_path / "run"
    options = ("--base", "3", "--phases", "1", "--epochs", "1", "--width", "2", "--out", out)
    assert (
        drrpack("train", start, "--no-ceiling", *options).code == 0
    )  # test images come from both folders


def test_append_with_the_model_that_is_there(
    drrpack: Command, start: Path, digits_folder: Path, tmp_path: Path
) -> None:
    with Reader(start) as reader:
        before, streams = reader.entropy_model, reader.memory().chunks
    one = part(digits_folder, tmp_path / "one", "7", count=1)  # a class of one image
    assert drrpack("append", start, one, "--keep-entropy-model").code == 0
    with Reader(start) as reader:
        assert reader.entropy_model == before and reader.memory().chunks[:-1] == streams
        assert reader.images_per_class.tolist() == [30, 30, 30, 30, 1]
    assert len(pixels_of(start, "7")) == 1
    assert drrpack("stats", start).output.count("not measured") == 6


def test_extend(drrpack: Command, context_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    first = part(digits_folder, tmp_path / "first", "01", count=20)
    rest = part(digits_folder, tmp_path / "rest", "12", count=10, skip=20)
    path = tmp_path / "mem.drr"
    assert drrpack("encode", first, "-o", path, "--codec", context_drr).code == 0
    message = drrpack.refused("append", path, rest, naming=(path, "'1'", "--extend"))
    assert str(rest) in message
    assert drrpack("append", path, rest, "--extend", "--keep-entropy-model").code == 0
    with Reader(path) as reader:
        assert reader.images_per_class.tolist() == [20, 30, 10]
        assert len(open_originals(reader, None, "train").load("1")) == 30
    np.testing.assert_array_equal(pixels_of(path, "1"), pixels_of(context_drr, "1"))
    assert drrpack("verify", path, "--full").code == 0


def test_append_refuses(drrpack: Command, start: Path, digits_folder: Path, tmp_path: Path) -> None:
    before = start.read_bytes()
    small = tmp_path / "small" / "9" / "a.png"
    small.parent.mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(small)
    drrpack.refused("append", start, small.parents[1], naming=("16x16", "32x32", "--size"))
    drrpack.refused("append", tmp_path / "absent.drr", digits_folder, naming=("absent.drr",))
    drrpack.refused("append", start, tmp_path / "absent", naming=("absent",))
    keep = ("--keep-entropy-model", "--minutes", "1")
    drrpack.refused("append", start, digits_folder, *keep, naming=("--keep-entropy-model",))
    assert start.read_bytes() == before


def test_drop(drrpack: Command, start: Path) -> None:
    kept = {name: pixels_of(start, name) for name in "02"}
    size = start.stat().st_size
    done = drrpack("drop", start, "3", "1")
    assert done.code == 0 and "2 classes" in done.output
    with Reader(start) as reader:
        assert reader.classes == ["0", "2"] and reader.raw_index["class"].tolist() == [0, 1]
        assert reader.metadata["sources"][0]["classes"] == ["0", "2"]
    assert start.stat().st_size < size
    for name, pixels in kept.items():
        np.testing.assert_array_equal(pixels_of(start, name), pixels)
    assert len(DRRDataset(start, raw="pairs")) == 4
    assert drrpack("verify", start, "--full").code == 0
    drrpack.refused("drop", start, "9", naming=(start, "'9'"))
    drrpack.refused("drop", start, "0", "2", naming=(start, "no class would be left"))


def test_merge(
    drrpack: Command, start: Path, context_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    other, both = tmp_path / "other.drr", tmp_path / "both.drr"
    folder = part(digits_folder, tmp_path / "second", "89", count=3)  # laid out otherwise
    assert drrpack("encode", folder, "-o", other, "--codec", context_drr).code == 0
    done = drrpack("merge", start, other, "-o", both)
    assert done.code == 0 and "6 classes" in done.output
    for name, path in (("0", start), ("3", start), ("8", other), ("9", other)):
        np.testing.assert_array_equal(pixels_of(both, name), pixels_of(path, name))
    assert drrpack("verify", both, "--full").code == 0
    assert len(DRRDataset(both, raw="pairs")) == 8
    drrpack.refused("merge", start, other, "-o", both, naming=(both, "--force"))
    naming = (context_drr, start, "'0'", "drop it")
    drrpack.refused("merge", start, context_drr, "-o", tmp_path / "x.drr", naming=naming)


def test_merge_says_how_codecs_differ(drrpack: Command, start: Path, tmp_path: Path) -> None:
    with Reader(start) as reader:
        content = reader.memory()
    model = content.vqvae
    changes = {
        "weights": ("have other weights", {"data": model.data[:-1] + b"\x00"}),
        "size": ("layers of other sizes", {"config": {**model.config, "channels": 8}}),
        "version": ("have other weights", {"version": "1.1"}),
        "stride": (
            "stands for 4x4 pixels, one of the second for 8x8",
            {"version": "3.0", "config": {**model.config, "stride": 8}},
        ),
        "scales": (
            "have other weights",
            {"config": {**model.config, "activation_bits": {"top": 3}}},
        ),
    }
    for name, (words, change) in changes.items():
        other = tmp_path / f"{name}.drr"
        fields = {**model.__dict__, **change}
        write(other, type(content)(**{**content.__dict__, "vqvae": type(model)(**fields)}))
        out = ("-o", tmp_path / "out.drr")
        told = drrpack.refused("merge", start, other, *out, naming=(start, other, words, "--codec"))
        told = told.replace(str(other), "")
        assert not any(field in told for field in ("{", "_bits", "channels", "version"))


def test_merge_says_which_codec_comes_with_drrpack(
    drrpack: Command, start: Path, digits_drr: Path, tmp_path: Path
) -> None:
    told = drrpack.refused("merge", digits_drr, start, "-o", tmp_path / "out.drr")
    assert "the first by 'small', which comes with drrpack, the second by one that was" in told


def test_merge_refuses_a_file_twice(
    drrpack: Command, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, link = tmp_path / "out.drr", tmp_path / "link.drr"
    link.symlink_to(start)
    monkeypatch.chdir(tmp_path)
    for same in (start, link, "mem.drr"):
        naming = (start, same, "twice", "name it once")
        drrpack.refused("merge", start, same, "-o", out, naming=naming)
    drrpack.refused("merge", start, tmp_path / "l*.drr", "-o", out, naming=(link, "twice"))
    assert not out.exists()
    link.unlink()
    assert drrpack("merge", start, tmp_path / "m*.drr", "-o", out).code == 0  # found again
    assert DRRDataset(out).classes == list("0123")


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_export_a_folder(drrpack: Command, start: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    done = drrpack("export", start, out, "--format", kind, "--classes", "1,3")
    assert done.code == 0 and "60 images of 2 classes" in done.output
    assert sorted(path.name for path in out.iterdir()) == ["1", "3"]
    pictures = sorted((out / "3").iterdir())
    assert pictures[7].name == f"00007.{kind}"
    found = np.stack([np.asarray(Image.open(picture)) for picture in pictures])
    np.testing.assert_array_equal(found, pixels_of(start, "3"))
    drrpack.refused("export", start, out, naming=(out, "exists already"))


def test_export_arrays(drrpack: Command, start: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.npz"
    assert drrpack("export", start, out).code == 0
    images, labels = DRRDataset(start).to_numpy()
    with np.load(out) as found:  # no pickle in it
        np.testing.assert_array_equal(found["images"], images)
        np.testing.assert_array_equal(found["labels"], labels)
        assert found["classes"].tolist() == list("0123")
    said = drrpack.refused("export", start, out, naming=(out, "exists already", "another name"))
    assert "--force" not in said, "there is no such option"
    drrpack.refused("export", start, tmp_path / "a", "--format", "npz", naming=(".npz",))
    drrpack.refused("export", start, tmp_path / "a", "--format", "bmp", naming=("bmp", "webp"))


@pytest.mark.parametrize("name", ["out", "out.npz"])
def test_export_where_nothing_can_be_made(
    drrpack: Command, start: Path, tmp_path: Path, name: str
) -> None:
    for out in (tmp_path / ("x" * 300 + name), tmp_path / ("x" * 300) / name):
        drrpack.refused("export", start, out, naming=(out, "give a shorter one"), code=6)
    (tmp_path / name).symlink_to(tmp_path / "gone")
    drrpack.refused("export", start, tmp_path / name, naming=(tmp_path / name, "exists already"))
    assert (tmp_path / name).is_symlink()


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", ".", "a\\b", "a\x07"])
def test_export_stays_in_its_folder(
    drrpack: Command, start: Path, tmp_path: Path, name: str
) -> None:
    with Reader(start) as reader:
        content = reader.memory()
    content.classes[2] = name
    write(start, content, overwrite=True)
    before = {path.name for path in tmp_path.iterdir()}
    done = drrpack("export", start, tmp_path / "out")
    assert done.code == 5 and "would write outside" in done.errors
    assert {path.name for path in tmp_path.iterdir()} == before
    assert drrpack("export", start, tmp_path / "all.npz").code == 0


def test_verify(drrpack: Command, start: Path) -> None:
    for options, words in (
        ((), "8 sections"),
        (("--quick",), "8 streams, 4 raw records"),
        (("--full",), "8 streams decoded, 8 raw decoded"),
        (("--sample", "2/3"), "sample 2/3"),
    ):
        done = drrpack("verify", start, *options)
        assert done.code == 0 and "sound" in done.output and words in done.output, done
    content = json.loads(drrpack("verify", start, "--full", "--json").output)
    assert content["sound"] is True and content["images"] == 120
    parts = [
        json.loads(drrpack("verify", start, "--sample", f"{n}/3", "--json").output)["checked"]
        for n in (1, 2, 3)
    ]
    assert sum(part["streams_decoded"] for part in parts) == content["checked"]["streams_decoded"]
    drrpack.refused("verify", start, "--quick", "--full", naming=("exclude each other",))
    drrpack.refused("verify", start, "--sample", "4/3", naming=("4/3",))


def test_exit_codes(drrpack: Command, start: Path, tmp_path: Path) -> None:
    image = bytearray(start.read_bytes())
    image[-5] ^= 1
    start.write_bytes(image)
    done = drrpack("verify", start, "--quick")
    assert done.code == 3 and "damaged" in done.errors
    content = json.loads(drrpack("verify", start, "--json").output)
    assert content["sound"] is False and content["exit_code"] == 3
    assert content["kind"] == "CorruptError" and str(start) in content["error"]
    (tmp_path / "text.drr").write_text("no such thing")
    assert drrpack("verify", tmp_path / "text.drr").code == 3
    assert drrpack("verify", tmp_path / "absent.drr").code == 2


def test_streams_that_decode_to_something_else(drrpack: Command, start: Path) -> None:
    """Every checksum is right, and the models are others: only decoding tells."""
    with Reader(start) as reader:
        content = reader.memory()
    data = bytearray(content.entropy_model.data)
    data[1000] ^= 1  # the lowest bit of some weight
    model = type(content.entropy_model)("1.0", content.entropy_model.config, bytes(data))
    write(start, type(content)(**{**content.__dict__, "entropy_model": model}), overwrite=True)
    assert drrpack("verify", start).code == 0
    done = drrpack("verify", start, "--full")
    assert done.code == 3 and str(start) in done.errors


def test_leftovers_are_named_and_removed(drrpack: Command, start: Path, tmp_path: Path) -> None:
    left = tmp_path / ".drr-0123456789abcdef.tmp"
    left.write_bytes(b"half a file")
    done = drrpack("drop", start, "0")
    assert done.code == 0 and str(left) in done.errors.replace("\n", "")
    assert not left.exists()
