"""``drrpack.report``: runs of ``train`` on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drrpack.formats.layout import AnyPath
from drrpack.trainers.incremental.grouping import without_doubles
from drrpack.trainers.incremental.report import complete, find_results, write_report
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.tables import plot


@dataclass(frozen=True)
class Reported:
    """A page that was written, and the runs on it."""

    path: Path
    results: list[Result]
    doubles: list[Result]  # runs that were found twice, and count once


def report(
    runs: AnyPath | Sequence[AnyPath],
    output: AnyPath = "report.html",
    *,
    memory: AnyPath | None = None,
) -> Reported:
    """Put runs on one page: curves, tables, memory, classes, pictures.

    Args:
        runs: folders of `drrpack.train`, or of several of them, or files result.json.
        output: the page; a name in .png gives the curves alone.
        memory: show pictures from this .drr file, or address, as well.

    Raises:
        SourceError: there is no result, or one can't be read. OptionError: results that may not
            share a table, or none that is complete. OutputError, and what reading ``memory``
            raises.
    """
    places = [Path(p) for p in ([runs] if isinstance(runs, str | Path) else list(runs))]  # type: ignore[arg-type]
    path, (results, doubles) = Path(output), without_doubles(find_results(places))
    if path.suffix.lower() == ".png":
        plot(complete(results), path)
    else:
        write_report(results, path, memory)
    return Reported(path, results, doubles)
