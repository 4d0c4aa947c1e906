"""Results of runs that were never carried out, with the accuracies that a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from drrpack.trainers.incremental.metrics import summarise
from drrpack.trainers.incremental.results import PhaseResult, Result, RunConfig


def result(method: str, seed: int, accuracies: Sequence[float]) -> Result:
    phases = [PhaseResult(k, 5 + k, value, [0.0] * (k + 1)) for k, value in enumerate(accuracies)]
    return Result(
        method=method, recipe="fast", seed=seed, class_order=[], phases=phases,
        **asdict(summarise(phases)), memory_bytes={"total": 100}, confusion=[], epochs=30,
        width=32, wall_seconds=0.0, device="cpu", complete=True, config=RunConfig(), versions={},
    )  # fmt: skip
