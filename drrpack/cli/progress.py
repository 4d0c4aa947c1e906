"""Show the reports of operations: progress bars, and lines above them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)

from drrpack.cli import interrupts
from drrpack.cli.progress_lines import Lines
from drrpack.cli.screen import duration, table
from drrpack.cli.telling import tell
from drrpack.cli.terminal import console, draws, errors, show_cursor
from drrpack.core.progress import Step
from drrpack.formats.files.unfinished import undone_by
from drrpack.operations.append_plan import AppendPlan
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.progress import Event, RunStarted
from drrpack.trainers.fitting.loop import FitProgress
from drrpack.trainers.incremental.run_progress import RunProgress


class _Display(Progress):
    """Progress bars, below a table of the accuracies so far, by classes seen."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self.accuracies: dict[str, dict[int, float]] = {}  # of each run, by classes seen
        # what others print goes above the bars, if it goes to the same screen
        super().__init__(*columns, console=console, redirect_stdout=not console.stderr)

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.accuracies:
            made = table("Accuracy so far, %", "classes seen", *self.accuracies)
            for seen in sorted({seen for run in self.accuracies.values() for seen in run}):
                row = (run.get(seen) for run in self.accuracies.values())
                made.add_row(str(seen), *("" if one is None else f"{one:.2f}" for one in row))
            yield made
        yield from super().get_renderables()


class Bars:
    """One progress bar for each stage, in the order in which the stages report.

    They are drawn where a person sees them: on stdout, or else on stderr. Where neither is a
    terminal that can draw, stderr gets a line now and then.
    """

    def __init__(self) -> None:
        self._drawn = draws(console) or draws(errors)
        self._lines = Lines(errors)
        screen = console if draws(console) else errors
        self._bars = _Display(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=24 if screen.width >= 80 else 8),  # narrow screens keep the figures
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}"),
            console=screen,
        )
        self._tasks: dict[str, TaskID] = {}
        self._finished: dict[str, str] = {}  # what each bar says in the end
        self._hidden_cursor = undone_by(show_cursor)
        self.run = "training"  # what the bar of a training is called

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._complete()
        self._bars.accuracies.clear()  # the tables of results come next
        if self._tasks:
            self._bars.stop()
            self._hidden_cursor.__exit__()

    def move(self, stage: str, fraction: float, detail: str, finished: str) -> None:
        """Set the bar of a stage, and complete the bars of earlier stages.

        A completed bar shows ``finished``, because a stage need not report its last step.
        """
        if console.quiet:
            return
        if not self._drawn:
            self._lines.move(stage, fraction, detail, finished)
            return
        if not self._tasks:
            self._hidden_cursor.__enter__()
            self._bars.start()  # not before: bars that never move would leave an empty line
        if stage not in self._tasks:
            self._complete()
            self._tasks[stage] = self._bars.add_task(stage, total=1.0, detail="")
        self._finished[stage] = finished
        self._bars.update(self._tasks[stage], completed=fraction, detail=detail)

    def _complete(self) -> None:
        self._lines.complete()
        for stage, task in self._tasks.items():
            self._bars.update(task, completed=1.0, detail=self._finished[stage])

    def count(self, stage: str, done: int, total: int) -> None:
        """Set the bar of a stage to ``done`` out of ``total``."""
        self.move(stage, done / max(1, total), f"{done}/{total}", f"{total}/{total}")

    def __call__(self, event: Event) -> None:
        """Show an event of an operation."""
        match event:
            case FitProgress():
                figures = _fit_figures(event)
                detail = f"epoch {event.epoch}, {figures}, {duration(event.seconds_left)} left"
                self.move(event.stage, event.fraction, detail, figures)
            case RunStarted():
                self.run = event.name
                tell(event)
            case RunProgress():
                self.training(event)
            case Step():
                self.count(event.stage, event.done, event.total)
            case EncodePlan() | AppendPlan():
                for folder in event.left:
                    interrupts.goes_on(folder, "the same command")
                tell(event)
            case _:
                tell(event)

    def training(self, event: RunProgress) -> None:
        """Show the progress of `drrpack.trainers.incremental.protocol.run`."""
        detail = f"phase {event.phase}/{event.phases}, {event.classes_seen} classes"
        if event.accuracy is not None and self._drawn:
            of_run = self._bars.accuracies.setdefault(self.run, {})
            of_run[event.classes_seen] = event.accuracy
        elif event.accuracy is not None:  # in a log file, print a line for each phase
            console.print(f"{detail}: accuracy {event.accuracy:.2f} %")
        finished = detail
        detail += f", epoch {event.epoch}/{event.epochs}"
        if event.stage:
            detail += f", {event.stage}"
        if event.loss is not None:
            detail += f", loss {event.loss:.3f}"
        detail += "".join(f", {name} {value:.3f}" for name, value in event.terms.items())
        if event.seconds_left is not None:
            detail += f", {duration(event.seconds_left)} left"
        self.move(self.run, event.fraction, detail, finished)


def _fit_figures(event: FitProgress) -> str:
    return ", ".join(f"{_METRICS.get(k, k)} {v:.4g}" for k, v in event.metrics.items())


_METRICS = {
    "psnr_db": "PSNR",
    "perplexity_top": "perplexity top",
    "perplexity_bottom": "bottom",
    "bits_per_code": "bits/code",
}
