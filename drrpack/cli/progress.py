"""Progress bars of the two long commands."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from drrpack.cli.screen import console, duration
from drrpack.trainers.encode import Step
from drrpack.trainers.fitting import FitProgress
from drrpack.trainers.protocol import RunProgress


class Bars:
    """Progress bars, one a stage, in the order in which stages report."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<15}"), BarColumn(bar_width=24), TaskProgressColumn(),
            TextColumn("{task.fields[detail]}"), console=console,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._complete()
        self._bars.stop()

    def move(self, stage: str, fraction: float, detail: str) -> None:
        """Set a stage's bar; stages before it are complete then."""
        if stage not in self._tasks:
            self._complete()
            self._tasks[stage] = self._bars.add_task(stage, total=1.0, detail="")
        self._bars.update(self._tasks[stage], completed=fraction, detail=detail)

    def _complete(self) -> None:
        for task in self._tasks.values():
            self._bars.update(task, completed=1.0)

    def encoding(self, event: FitProgress | Step) -> None:
        """Show a report of `drrpack.trainers.encode.encode`."""
        if isinstance(event, FitProgress):
            self.move(event.stage, event.fraction, _fit_detail(event))
        else:
            self.move(event.stage, event.done / max(1, event.total), f"{event.done}/{event.total}")

    def training(self, event: RunProgress) -> None:
        """Show a report of `drrpack.trainers.protocol.run`."""
        detail = f"phase {event.phase}/{event.phases}, {event.classes_seen} classes"
        if event.accuracy is not None:
            console.print(f"{detail}: accuracy {event.accuracy:.2f} %", highlight=False)
        detail += f", epoch {event.epoch}/{event.epochs}"
        if event.loss is not None:
            detail += f", loss {event.loss:.3f}"
        if event.seconds_left is not None:
            detail += f", {duration(event.seconds_left)} left"
        self.move("training", event.fraction, detail)


def _fit_detail(event: FitProgress) -> str:
    shown = ", ".join(f"{_METRICS.get(k, k)} {v:.4g}" for k, v in event.metrics.items())
    return f"epoch {event.epoch}, {shown}, {duration(event.seconds_left)} left"


_METRICS = {
    "psnr_db": "PSNR",
    "perplexity_top": "perplexity top",
    "perplexity_bottom": "bottom",
    "bits_per_code": "bits/code",
}
