"""Reported: python-pillow/Pillow#857: what is saved again has the default quality, not its own.

Right: whatever encodes with the codec of a file takes the codes that the file itself would hold.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_memory import options_for

from drrpack import DRRDataset
from drrpack.core.errors import CorruptError, OptionError
from drrpack.core.quality import psnr_db
from drrpack.formats import shipped
from drrpack.formats.container import Memory, Reader, write
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.source import open_source
from drrpack.operations.append import append
from drrpack.operations.edit import drop, merge
from drrpack.operations.encode import carry_out
from drrpack.operations.encode_plan import plan_encode
from drrpack.trainers.comparison.compare import compare
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
EACH = 6  # pictures of a digit
QUALITY = 20  # at which most codes are not the nearest
KINDS: dict[str, dict[str, Any]] = {
    "context": {"entropy": "context"},
    "bitswap": {"entropy": "bitswap"},
    "decoder alone": {"entropy": "bitswap", "decoder_only": True},
    "thin": {"entropy": "bitswap", "thin": True},
}
SOME = ["context", "bitswap"]
MANY = [*SOME, *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind not in SOME)]


@pytest.fixture(scope="module")
def place(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``all`` has two digits, which its test split repeats; ``first`` and ``more`` have one."""
    place = tmp_path_factory.mktemp("quality")
    for name, digits in (("all/train", "38"), ("all/test", "38"), ("first", "3"), ("more", "8")):
        for digit in digits:
            (place / name / digit).mkdir(parents=True)
            for picture in sorted((digits_folder / "train" / digit).iterdir())[:EACH]:
                shutil.copy(picture, place / name / digit)
    return place


@pytest.fixture(scope="module")
def made(place: Path) -> dict[str, Path]:
    """Both digits at the quality by the codec that comes along, as each kind of file."""

    class Made(dict[str, Path]):
        def __missing__(self, kind: str) -> Path:
            path = place / f"{kind}.drr"
            self[kind] = encoded(place / "all", path, quality=QUALITY, **KINDS[kind])
            return self[kind]

    return Made()


def encoded(source: Path, output: Path, **options: Any) -> Path:
    return carry_out(plan_encode(options_for(source, output, **{"fit": "no", **options})))


def codes(path: Path, name: str) -> np.ndarray:
    data = DRRDataset(path, classes=[name])
    top, bottom = data.codes(range(len(data)))
    return np.concatenate([top.numpy().reshape(len(data), -1), bottom.flatten(1).numpy()], 1)


def appended(path: Path, source: Path) -> Path:
    append(path, source, keep_entropy_model=True, device="cpu")
    return path


@pytest.mark.parametrize("kind", MANY)
def test_append(made: dict[str, Path], place: Path, tmp_path: Path, kind: str) -> None:
    options = {"quality": QUALITY, **KINDS[kind]}
    first = encoded(place / "first", tmp_path / "mem.drr", **options)
    found = codes(appended(first, place / "more"), "8")
    np.testing.assert_array_equal(found, codes(made[kind], "8"))


def test_these_codes_are_not_the_nearest(
    made: dict[str, Path], place: Path, tmp_path: Path
) -> None:
    """So the tests here would see another quality."""
    best = encoded(place / "all", tmp_path / "best.drr", quality=100, entropy="context")
    assert (codes(best, "8") != codes(made["bitswap"], "8")).mean() > 0.2


@pytest.mark.parametrize("kind", MANY)
def test_the_view_of_test_images(made: dict[str, Path], kind: str) -> None:
    """The test images are those that the file holds: they come back as it gives them."""
    data = MemoryData(made[kind], source=made[kind].parent / "all")
    seen, labels = data.test_through_codec([1, 0])
    pixels = DRRDataset(made[kind]).to_numpy()[0]
    np.testing.assert_array_equal(seen, np.concatenate([pixels[EACH:], pixels[:EACH]]))
    assert labels.tolist() == EACH * [1] + EACH * [0]


