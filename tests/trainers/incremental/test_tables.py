"""Rows of a table and the plot, of runs that differ in their seeds and of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from run_results import result

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.tables import plot, table


def test_table_means_over_seeds() -> None:
    runs = [
        result("drr", 0, [70, 60, 50]),
        result("drr", 1, [70, 64, 52]),
        result("ub", 0, [80, 75, 71]),
    ]
    drr, ub = table(runs)
    assert (drr.method, drr.phases, drr.seeds, drr.memory_bytes) == ("drr", 2, 2, 100)
    assert drr.figures["average_accuracy"].mean == pytest.approx(56.5)
    assert drr.figures["average_accuracy"].deviation == pytest.approx(2.1213203)
    row = ub.to_json()
    assert (row["last_accuracy"], row["last_accuracy_std"]) == (71, None)
    assert list(row)[:4] == ["method", "phases", "seeds", "memory_bytes"]


OTHERS = {"recipe": "paper", "epochs": 3, "width": 64}


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_compare_shares_no_table(name: str, tmp_path: Path) -> None:
    other: Result = replace(result("ub", 0, [80, 70]), **{name: OTHERS[name]})  # type: ignore[arg-type]
    runs = [result("drr", 0, [70, 60]), other]
    with pytest.raises(OptionError, match=name):
        table(runs)
    with pytest.raises(OptionError):
        plot(runs, tmp_path / "accuracy.png")


def test_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [
        result("drr", 0, [70, 60]),
        result("drr", 1, [72, 61]),
        result("ub", 0, [80, 70]),
    ]
    plot(runs, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy.png"]
