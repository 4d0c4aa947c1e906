"""TensorBoard's event files of a run, where TensorBoard is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drrpack.trainers.incremental.run_progress import Report, RunProgress

FOLDER = "tensorboard"


@contextmanager
def logged(out: Path, report: Report | None) -> Iterator[Report | None]:
    """``report``, and beside it ``out/tensorboard``: the loss of each phase by its share done, in
    thousandths, and the accuracy by classes seen. Just ``report`` without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield report
        return
    with ExitStack() as stack:
        writers: list[SummaryWriter] = []  # one, once there is something to write

        def both(at: RunProgress) -> None:
            if not writers:
                writers.append(stack.enter_context(SummaryWriter(str(out / FOLDER))))
            if at.loss is not None:
                step = round(1000 * at.phase_fraction)
                where = f"phase {at.phase} {at.stage}".rstrip()
                writers[0].add_scalar(f"loss/{where}", at.loss, step)
                for name, value in at.terms.items():
                    writers[0].add_scalar(f"{name}/{where}", value, step)
            if at.accuracy is not None:
                writers[0].add_scalar("accuracy", at.accuracy, at.classes_seen)
            if report is not None:
                report(at)

        yield both
