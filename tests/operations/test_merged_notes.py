"""What a merged file says of itself holds of all its parts, in whatever turn they come."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import drrpack
from drrpack.formats import metadata
from drrpack.formats.container import Reader, write
from drrpack.operations.edit import drop

pytestmark = pytest.mark.usefixtures("one_thread")


class Halves:
    """Two files of one codec, of five digits each, whose notes a test says."""

    def __init__(self, whole: Path, place: Path) -> None:
        self.whole, self.place = whole, place

    def notes(self, one: dict[str, Any], two: dict[str, Any], turned: bool = False) -> Any:
        """Those of the merged file; None stands for what is left out."""
        paths = [self.place / "1.drr", self.place / "2.drr"]
        with Reader(self.whole) as reader:
            content, names = reader.memory(), list(reader.classes)
            for path, said, gone in zip(paths, (one, two), (names[:5], names[5:]), strict=True):
                part = drop(path, content, gone)
                notes = {k: v for k, v in {**part.metadata, **said}.items() if v is not None}
                write(path, replace(part, metadata=notes), overwrite=True)
        made = drrpack.merge(paths[::-1] if turned else paths, self.place / "both.drr", force=True)
        with Reader(made.path) as reader:
            return reader.metadata


@pytest.fixture
def halves(context_drr: Path, tmp_path: Path) -> Halves:
    return Halves(context_drr, tmp_path)


def psnr(db: float | None, images: int, where: str) -> dict[str, Any]:
    return {"figures": {"psnr_db": db, "psnr_images": images, "psnr_on": where}}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "two", "wanted"),
    [
        (None, {"per_class": 2, "select": "random"}, {"per_class": 2, "select": "random"}),
        ({"per_class": 5, "select": "herding"}, {"per_class": 2, "select": "random"},
         {"per_class": 5, "select": "herding"}),
        (None, None, None),
        ("by hand", {"per_class": 1, "select": "herding"}, {"per_class": 1, "select": "herding"}),
        ({"per_class": "many"}, None, {"per_class": "many"}),
    ],
)  # fmt: skip
def test_the_rule_for_raw_images(
    halves: Halves, one: Any, two: Any, wanted: Any, turned: bool
) -> None:
    assert halves.notes({"raw": one}, {"raw": two}, turned).get("raw") == wanted


def test_append_follows_the_merged_rule(
    halves: Halves, digits_folder: Path, tmp_path: Path
) -> None:
    halves.notes({"raw": None}, {"raw": {"per_class": 2, "select": "herding"}})
    path = tmp_path / "both.drr"
    shutil.copytree(digits_folder / "test" / "3", tmp_path / "more" / "new")
    drrpack.append(path, tmp_path / "more", keep_entropy_model=True, device="cpu")
    with Reader(path) as reader:
        assert reader.raw_index["class"].tolist() == [10] and len(reader.raw_index) == 1
        assert reader.raw_index["images"].tolist() == [2]


@pytest.mark.parametrize("turned", [False, True])
def test_psnr_is_over_the_images_of_both(halves: Halves, turned: bool) -> None:
    one, two = psnr(20.0, 100, "the test split"), psnr(30.0, 300, "training images of 2 classes")
    halves.notes(one, two, turned)
    found = drrpack.stats(halves.place / "both.drr")
    error = (100 * 255**2 / 100 + 300 * 255**2 / 1000) / 400
    assert found.psnr_db == pytest.approx(10 * math.log10(255**2 / error))
    assert found.psnr_images == 400
    where = ["the test split", "training images of 2 classes"]
    assert found.psnr_on == " and ".join(where[::-1] if turned else where)


def test_psnr_on_what_has_the_same_words(halves: Halves) -> None:
    halves.notes(psnr(20.0, 5, "the test split"), psnr(20.0, 6, "the test split"))
    found = drrpack.stats(halves.place / "both.drr")
    assert (found.psnr_images, found.psnr_on) == (11, "the test split, in each of 2 files")
    assert found.psnr_db == pytest.approx(20.0)


def test_psnr_that_was_measured_once_for_all(halves: Halves) -> None:
    told = psnr(20.0, 5, "the test split")
    assert halves.notes(told, told)["figures"] == told["figures"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "unknown", [None, {"figures": "see paper"}, psnr(None, 0, "nothing was held out"),
                {"figures": {"psnr_db": 30.0}}, psnr(30.0, -1, "?")],
)  # fmt: skip
def test_no_psnr_of_one_part_alone(halves: Halves, unknown: Any, turned: bool) -> None:
    said = {"figures": None} if unknown is None else unknown
    halves.notes(psnr(20.0, 5, "the test split"), said, turned)
    found = drrpack.stats(halves.place / "both.drr")
    assert (found.psnr_db, found.psnr_images) == (None, 0)


def test_no_other_figures_of_one_part(halves: Halves) -> None:
    told = psnr(20.0, 5, "x")["figures"]
    of_one = {**told, "entropy_bytes": {"context": 5}, "reference_bits": {"all": {"lzma": 7.0}}}
    assert halves.notes({"figures": of_one}, {"figures": told})["figures"] == told


def test_a_file_alone_has_its_psnr_and_no_figures_of_streams(
    context_drr: Path, tmp_path: Path
) -> None:
    before = drrpack.stats(context_drr)
    drrpack.merge(context_drr, tmp_path / "one.drr")
    found = drrpack.stats(tmp_path / "one.drr")
    assert (found.psnr_db, found.psnr_images) == (before.psnr_db, before.psnr_images)
    assert found.bits_per_code.all.coded == before.bits_per_code.all.coded
    for bits, known in ((before.bits_per_code.all, True), (found.bits_per_code.all, False)):
        assert (bits.order0 is not None, bits.lzma is not None) == (known, known)


@pytest.mark.parametrize("turned", [False, True])
def test_what_the_codec_was_fitted_on_is_known_if_one_file_knows(
    halves: Halves, turned: bool
) -> None:
    with Reader(halves.whole) as reader:
        digest = reader.metadata["sources"][0]["digest"]["train"]
    known = {"source_digest": digest, "classes": 2, "networks": {}}
    for other in (None, {"device": "cpu"}, {"source_digest": "another", "classes": 9}):
        notes = halves.notes({"fit": known}, {"fit": other}, turned)
        assert notes["fit"] == known
        assert metadata.fitted_classes(notes)
    assert "fit" not in halves.notes({"fit": None}, {"fit": None}, turned)


def test_the_tuning_of_one_part_is_not_that_of_all(halves: Halves) -> None:
    log = {"source_digest": "x", "classes": 2}
    tuned = {**log, "tuned": {"context_top": {"loss": 1.0}}}
    assert halves.notes({"fit": tuned}, {"fit": log})["fit"] == log
    assert halves.notes({"fit": tuned}, {"fit": tuned})["fit"] == tuned
