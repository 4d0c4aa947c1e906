"""Accuracy over budgets: which runs make a curve, and the area below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_results import result

from drrpack.trainers.incremental.chart import Point
from drrpack.trainers.incremental.equal_memory import area, budget_curves, common_range
from drrpack.trainers.incremental.grouping import grouped
from drrpack.trainers.incremental.report import write_report
from drrpack.trainers.incremental.results import Result

DRR = {2: (40, 20), 4: (50, 40), 8: (60, 50)}  # MB: accuracy of both phases
ER = {1: (30, 10), 3: (40, 20), 8: (50, 45)}


def runs_at(method: str, found: dict[int, tuple[int, int]], seed: int = 0) -> list[Result]:
    return [
        replace(one, config=replace(one.config, budget_bytes=budget * 1_000_000))
        for budget, accuracies in found.items()
        for one in [result(method, seed, accuracies)]
    ]


def line(*points: tuple[float, float]) -> Sequence[Point]:
    return [Point(*point) for point in points]


def test_the_area_is_that_of_trapezoids() -> None:
    points = line((0, 10), (2, 30), (6, 50))
    assert area(points, 0, 6) == 2 * 20 + 4 * 40
    assert area(points, 1, 4) == pytest.approx((20 + 30) / 2 * 1 + (30 + 40) / 2 * 2)
    assert area(points, 2, 2) == 0


@given(
    st.lists(st.tuples(st.floats(0.1, 9), st.floats(0, 100)), min_size=1, max_size=6),
    st.floats(0.1, 0.9),
)
def test_areas_of_parts_add_up(steps: list[tuple[float, float]], share: float) -> None:
    points, x = [Point(1.0, 50.0)], 1.0
    for step, y in steps:
        x += step
        points.append(Point(x, y))
    middle = 1 + share * (x - 1)
    assert area(points, 1, middle) + area(points, middle, x) == pytest.approx(area(points, 1, x))


def test_runs_that_differ_in_budget_alone_make_a_curve() -> None:
    alone = [result("ub", 0, [70, 60]), *runs_at("finetune", {4: (10, 5)})]
    runs = [*reversed(runs_at("drr", DRR)), *runs_at("er", ER), *runs_at("er", ER, seed=1), *alone]
    drr, er = budget_curves(grouped(runs))
    assert [(p.x, p.y) for p in drr.last] == [(2, 20), (4, 40), (8, 50)]
    assert [(p.x, p.y) for p in er.average] == [(1, 20), (3, 30), (8, 47.5)], "with phase 0"
    assert common_range([drr, er]) == (2, 8)


def test_budgets_without_a_range_in_common_have_no_areas(tmp_path: Path) -> None:
    runs = [*runs_at("drr", {4: (50, 40), 8: (60, 50)}), *runs_at("er", {1: (30, 10), 3: (40, 20)})]
    assert common_range(budget_curves(grouped(runs))) is None
    write_report(runs, tmp_path / "report.html")
    assert "no range of budgets in common" in (tmp_path / "report.html").read_text()


def test_the_page_has_areas_of_the_common_range(tmp_path: Path) -> None:
    write_report([*runs_at("drr", DRR), *runs_at("er", ER)], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "from 2 to 8 MB" in text
    # by hand: DRR's last accuracy from 2 to 8 MB, and ER's, which is 15 % at 2 MB
    assert f"{2 * 30 + 4 * 45:.1f}" in text and f"{1 * 17.5 + 5 * 32.5:.1f}" in text
    write_report([result("drr", 0, [70, 60])], tmp_path / "plain.html")
    assert "equal memory" not in (tmp_path / "plain.html").read_text()
