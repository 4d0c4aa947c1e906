"""Progress bars: what they say in the end, whatever was reported last."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from drrpack.cli import progress
from drrpack.cli.progress import Bars
from drrpack.core.errors import OptionError
from drrpack.operations.progress import RunStarted
from drrpack.trainers.fitting.loop import FitProgress
from drrpack.trainers.incremental.run_progress import RunProgress


@pytest.fixture(params=[False, True], ids=["log", "terminal"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the bars print, as a file and as a terminal get it."""
    printed = io.StringIO()
    console = Console(file=printed, width=200, force_terminal=request.param)
    for name in ("console", "errors"):
        monkeypatch.setattr(progress, name, console)
    return printed


def last_lines(screen: io.StringIO) -> list[str]:
    """The bars as they stay."""
    return [line for line in screen.getvalue().splitlines() if "100%" in line]


def test_what_is_counted_ends_with_all_of_it(screen: io.StringIO) -> None:
    with Bars() as bars:
        bars.count("decoding", 0, 2)
        bars.count("writing", 3, 10)
    decoding, writing = last_lines(screen)[-2:]
    assert "decoding" in decoding and "2/2" in decoding and "0/2" not in decoding
    assert "writing" in writing and "10/10" in writing


def test_nothing_is_left_of_a_fit_that_is_done(screen: io.StringIO) -> None:
    with Bars() as bars:
        bars(FitProgress("VQ-VAE", 1e-6, 0, {"psnr_db": 21.5}, 98_221.0))
    line = last_lines(screen)[-1]
    assert "PSNR 21.5" in line and "left" not in line and "epoch 0" not in line


def started(method: str, seed: int, number: int, runs: int) -> RunStarted:
    """A run of a study of two seeds, without ceilings, begins."""
    return RunStarted(
        method, 10, 2, seed, torch.device("cpu"), Path("out"), number, runs, None,
        name=f"{method} 2/{seed}",
    )  # fmt: skip


def test_two_runs_of_one_method_have_bars_of_their_own(screen: io.StringIO) -> None:
    with Bars() as bars:
        for seed in (0, 1):
            bars(started("er", seed, seed, 2))
            bars(RunProgress(2, 2, 10, 3, 4, 0.9, 0.75, 1.5, 98_221.0))
    shown = " ".join(last_lines(screen))
    assert "er 2/0" in shown and "er 2/1" in shown


def test_nothing_is_left_of_a_run_that_is_done(screen: io.StringIO) -> None:
    event = RunProgress(2, 2, 10, 3, 4, 0.9, 0.75, 1.5, 98_221.0)
    with Bars() as bars:
        bars(event)
    line = last_lines(screen)[-1]
    assert "phase 2/2, 10 classes" in line and "left" not in line and "epoch" not in line


def test_bars_stay_where_they_were_when_something_fails(screen: io.StringIO) -> None:
    with pytest.raises(OptionError), Bars() as bars:
        bars.count("decoding", 1, 2)
        raise OptionError("stop")
    assert "100%" not in screen.getvalue()
    if progress.console.is_terminal:
        assert "1/2" in screen.getvalue()


def test_bars_that_never_moved_print_nothing(screen: io.StringIO) -> None:
    with pytest.raises(OptionError), Bars():
        raise OptionError("stop")
    assert screen.getvalue() == ""
