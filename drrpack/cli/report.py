"""``drrpack report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders that `drrpack train --out` made, or folders of them.",
            parser=places.path,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The HTML page to write; a name that ends in .png gives only the curves.",
            parser=places.output,
        ),
    ] = Path("report.html"),
    memory: Annotated[
        str | None,
        typer.Option(
            help="Also show images from this .drr file or address.",
            parser=places.path_or_address,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Overwrite the output even if it is no earlier page or chart of drrpack.",
        ),
    ] = False,
) -> Answer:
    """Show training runs on one HTML page: curves, tables, memory, classes and images."""
    from drrpack.cli import interrupts, screen
    from drrpack.core.wording import counted
    from drrpack.operations.report import report as report_on

    interrupts.makes(output)
    page = report_on(runs, output, memory=memory, force=force)
    for double in page.doubles:
        screen.warn(
            f"found {double.method}, {counted(double.phase_count, 'phase')}, seed {double.seed} "
            "twice with the same settings: it counts once"
        )
    done = [result for result in page.results if result.complete]
    under_way = len(page.results) - len(done)
    beside = f", and {under_way} not complete, in the list of runs alone" if under_way else ""
    screen.note(f"{counted(len(done), 'run')} in {output}{beside}")
    return Answer({"path": page.path, "runs": len(done), "not_complete": under_way}, output)
