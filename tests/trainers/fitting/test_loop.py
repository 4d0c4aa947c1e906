"""The loop that fits: its budget, its progress, and going on after a kill as if there was none."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drrpack.core.errors import CorruptError, OutputError
from drrpack.trainers.fitting import loop as fitting
from drrpack.trainers.fitting.loop import Budget, FitProgress, fit, rate_over_budget

DATA = torch.arange(64, dtype=torch.float32).reshape(32, 2) / 64


class Line:
    """A `FitTask` of one linear layer, whose steps depend on the batch, the noise and Adam."""

    stage = "line"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(2, 1)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.seen: list[tuple[float, float]] = []  # fraction, and the first number of the batch

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        self.seen.append((fraction, float(batch.sum())))
        noise = torch.rand(len(batch), 1, generator=generator)
        loss = (self.network(batch) - batch.sum(1, keepdim=True) - noise).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"loss": loss.item()}

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])

    @property
    def weights(self) -> list[float]:
        return torch.cat([p.detach().flatten() for p in self.network.parameters()]).tolist()


def fitted(epochs: int = 6, checkpoint: Path | None = None, **options: Any) -> Line:
    line = Line()
    options = {"batch_size": 8, "seed": 3, "fingerprint": "of the line", **options}
    fit(line, DATA, Budget(epochs=epochs), checkpoint=checkpoint, **options)
    return line


# --- the budget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"epochs": 1, "minutes": 1.0}])
def test_a_budget_is_in_epochs_or_in_minutes(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="epochs or in minutes"):
        Budget(**given)


def test_a_share_of_a_budget() -> None:
    assert Budget(minutes=10).share(0.25) == Budget(minutes=2.5)
    assert Budget(epochs=10).share(0.25) == Budget(epochs=10)


def test_every_image_comes_once_an_epoch() -> None:
    line = fitted(epochs=3)
    assert len(line.seen) == 12 and line.seen[0][0] == 0.0
    assert [fraction for fraction, _ in line.seen] == pytest.approx([n / 12 for n in range(12)])
    sums = [total for _, total in line.seen]
    for epoch in range(3):
        assert sum(sums[4 * epoch : 4 * epoch + 4]) == pytest.approx(float(DATA.sum()))
    assert sums[:4] != sums[4:8], "each epoch is shuffled anew"


def test_minutes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(fitting.time, "monotonic", monotonic)
    line = Line()
    log = fit(line, DATA, Budget(minutes=1.0), batch_size=8, seed=0, fingerprint="")
    assert 20 <= log["steps"] <= 60 and log["seconds"] >= 60
    fractions = [fraction for fraction, _ in line.seen]
    assert fractions == sorted(fractions) and fractions[-1] < 1.0


def test_reports_and_the_log() -> None:
    reports: list[FitProgress] = []
    line = Line()
    options: dict[str, Any] = {"batch_size": 8, "seed": 0, "fingerprint": ""}
    log = fit(line, DATA, Budget(epochs=10), report=reports.append, **options)
    assert [report.stage for report in reports] == ["line"] * 5
    assert [report.epoch for report in reports] == [0, 2, 5, 7, 10]
    assert all(report.seconds_left >= 0 and "loss" in report.metrics for report in reports)
    assert log["steps"] == 40 and log["epochs"] == 10 and log["loss"] > 0


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [rate_over_budget(1.0, step / 10_000, step) for step in range(10_000)]
    peak = rates.index(max(rates))
    assert 50 <= peak <= 200 and rates[0] < 0.02 and max(rates) > 0.98
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)
    assert rate_over_budget(1.0, 0.05, 4) > 0.9, "a short fit is not all warm-up"


# --- going on ------------------------------------------------------------------------------------


def test_the_seed_decides() -> None:
    assert fitted().weights == fitted().weights
    assert fitted().weights != fitted(seed=4).weights


KILLED = """
    import os, signal, sys
    from pathlib import Path

    sys.path[:0] = sys.argv[2:]
    import test_loop
    from drrpack.trainers.fitting import loop as fitting

    fitting.CHECKPOINT_SECONDS = -1.0  # after every step
    steps = 0
    keep = fitting._keep

    def keep_and_count(*arguments):
        global steps
        keep(*arguments)
        steps += 1
        if steps == 10:
            os.kill(os.getpid(), signal.SIGKILL)

    fitting._keep = keep_and_count
    test_loop.fitted(checkpoint=Path(sys.argv[1]))
