"""Reported: aimhubio/aim#334: runs could not be grouped by all their parameters but the seed, so
that a mean was either of one run or of runs that had nothing to do with one another.

Right: a mean is of runs that differ in their seeds alone, each seed once; what rows differ in
stands in a column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from drrpack.cli import terminal, training_screen
from drrpack.trainers.incremental.grouping import differing, grouped, without_doubles
from drrpack.trainers.incremental.metrics import Newest, newest, summarise
from drrpack.trainers.incremental.report import find_results, write_report
from drrpack.trainers.incremental.results import PhaseResult, Result, ThroughCodec
from drrpack.trainers.incremental.tables import plot, table

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "benchmarks" / "results" / "tin20-methods"
Change = Callable[[dict[str, Any]], None]


def outcome(seed: int, accuracies: list[float], **config: Any) -> dict[str, Any]:
    """What result.json holds of a run of three classes and two phases of one."""
    phases = [
        {
            "phase": k, "classes_seen": 1 + k, "accuracy": accuracy,
            "group_accuracy": [accuracy] * (k + 1), "class_accuracy": [accuracy] * (k + 1),
            "losses": [], "memory_bytes": 5, "seconds": 1.0,
        }
        for k, accuracy in enumerate(accuracies)
    ]  # fmt: skip
    settings = {
        "data": "0123456789abcdef", "classes": ["ant", "bee", "cat"], "base": 1, "phases": 2,
        "groups": [1, 1, 1], "device": "cpu", "budget_bytes": None, "exemplars_per_class": 20,
        "test_view": "raw", "compiled": False, "threads": 1,
        "recipe": {"name": "fast", "epochs": 3, "width": 4, "batch_size": 256},
    }  # fmt: skip
    return {
        "method": "er", "recipe": "fast", "epochs": 3, "width": 4, "seed": seed,
        "class_order": [0, 1, 2], "phases": phases, "wall_seconds": 3.0,
        **asdict(summarise([PhaseResult.from_json(phase) for phase in phases])),
        "memory_bytes": {"exemplars": 5, "total": 5}, "complete": True, "device": "cpu",
        "config": settings | config, "versions": {"drrpack": "1", "torch": "2"},
        "confusion": [[6, 2, 2], [1, 8, 1], [4, 1, 5]],
    }  # fmt: skip


def result(seed: int, accuracies: list[float], change: Change = lambda outcome: None) -> Result:
    """A run, with something of its result.json changed."""
    found = outcome(seed, accuracies)
    change(found)
    return Result.from_json(found)


def changed(change: Change) -> Result:
    """A run of another seed, in something else than that, too."""
    return result(1, [90.0, 85.0, 80.0], change)


CHANGES: dict[str, tuple[Change, str]] = {
    "options": (lambda r: r["config"].update(options={"temperature": 2.0}), "temperature=2.0"),
    "data": (lambda r: r["config"].update(data="fedcba9876543210"), "fedcba98"),
    "class_order": (lambda r: r.update(class_order=[2, 0, 1]), "cat, ant, …"),
    "base": (lambda r: r["config"].update(base=2), "2"),
    "budget": (lambda r: r["config"].update(budget_bytes=1_500_000), "1.5 MB"),
    "exemplars": (lambda r: r["config"].update(exemplars_per_class=5), "5"),
    "device": (lambda r: r["config"].update(device="cuda"), "cuda"),
    "compiled": (lambda r: r["config"].update(compiled=True), "yes"),
    "recipe_settings": (lambda r: r["config"]["recipe"].update(batch_size=9), "batch_size=9"),
    "drrpack": (lambda r: r["versions"].update(drrpack="2"), "2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_a_run_keeps_it_apart(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, shown = CHANGES[name]
    runs = [result(0, [50.0, 40.0, 30.0]), changed(change)]
    groups = grouped(runs)
    assert differing(groups) == [name] and [len(group.runs) for group in groups] == [1, 1]
    rows = table(runs)
    assert [row.figures["last_accuracy"].mean for row in rows] == [30.0, 80.0]
    assert [row.figures["last_accuracy"].deviation for row in rows] == [None, None]
    assert rows[0].settings[name] != rows[1].settings[name]
    one, other = (group.shown[name] for group in groups)
    assert one != other and other.startswith(shown)
    page = tmp_path / "page.html"
    write_report(runs, page)
    text = page.read_text("utf-8")
    figures = text.partition("<h2>Figures</h2>")[2].partition("<h2>New classes</h2>")[0]
    assert "30.00" in figures and "±" not in figures.replace("± is the standard", "")
    heading = name.replace("_", " ")
    assert f">{heading}</button>" in text and f"er, {heading} {other}" in text
    monkeypatch.setattr(terminal.console, "width", 300)
    training_screen.print_results(runs, tmp_path)
    printed = capsys.readouterr().out
    assert heading in printed and "±" not in printed and "55.00" not in printed


def of_method(method: str, options: dict[str, Any]) -> Result:
    def change(run: dict[str, Any]) -> None:
        run.update(method=method)
        run["config"].update(options=options, data=method.ljust(16, "0"))

    return result(0, [50.0, 40.0, 30.0], change)


def test_what_only_methods_differ_in_stands_in_a_table_of_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each method has options of its own, which would fill every table of a study."""
    page = tmp_path / "page.html"
    runs = [of_method("er", {}), of_method("lwf", {"temperature": 2.0})]
    write_report(runs, page)
    before, _, settings = page.read_text("utf-8").partition("<h2>Settings</h2>")
    assert "They differ in options, data: see Settings" in before
    assert "temperature=2.0" not in before and "<td>temperature=2.0</td>" in settings
    monkeypatch.setattr(terminal.console, "width", 300)
    training_screen.print_results(runs, tmp_path)
    assert "temperature" not in capsys.readouterr().out

    both = {"temperature": 5.0, "weight": 1.0}
    write_report([*runs[:1], *(of_method("lwf", both | {"temperature": t}) for t in (2, 5))], page)
    before = page.read_text("utf-8").partition("<h2>Settings</h2>")[0]
    assert ">lwf, options temperature=2</li>" in before and "weight=1.0" not in before
    assert ">er</li>" in before, "a method of one form needs no option to name it"


