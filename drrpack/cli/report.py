"""``drrpack report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of `drrpack train --out`.", parser=places.path)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The page; a name in .png gives the curves alone.",
            parser=places.path,
        ),
    ] = Path("report.html"),
    memory: Annotated[
        str | None,
        typer.Option(
            help="Show pictures from this .drr file, or address, as well.",
            parser=places.path_or_address,
        ),
    ] = None,
) -> None:
    """Put runs on one page: curves, tables, memory, classes, pictures."""
    from drrpack.cli import interrupts, screen
    from drrpack.trainers.incremental.grouping import without_doubles
    from drrpack.trainers.incremental.report import complete, find_results, write_report
    from drrpack.trainers.incremental.results import plot

    interrupts.makes(output)
    results, doubles = without_doubles(find_results(runs))
    for double in doubles:
        screen.warn(
            f"found {double['method']}, {len(double['phases']) - 1} phases, seed "
            f"{double.get('seed')} twice, equal in all that decides it: it counts once"
        )
    if output.suffix.lower() == ".png":
        plot(complete(results), output)
    else:
        write_report(results, output, memory)
    screen.note(f"{len(results)} runs in {output}")
