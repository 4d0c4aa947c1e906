"""Methods at equal memory: accuracy over the budget, and the area below it.

Zhou et al. (A Model or 603 Exemplars, ICLR 2023) compare methods in this way, because one budget
favours one method and another budget another: AUC-A is the area below the average accuracy, phase 0
included, and AUC-L that below the accuracy after the last phase.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drrpack.trainers.incremental.chart import Point
from drrpack.trainers.incremental.grouping import Group

BUDGET = "budget"  # the setting that differs along a curve


@dataclass(frozen=True)
class BudgetCurve:
    """One method under several budgets; points in MB and percent, from the least budget on."""

    groups: list[Group]  # of each budget
    average: list[Point]
    last: list[Point]

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest budget, in MB."""
        return self.last[0].x, self.last[-1].x


def budget_curves(groups: Sequence[Group]) -> list[BudgetCurve]:
    """The curves of all groups of runs that differ in their budget alone."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        same = {name: value for name, value in group.settings.items() if name != BUDGET}
        key = json.dumps([group.method, group.phases, same])
        if group.runs[0].config.budget_bytes is not None:
            found.setdefault(key, []).append(group)
    curves = []
    for several in found.values():
        several.sort(key=_budget_mb)
        if len(several) > 1:
            average = [_point(one, "average_accuracy_with_base") for one in several]
            curves.append(
                BudgetCurve(several, average, [_point(one, "last_accuracy") for one in several])
            )
    return curves


def common_range(curves: Sequence[BudgetCurve]) -> tuple[float, float] | None:
    """The budgets in MB that all curves cover; None where they have none in common."""
    low, high = max(c.range[0] for c in curves), min(c.range[1] for c in curves)
    return (low, high) if low < high else None


def area(points: Sequence[Point], low: float, high: float) -> float:
    """The area below straight lines through ``points``, between two values of x among them."""
    xs, ys = [p.x for p in points], [p.y for p in points]
    inner = [x for x in xs if low < x < high]
    at = np.array([low, *inner, high])
    heights = np.interp(at, xs, ys)
    return float((np.diff(at) * (heights[1:] + heights[:-1]) / 2).sum())


def _budget_mb(group: Group) -> float:
    budget = group.runs[0].config.budget_bytes
    assert budget is not None
    return budget / 1e6


def _point(group: Group, metric: str) -> Point:
    values = [value for run in group.runs if (value := run.metric(metric)) is not None]
    return Point(_budget_mb(group), float(np.mean(values)), min(values), max(values))
