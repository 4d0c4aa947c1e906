"""Show training runs on one page: the work of ``drrpack report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drrpack.core.errors import OutputError
from drrpack.formats.file_set import as_list
from drrpack.formats.files.addresses import local_path, output_path
from drrpack.formats.files.own import check_own_output
from drrpack.formats.layout import AnyPath
from drrpack.trainers.incremental.grouping import without_doubles
from drrpack.trainers.incremental.report import complete, find_results, write_report
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.tables import plot

SUFFIXES = ".html", ".htm", ".png"


@dataclass(frozen=True)
class Reported:
    """A page that was written, and the runs on it."""

    path: Path
    results: list[Result]
    doubles: list[Result]  # repetitions of runs in ``results``, which do not count


def report(
    runs: AnyPath | Sequence[AnyPath],
    output: AnyPath = "report.html",
    *,
    memory: AnyPath | None = None,
    force: bool = False,
) -> Reported:
    """Show training runs on one HTML page: curves, tables, memory, classes and images.

    Args:
        runs: folders that `drrpack.train` made, folders of such folders, or result.json files.
        output: the page, whose name ends in .html; one that ends in .png gives only the curves.
        memory: also show images from this .drr file or address.
        force: overwrite an existing file, whatever it is. An earlier page or chart of drrpack is
            overwritten in any case.

    Raises:
        SourceError: a place holds no result, or a result can't be read.
        OptionError: the results can't share a table, or none is complete.
        OutputError: the page can't be written, or another file is there, or its name ends
            otherwise.
        FormatError: ``memory`` can't be read.
    """
    places = [local_path(place) for place in as_list(runs)]
    path = output_path(output)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"{path}: end its name in .html for the page, or in .png for the curves alone; found "
            f"{path.suffix!r}"
        )
    check_own_output(path, overwrite=force)
    results, doubles = without_doubles(find_results(places))
    if path.suffix.lower() == ".png":
        plot(complete(results), path)
    else:
        write_report(results, path, memory)
    return Reported(path, results, doubles)
