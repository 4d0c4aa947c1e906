"""Reported: google-research/l2p#11: the backbone had been fitted on all classes before the first
phase, and nothing in the results told; its users asked whether that was leakage.

Right: which of a run's classes the codec has seen before their phase is said before the training
and stands in result.json; of a codec that was fitted on other images, nothing is made up.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from protocol_data import SMALL, DigitsData, run, small_settings

from drrpack.cli import telling
from drrpack.formats import metadata
from drrpack.formats.container import Reader, write
from drrpack.operations import edit
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.run_plan import plan_run

pytestmark = pytest.mark.usefixtures("one_thread")

FITTED = list("01234")  # those of the digits' file, as `encode --fit` takes the first half
OPTIONS: dict[str, Any] = {"class_order": None, "width": 2}


@pytest.fixture
def own_drr(fitted_drr: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copy(fitted_drr, tmp_path / "mem.drr"))


def said(data: Any, out: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> tuple[str, str]:
    planned = plan_run(data, small_settings("drr", **(OPTIONS | more)), out)
    telling.print_codec_classes(planned.codec_classes)
    shown = capsys.readouterr()
    return shown.out, shown.err


def test_the_file_says_which_classes_its_codec_was_fitted_on(fitted_drr: Path) -> None:
    assert MemoryData(fitted_drr).codec_classes == FITTED
    assert MemoryData(fitted_drr, numbers=[9, 0]).codec_classes == FITTED


def test_it_is_said_before_the_training(
    fitted_drr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = MemoryData(fitted_drr)
    note, warning = said(data, tmp_path, capsys, base=5, phases=1)
    assert "5 classes, all of the base" in note and warning == ""
    backwards = {"class_order": list(range(9, -1, -1))}
    note, warning = said(data, tmp_path, capsys, base=6, phases=1, **backwards)
    assert note == "" and "fitted on 5 of these classes, 4 of which come after" in warning
    assert "'3', '2', '1', '0'" in warning
    some = MemoryData(fitted_drr, numbers=[7, 8])
    note, warning = said(some, tmp_path, capsys, base=1, phases=1)
    assert "fitted on none of these classes" in note and warning == ""


def test_it_stands_in_the_result(tmp_path: Path) -> None:
    data = DigitsData(8)
    data.codec_classes = ["digit 3", "digit 5", "digit 8"]
    settings = SMALL | {"phases": 1, "width": 2}
    result = run(data, "drr", out=tmp_path / "drr", **settings)
    wanted = {"fitted": ["digit 3", "digit 5", "digit 8"], "after_base": ["digit 5", "digit 8"]}
    assert result.codec_classes is not None and asdict(result.codec_classes) == wanted
    assert json.loads((tmp_path / "drr" / "result.json").read_text())["codec_classes"] == wanted
    ceiling = run(data, "ub", out=tmp_path / "ub", **settings)
    assert ceiling.codec_classes is None and "codec_classes" not in ceiling.to_json()
    data.codec_classes = []
    assert run(data, "drr", out=tmp_path / "none", **settings).codec_classes is None


def test_nothing_is_made_up(own_drr: Path) -> None:
    """A codec that was fitted on something else, as that which comes with drrpack; no notes."""
    with Reader(own_drr) as reader:
        content = reader.memory()
    other = {"source_digest": "of other images", "classes": 50}
    own = content.metadata["fit"]
    for fit, known in (
        (other, []), (own | {"before": other}, FITTED), (other | {"before": own}, FITTED),
        ({}, []), ("", []), (own | {"classes": "5"}, []),
    ):  # fmt: skip
        notes = {**content.metadata, "fit": fit}
        write(own_drr, replace(content, metadata=notes), overwrite=True)
        assert MemoryData(own_drr).codec_classes == known, fit


def test_classes_that_were_dropped_do_not_shift_it(own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        content = reader.memory()
    once = edit.drop(own_drr, content, ["1", "8"])
    twice = edit.drop(own_drr, once, ["0"])
    for less in (once, twice):
        assert metadata.fitted_classes(less.metadata) == FITTED
        write(own_drr, less, overwrite=True)
        assert MemoryData(own_drr).codec_classes == FITTED
