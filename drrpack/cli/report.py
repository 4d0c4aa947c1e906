"""``drrpack report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of `drrpack train --out`.", readable=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The page; a name in .png gives the curves alone.",
            readable=False,
        ),
    ] = Path("report.html"),
    memory: Annotated[
        Path | None, typer.Option(help="Show pictures from this .drr file as well.", readable=False)
    ] = None,
) -> None:
    """Put runs on one page: curves, tables, memory, classes, pictures."""
    from drrpack.cli import interrupts, screen
    from drrpack.trainers.report import find_results, write_report
    from drrpack.trainers.results import plot

    interrupts.makes(output)
    results = find_results(runs)
    if output.suffix.lower() == ".png":
        plot(results, output)
    else:
        write_report(results, output, memory)
    screen.note(f"{len(results)} runs in {output}")