def test_curves_in_a_picture_are_named_by_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    labels: list[str] = []
    draw = Axes.plot
    monkeypatch.setattr(
        Axes, "plot",
        lambda self, *a, label, **k: labels.append(label) or draw(self, *a, label=label, **k),
    )  # fmt: skip
    budget, base = CHANGES["budget"][0], CHANGES["base"][0]
    plot([result(0, [50, 40, 30]), changed(budget), changed(base)], tmp_path / "a.png")
    assert labels == [
        "er, base 1, budget 1.5 MB", "er, base 2", "er, base 1",
    ]  # fmt: skip


def test_the_files_that_are_named_are_those_of_these_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where another run has left a result in the same folder."""
    (tmp_path / "result.json").touch()
    (tmp_path / "summary.json").touch()
    one, other = result(0, [50, 40, 30]), result(1, [50, 42, 34])
    assert training_screen.results_file([one, other], tmp_path) == tmp_path / "summary.json"
    assert training_screen.results_file([one], tmp_path) == tmp_path / "result.json"
    ceiling = replace(one, method="ub")
    assert training_screen.results_file([one, ceiling], tmp_path) == tmp_path / "result.json"


def test_seeds_alone_make_a_mean() -> None:
    def other(found: dict[str, Any]) -> None:
        found["config"].update(threads=8, test_view="both")

    (row,) = table([result(0, [50, 40, 30]), result(1, [50, 42, 34], other)])
    assert (row.seeds, row.figures["last_accuracy"].mean) == (2, 32.0)
    assert set(row.to_json()).isdisjoint(CHANGES), "a column where nothing differs"


def test_a_run_that_is_there_twice_counts_once() -> None:
    runs = [result(0, [50, 40, 30]), result(1, [50, 42, 34]), result(0, [50, 40, 30])]
    kept, doubles = without_doubles(runs)
    assert [run.seed for run in kept] == [0, 1] and [run.seed for run in doubles] == [0]
    (row,) = table(runs)
    assert row.seeds == 2
    assert row.figures["last_accuracy"].deviation == pytest.approx(2.8284271)
    seen = replace(runs[0], through_codec=ThroughCodec(None, None, 1.0))
    kept, _ = without_doubles([runs[0], seen])
    assert kept == [seen], "the one that tells more"


def test_a_double_is_spoken_of_on_the_page(tmp_path: Path) -> None:
    write_report([result(0, [50, 40, 30]), result(0, [50, 40, 30])], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert re.search("1 run, .*; 1 found twice, counted once", text)


# --- new classes ---------------------------------------------------------------------------------


def test_new_classes_by_hand() -> None:
    # the last class of three: 5 of its 10 images are told, 8 of 30 answers name it
    assert newest([[6, 2, 2], [1, 8, 1], [4, 1, 5]], 1) == Newest(
        new_class_accuracy=50.0,
        new_class_answers=pytest.approx(100 * 8 / 30),
        new_class_images=pytest.approx(100 * 10 / 30),
    )
    assert newest([[3, 1], [0, 4]], 2) == Newest(87.5, 100.0, 100.0)


def test_the_page_shows_them(tmp_path: Path) -> None:
    write_report([result(0, [50, 40, 30])], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8").partition("<h2>New classes</h2>")[2]
    cells = re.findall("<td[^>]*>([^<]*)</td>", text)
    assert cells[:5] == ["er", "2", "50.00", "26.67", "33.33"]


# --- results of earlier versions -----------------------------------------------------------------


@pytest.mark.skipif(not OLD.is_dir(), reason="a checkout without benchmarks")
def test_results_of_earlier_versions(tmp_path: Path) -> None:
    found = find_results([OLD])
    rows = {row.method: row for row in table(found)}
    assert len(found) == 24 and len(rows) == 8 and {row.seeds for row in rows.values()} == {3}
    lasts = [
        json.loads((OLD / f"drr-5phases-seed{seed}" / "result.json").read_text())["last_accuracy"]
        for seed in range(3)
    ]
    assert rows["drr"].figures["last_accuracy"].mean == pytest.approx(sum(lasts) / 3)
    assert all(run.newest_at_end() is not None for run in found)
    write_report(found, tmp_path / "page.html")
    assert "24 runs, 20 classes, base 10" in (tmp_path / "page.html").read_text("utf-8")