"""


def test_killed_and_resumed_like_undisturbed(tmp_path: Path) -> None:
    checkpoint = tmp_path / "line.pt"
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", textwrap.dedent(KILLED), checkpoint, here, here.parents[2]]
    assert subprocess.run([*map(str, command)], timeout=200).returncode == -signal.SIGKILL
    assert torch.load(checkpoint)["step"] == 10
    resumed = fitted(checkpoint=checkpoint)
    assert len(resumed.seen) == 24 - 10
    assert resumed.weights == fitted().weights
    again = fitted(checkpoint=checkpoint)
    assert again.seen == [] and again.weights == resumed.weights, "a finished fit stays finished"


def test_the_log_of_a_resumed_fit_is_that_of_one_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, checkpoint = logged(tmp_path / "whole.pt"), tmp_path / "line.pt"
    keep = fitting._keep

    def break_off(*arguments: Any) -> None:
        keep(*arguments)
        if torch.load(checkpoint)["step"] == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting, "CHECKPOINT_SECONDS", -1.0)  # after every step
        patch.setattr(fitting, "_keep", break_off)
        logged(checkpoint)
    assert logged(checkpoint) == whole, "broken off in the middle"
    assert logged(checkpoint) == whole, "broken off after its last step"


def logged(checkpoint: Path) -> dict[str, float]:
    """The log of a fit of 24 steps, without its seconds."""
    options: dict[str, Any] = {"batch_size": 8, "seed": 3, "fingerprint": "of the line"}
    log = fit(Line(), DATA, Budget(epochs=6), checkpoint=checkpoint, **options)
    del log["seconds"]
    assert log.keys() == {"steps", "epochs", "loss"}
    return log


def test_a_checkpoint_without_figures_is_taken(tmp_path: Path) -> None:
    """Those of version 0.2.0 have none."""
    checkpoint = tmp_path / "line.pt"
    line = fitted(checkpoint=checkpoint)
    kept = torch.load(checkpoint)
    assert kept.pop("smooth").keys() == {"loss"}
    torch.save(kept, checkpoint)
    again = fitted(checkpoint=checkpoint)
    assert again.seen == [] and again.weights == line.weights


def test_a_checkpoint_of_something_else_is_not_used(tmp_path: Path) -> None:
    checkpoint = tmp_path / "line.pt"
    fitted(checkpoint=checkpoint)
    other = fitted(checkpoint=checkpoint, fingerprint="of another line")
    assert len(other.seen) == 24
    assert torch.load(checkpoint)["fingerprint"] == "of another line"


def test_time_spent_before_counts(tmp_path: Path) -> None:
    checkpoint = tmp_path / "line.pt"
    fitting._keep(Line(), checkpoint, "of the line", 7, 3600.0, {})
    line = Line()
    options: dict[str, Any] = {"batch_size": 8, "seed": 0, "fingerprint": "of the line"}
    log = fit(line, DATA, Budget(minutes=30), checkpoint=checkpoint, **options)
    assert line.seen == [] and log["steps"] == 7 and log["seconds"] >= 3600


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "other"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    checkpoint = tmp_path / "line.pt"
    fitted(checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    if damage == "other":
        torch.save({"weights": 1}, checkpoint)
    else:
        changed = {"cut": content[: len(content) // 2], "rubbish": b"rubbish", "empty": b""}
        checkpoint.write_bytes(changed[damage])
    with pytest.raises(CorruptError, match="delete it and start again") as caught:
        fitted(checkpoint=checkpoint)
    assert str(checkpoint) in str(caught.value)


def test_a_checkpoint_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent"):
        fitted(checkpoint=tmp_path / "absent" / "line.pt")


def test_no_half_written_checkpoint_stays(tmp_path: Path) -> None:
    fitted(checkpoint=tmp_path / "line.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["line.pt"]
