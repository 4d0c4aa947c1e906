"""What the command line says of runs once they are done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT

from drrpack.cli.training_screen import print_results
from drrpack.trainers.guessing import chance, most_by_guessing
from drrpack.trainers.incremental.results import Result, read_result

STUDY = ROOT / "benchmarks" / "results" / "cifar100-study"


def said(results: list[Result], capsys: pytest.CaptureFixture[str]) -> str:
    print_results(results, Path("out"))
    return " ".join(capsys.readouterr().out.split())


def test_the_price_of_compression_is_told_where_something_was_learned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drr, ub = (read_result(STUDY / f"{m}-5phases-seed0" / "result.json") for m in ("drr", "ub"))
    points = f"{ub.last_accuracy - drr.last_accuracy:.2f} points in the last phase"
    assert f"{points}, is the price of compression (one seed each;" in said([drr, ub], capsys)
    guesses = [[1] * 100 for _ in range(100)]  # of each class a hundred images: 1 % are right
    guessed = replace(ub, last_accuracy=1.1, confusion=guesses)
    found = said([replace(drr, last_accuracy=1.0), guessed], capsys)
    assert "no better than guesses, so this run shows nothing of the price" in found


@pytest.mark.parametrize("images", [[100] * 2, [30, 10, 10], [50] * 100])
def test_guesses_hardly_ever_pass_what_is_said_of_them(images: list[int]) -> None:
    """2,000 classifiers that guess by the shares of the classes, or say the largest always."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(images)), images)
    shares = np.array(images) / sum(images)
    guesses = rng.choice(len(images), (2000, len(labels)), p=shares)
    right = 100 * (guesses == labels).mean(1)
    bound = most_by_guessing(chance(images), len(labels))
    assert (right > bound).mean() < 0.005
    always = 100 * (labels == 0).mean()
    assert always == pytest.approx(chance(images)) and always < bound
    assert bound < 100
