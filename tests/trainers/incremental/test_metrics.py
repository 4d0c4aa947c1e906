"""Averages and forgetting against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from drrpack.trainers.incremental.metrics import Averages, forgetting, summarise
from drrpack.trainers.incremental.records import PhaseRecord
from drrpack.trainers.incremental.results import PhaseResult, phase_result


def phase(number: int, accuracy: float, group_accuracy: list[float]) -> PhaseResult:
    return PhaseResult(number, number + 1, accuracy, group_accuracy)


def test_summary_by_hand() -> None:
    phases = [
        phase(0, 80.0, [80.0]),
        phase(1, 60.0, [50.0, 70.0]),
        phase(2, 50.0, [60.0, 40.0, 50.0]),
    ]
    # the base fell from 80 to 60, the first phase from 70 to 40
    assert summarise(phases) == Averages(
        average_accuracy=55.0,
        average_accuracy_with_base=pytest.approx(190 / 3),
        last_accuracy=50.0,
        forgetting=25.0,
    )


@pytest.mark.parametrize("phases", [5, 10, 25])
def test_the_protocols_of_the_paper_by_hand(phases: int) -> None:
    """Base 50. With 100 test images a class, the classes of the base lose one right answer a phase,
    from 80; those of later phases start at 90 and lose two."""
    step = 50 // phases
    groups = [50] + phases * [step]

    def confusion(number: int) -> list[list[int]]:
        right = 50 * [80 - number]
        for group in range(1, number + 1):
            right += step * [90 - 2 * (number - group)]
        rows = [[0] * len(right) for _ in right]
        for label, count in enumerate(right):
            rows[label][label] = count
            rows[label][label - 1] += 100 - count
        return rows

    found = [
        phase_result(number, groups[: number + 1], PhaseRecord(confusion(number), [], {}, 0.0))
        for number in range(phases + 1)
    ]
    after = [  # of 50 + step * k classes, the k groups stand at 90, 88, 86, ...
        (50 * (80 - k) + step * (90 * k - k * (k - 1))) / (50 + step * k) for k in range(phases + 1)
    ]
    assert [one.accuracy for one in found] == pytest.approx(after)
    assert asdict(summarise(found)) == {
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
    summary = summarise([phase(0, 80.0, [80.0])])
    assert summary.average_accuracy is None
    assert summary.average_accuracy_with_base == summary.last_accuracy == 80.0
