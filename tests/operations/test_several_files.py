"""What stats, verify, export and merge do with several files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Command
from PIL import Image

import drrpack as library
from drrpack import DRRDataset, OptionError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def parts(bitswap_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files with classes 0, 1, 2 and 2, 3."""
    place = tmp_path_factory.mktemp("parts")
    for name, kept in (("mem-1.drr", "012"), ("mem-2.drr", "23")):
        shutil.copy(bitswap_drr, place / name)
        library.drop(place / name, [digit for digit in "0123456789" if digit not in kept])
    return [place / "mem-1.drr", place / "mem-2.drr"]


def pattern(parts: list[Path]) -> str:
    return str(parts[0].with_name("mem-*.drr"))


def test_stats(drrpack: Command, parts: list[Path]) -> None:
    assert library.stats([pattern(parts)]) == [library.stats(path) for path in parts]
    shown = json.loads(drrpack("stats", pattern(parts), "--json").output)
    assert [(one["path"], one["images"]) for one in shown] == [
        (str(parts[0]), 90), (str(parts[1]), 60),
    ]  # fmt: skip
    assert set(json.loads(drrpack("stats", parts[0], "--json").output)) == set(shown[0]) - {"path"}
    tables = drrpack("stats", *parts).output
    assert tables.count("Every byte") == 2 and all(str(path) in tables for path in parts)


def test_verify(drrpack: Command, parts: list[Path], tmp_path: Path) -> None:
    found = library.verify([pattern(parts)], "full")
    assert [(one.path, one.images) for one in found] == [(str(parts[0]), 90), (str(parts[1]), 60)]
    assert drrpack("verify", *parts).output.count(": sound (") == 2
    bad = Path(shutil.copy(parts[0], tmp_path / "bad.drr"))
    content = bytearray(bad.read_bytes())
    content[-5] ^= 1
    bad.write_bytes(content)
    done = drrpack("verify", bad, parts[1])
    assert done.code == 3 and str(bad) in done.errors and f"{parts[1]}: sound" in done.output
    done = drrpack("verify", parts[0], bad, parts[1], "--json")
    assert done.code == 3
    assert [one["sound"] for one in json.loads(done.output)] == [True, False, True]
    with pytest.raises(library.CorruptError, match=str(bad)):
        library.verify([parts[0], bad])


def test_export(drrpack: Command, parts: list[Path], tmp_path: Path) -> None:
    images, labels = DRRDataset(parts).to_numpy()
    assert drrpack("export", pattern(parts), tmp_path / "all.npz").code == 0
    with np.load(tmp_path / "all.npz") as found:
        np.testing.assert_array_equal(found["images"], images)
        np.testing.assert_array_equal(found["labels"], labels)
        assert found["classes"].tolist() == ["0", "1", "2", "3"]
    assert drrpack("export", *parts, tmp_path / "out", "--classes", "2").code == 0
    written = sorted((tmp_path / "out" / "2").iterdir())
    assert [path.name for path in written] == [f"{number:05}.png" for number in range(60)]
    found_images = np.stack([np.asarray(Image.open(path)) for path in written])
    np.testing.assert_array_equal(found_images, images[labels == 2])


@pytest.mark.parametrize(("name", "bound"), [("IMAGES_AT_ONCE", 7), ("PIXELS_AT_ONCE", 7 * 1024)])
def test_export_in_small_pieces(
    bitswap_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    monkeypatch.setattr("drrpack.operations.export.CODES_BYTES", 3 * 30 * 160)
    monkeypatch.setattr(f"drrpack.operations.export.{name}", bound)
    library.export(bitswap_drr, tmp_path / "all.npz", device="cpu")
    np.savez(tmp_path / "numpy.npz", **dict(zip(("images", "labels"),
             DRRDataset(bitswap_drr).to_numpy(), strict=True)),
             classes=np.array([str(digit) for digit in range(10)]))  # fmt: skip
    with np.load(tmp_path / "all.npz") as one, np.load(tmp_path / "numpy.npz") as other:
        assert one.files == other.files
        for name in one.files:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])


def test_merge_takes_patterns(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"both .*mem-1.* and .*mem-2.* have a class '2'"):
        library.merge([pattern(parts)], tmp_path / "both.drr")
    shutil.copy(parts[1], tmp_path / "mem-2.drr")
    library.drop(tmp_path / "mem-2.drr", ["2"])
    shutil.copy(parts[0], tmp_path / "mem-1.drr")
    made = library.merge([tmp_path / "mem-*.drr"], tmp_path / "both.drr")
    assert made.classes == 4
    np.testing.assert_array_equal(
        DRRDataset(made.path).to_numpy()[0],
        DRRDataset([tmp_path / "mem-1.drr", tmp_path / "mem-2.drr"]).to_numpy()[0],
    )


def test_what_takes_one_file(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2 files, expected one"):
        library.preview(parts, tmp_path / "grid.png")  # type: ignore[arg-type]
