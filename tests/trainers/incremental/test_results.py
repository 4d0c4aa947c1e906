"""Averages and forgetting against numbers worked out by hand; tables; the plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import OptionError, SourceError
from drrpack.trainers.incremental.results import (
    forgetting,
    phase_entry,
    plot,
    read_result,
    summarise,
    table,
)


def result(method: str, seed: int, accuracies: list[float], **other: Any) -> dict[str, Any]:
    phases = [
        {"phase": k, "classes_seen": 5 + k, "accuracy": accuracy, "group_accuracy": [0.0] * (k + 1)}
        for k, accuracy in enumerate(accuracies)
    ]
    same = {"recipe": "fast", "epochs": 30, "width": 32, "memory_bytes": {"total": 100}}
    return {
        "method": method,
        "seed": seed,
        "phases": phases,
        "config": {},
        **summarise(phases),
        **same,
        **other,
    }


def test_phase_entry() -> None:
    record = {
        "confusion": [[9, 1, 0], [2, 5, 3], [9, 9, 2]],
        "seconds": 1.5,
        "losses": [2.5, 1.5],
        "memory_bytes": {"payload": 10, "models": 20},
    }
    assert phase_entry(1, [2, 1], record) == {
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


def test_summary_by_hand() -> None:
    phases = [
        {"accuracy": 80.0, "group_accuracy": [80.0]},
        {"accuracy": 60.0, "group_accuracy": [50.0, 70.0]},
        {"accuracy": 50.0, "group_accuracy": [60.0, 40.0, 50.0]},
    ]
    # the base fell from 80 to 60, the first phase from 70 to 40
    assert summarise(phases) == {
        "average_accuracy": 55.0,
        "average_accuracy_with_base": pytest.approx(190 / 3),
        "last_accuracy": 50.0,
        "forgetting": 25.0,
    }


@pytest.mark.parametrize("phases", [5, 10, 25])
def test_the_protocols_of_the_paper_by_hand(phases: int) -> None:
    """Base 50. With 100 test images a class, the classes of the base lose one right answer a phase,
    from 80; those of later phases start at 90 and lose two."""
    step = 50 // phases
    groups = [50] + phases * [step]

    def confusion(phase: int) -> list[list[int]]:
        right = 50 * [80 - phase]
        for group in range(1, phase + 1):
            right += step * [90 - 2 * (phase - group)]
        rows = [[0] * len(right) for _ in right]
        for label, count in enumerate(right):
            rows[label][label] = count
            rows[label][label - 1] += 100 - count
        return rows

    entries = [
        phase_entry(
            phase, groups[: phase + 1],
            {"confusion": confusion(phase), "losses": [], "memory_bytes": {}, "seconds": 0.0},
        )
        for phase in range(phases + 1)
    ]  # fmt: skip
    after = [  # of 50 + step * k classes, the k groups stand at 90, 88, 86, ...
        (50 * (80 - k) + step * (90 * k - k * (k - 1))) / (50 + step * k) for k in range(phases + 1)
    ]
    assert [entry["accuracy"] for entry in entries] == pytest.approx(after)
    assert summarise(entries) == {
        "average_accuracy": pytest.approx(sum(after[1:]) / phases),
        "average_accuracy_with_base": pytest.approx(sum(after) / (phases + 1)),
        "last_accuracy": pytest.approx((50 * (80 - phases) + 50 * (91 - phases)) / 100),
        # the base falls by `phases`, group j by twice what is left after it: their mean
        "forgetting": pytest.approx(phases),
    }


def test_forgetting_takes_the_best_earlier_phase_and_may_be_negative() -> None:
    assert forgetting([[50.0], [90.0, 10.0], [60.0, 30.0, 5.0]]) == (30 - 20) / 2
    assert forgetting([[77.0]]) is None


def test_base_alone() -> None:
    summary = summarise([{"accuracy": 80.0, "group_accuracy": [80.0]}])
    assert summary["average_accuracy"] is None
    assert summary["average_accuracy_with_base"] == summary["last_accuracy"] == 80.0


def test_table_means_over_seeds() -> None:
    runs = [
        result("drr", 0, [70, 60, 50]),
        result("drr", 1, [70, 64, 52]),
        result("ub", 0, [80, 75, 71]),
    ]
    drr, ub = table(runs)
    assert (drr["method"], drr["phases"], drr["seeds"]) == ("drr", 2, 2)
    assert drr["average_accuracy"] == pytest.approx(56.5)
    assert drr["average_accuracy_std"] == pytest.approx(2.1213203)
    assert (ub["last_accuracy"], ub["last_accuracy_std"]) == (71, None)


@pytest.mark.parametrize("other", [{"recipe": "paper"}, {"epochs": 3}, {"width": 64}])
def test_what_does_not_compare_shares_no_table(other: dict[str, Any], tmp_path: Path) -> None:
    runs = [result("drr", 0, [70, 60]), result("ub", 0, [80, 70], **other)]
    with pytest.raises(OptionError, match=next(iter(other))):
        table(runs)
    with pytest.raises(OptionError):
        plot(runs, tmp_path / "accuracy.png")


def test_plot_is_a_png(tmp_path: Path) -> None:
    runs = [
        result("drr", 0, [70, 60]),
        result("drr", 1, [72, 61]),
        result("ub", 0, [80, 70]),
    ]
    plot(runs, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy.png"]


def test_read_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result("drr", 0, [70, 60])))
    assert read_result(path)["average_accuracy"] == 60
    path.write_text("{}")
    with pytest.raises(SourceError, match="lacks average_accuracy"):
        read_result(path)
    path.write_text("{")
    with pytest.raises(SourceError, match="can't be read"):
        read_result(path)