@pytest.mark.parametrize("kind", SOME)
def test_a_codec_that_is_taken_over(
    made: dict[str, Path], place: Path, tmp_path: Path, kind: str
) -> None:
    again = encoded(place / "more", tmp_path / "again.drr", codec=made[kind])
    np.testing.assert_array_equal(codes(again, "8"), codes(made[kind], "8"))
    with Reader(again) as reader:
        assert reader.metadata["quality"] == QUALITY


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOME)
def test_a_finer_decoder(made: dict[str, Path], place: Path, tmp_path: Path, kind: str) -> None:
    """``--finetune-decoder`` leaves the codes as they are."""
    tuned = encoded(place / "all", tmp_path / "tuned.drr", codec=made[kind], fit="decoder")
    np.testing.assert_array_equal(codes(tuned, "8"), codes(made[kind], "8"))
    with Reader(tuned) as reader:
        assert list(reader.metadata["fit"]["networks"]) == ["decoder"]


@pytest.mark.slow
def test_what_a_memory_costs(made: dict[str, Path], place: Path) -> None:
    """``drrpack compare --codec`` measures the memory at hand first."""
    source, pixels = open_source(place / "all"), DRRDataset(made["bitswap"]).to_numpy()[0]
    with Reader(made["bitswap"]) as reader:
        codec = load_codec(reader, CPU, encoder=True)
    memory = compare(source, [codec], [0, 1], 2 * EACH, lambda _: None).memory
    assert memory.setting == f"q{QUALITY}"
    assert memory.psnr_db == pytest.approx(psnr_db(source.load_all()[0], pixels))


@pytest.mark.parametrize(
    ("one", "two", "kept"), [(20, 20, 20), (20, 60, 60), (20, None, 100), (None, None, None)]
)
def test_merged_files(digits_drr: Path, one: int | None, two: int | None, kept: int | None) -> None:
    """More images of what was merged are never worse than any in it; of an early file, which says
    nothing, they are the nearest."""
    with Reader(digits_drr) as reader:
        content, names = reader.memory(), list(reader.classes)
    halves = {
        Path("1"): of_quality(drop(digits_drr, content, names[:5]), one),
        Path("2"): of_quality(drop(digits_drr, content, names[5:]), two),
    }
    for files in (halves, dict(reversed(halves.items()))):
        assert merge(files).metadata.get("quality") == kept


def of_quality(memory: Memory, quality: int | None) -> Memory:
    rest = {name: value for name, value in memory.metadata.items() if name != "quality"}
    said = {} if quality is None else {"quality": quality}
    return replace(memory, metadata={**rest, **said})


# --- where it can't be kept ----------------------------------------------------------------------


def test_a_file_whose_context_model_is_lost(
    made: dict[str, Path], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(made["bitswap"], tmp_path / "mem.drr"))
    pixels = DRRDataset(path).to_numpy()[0]
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nothing")
    np.testing.assert_array_equal(DRRDataset(path).to_numpy()[0], pixels)
    for attempt in (
        lambda: appended(path, place / "first"),
        lambda: appended(path, place / "more"),
        lambda: MemoryData(path, source=place / "all").test_through_codec([0]),
        lambda: DRRDataset(path).codec.encode(pixels),
    ):
        with pytest.raises(OptionError):
            attempt()
    assert path.read_bytes() == made["bitswap"].read_bytes()


@pytest.mark.parametrize("quality", ["good", 101, -1, 7.5, True])
def test_a_quality_that_is_none(made: dict[str, Path], tmp_path: Path, quality: object) -> None:
    path = tmp_path / "mem.drr"
    with Reader(made["context"]) as reader:
        content = reader.memory()
    content.metadata["quality"] = quality
    write(path, content)
    pixels = DRRDataset(path).to_numpy()[0]
    with Reader(path) as reader, pytest.raises(CorruptError, match=r"mem.drr: its quality is"):
        load_codec(reader, CPU, encoder=True).encode(pixels)
