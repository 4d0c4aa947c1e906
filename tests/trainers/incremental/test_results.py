"""result.json: what stands in it, and that reading gives back what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, small_settings
from run_results import result

from drrpack.cli.training_screen import print_results
from drrpack.core.errors import SourceError
from drrpack.trainers.incremental.records import PhaseRecord
from drrpack.trainers.incremental.report import write_report
from drrpack.trainers.incremental.results import Result, make_result, phase_result, read_result
from drrpack.trainers.incremental.run_plan import plan_run

OLD = Path(__file__).resolve().parents[3] / "benchmarks" / "results"


def test_a_phase() -> None:
    record = PhaseRecord(
        confusion=[[9, 1, 0], [2, 5, 3], [9, 9, 2]],
        losses=[2.5, 1.5],
        memory_bytes={"payload": 10, "models": 20},
        seconds=1.5,
    )
    plain = {
        "phase": 1,
        "classes_seen": 3,
        "accuracy": 40.0,
        "class_accuracy": [90.0, 50.0, 10.0],
        "group_accuracy": [70.0, 10.0],
        "new_class_accuracy": 10.0,
        "new_class_answers": 12.5,
        "new_class_images": 50.0,
        "losses": [2.5, 1.5],
        "memory_bytes": 30,
        "seconds": 1.5,
    }
    assert phase_result(1, [2, 1], record).to_json() == plain
    more = replace(record, loss_terms={"a": [2.0, None]}, through_codec=record.confusion)
    assert phase_result(1, [2, 1], more).to_json() == {
        **plain, "accuracy_through_codec": 40.0, "loss_terms": {"a": [2.0, None]},
    }  # fmt: skip


def test_no_setting_is_left_out(tmp_path: Path) -> None:
    """Each one that a run is described by is in its result, and an unknown one is an error."""
    described = plan_run(DigitsData(8), small_settings("ib-drr", phases=2), tmp_path).described
    record = PhaseRecord(confusion=[[3] * 4] * 4, losses=[], memory_bytes={}, seconds=1.0)
    found = make_result(described, [record], torch.device("cpu"), None).to_json()
    for name, value in described.items():
        assert (found["config"] | found)[name] == value or name in ("phases", "recipe"), name
    assert found["config"]["phases"] == 2 and found["config"]["recipe"] == described["recipe"]
    with pytest.raises(TypeError, match="strength"):
        make_result(described | {"strength": 3}, [record], torch.device("cpu"), None)


@pytest.mark.usefixtures("one_thread")
def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    data = DigitsData(8)
    data.codec_classes = ["digit 3"]
    options: dict[str, Any] = {"options": {"similarity_weight": 0.5}, "test_view": "both"}
    made = run(data, "ib-drr", out=tmp_path, **(SMALL | {"phases": 2, "width": 2} | options))
    assert made.through_codec is not None and made.codec_classes is not None
    assert made.config.options == {"similarity_weight": 0.5}
    assert read_result(tmp_path / "result.json") == made


@pytest.mark.skipif(not OLD.is_dir(), reason="a checkout without benchmarks")
def test_results_of_earlier_versions_are_read_whole() -> None:
    paths = sorted(OLD.rglob("result.json"))
    assert len(paths) >= 24
    for path in paths:
        written = json.loads(path.read_text("utf-8"))
        again = Result.from_json(written).to_json()
        assert {**again, "config": {**again["config"], **written["config"]}} == written, path


def test_what_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result("drr", 0, [70, 60]).to_json()))
    assert read_result(path).average_accuracy == 60
    for text, message in (
        ("{}", "lacks average_accuracy"), ("{", "can't be read"), ('{"phases": 1}', "lacks"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(SourceError, match=message):
            read_result(path)
    path.write_text(json.dumps(result("drr", 0, [70, 60]).to_json() | {"phases": 7}))
    with pytest.raises(SourceError, match=r"no result\.json that can be read"):
        read_result(path)
    for text in ("7", "null", "[]", '"result"'):
        path.write_text(text)
        with pytest.raises(SourceError, match=r"result\.json: found .*, expected an object"):
            read_result(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("phases", []), ("phases", ["first"]), ("phases", {}), ("phases", [{"phase": 0}]),
        ("config", None), ("memory_bytes", 7), ("class_order", "3"), ("confusion", 1),
    ],
)  # fmt: skip
def test_what_a_result_must_hold(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result("drr", 0, [70, 60]).to_json() | {key: value}))
    with pytest.raises(SourceError, match=rf"{path} .*; give the file that `drrpack train` wrote"):
        read_result(path)


def test_what_older_results_lack_is_left_out_of_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that `RunConfig`, `PhaseResult` and `read_result` allow a result to lack."""
    found = result("er", 0, [70, 60]).to_json() | {"class_order": [1, 0]}
    for phase in found["phases"]:
        phase["class_accuracy"] = 2 * [phase["accuracy"]]
    found["config"] = {}
    for name in ("names", "figures", "memory", "order"):
        if name == "figures":
            for phase in found["phases"]:
                del phase["class_accuracy"], phase["memory_bytes"]
        if name in ("memory", "order"):
            del found["memory_bytes" if name == "memory" else "class_order"]
        (tmp_path / "result.json").write_text(json.dumps(found))
        one = read_result(tmp_path / "result.json")
        write_report([one], tmp_path / "page.html")
        print_results([one], tmp_path)
        assert "60.00" in (tmp_path / "page.html").read_text("utf-8")
        assert "60.00" in capsys.readouterr().out
