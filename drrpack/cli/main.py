"""The command line: one file a command, each a thin shell around one call into the library."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from drrpack import __version__
from drrpack.cli.encode import encode
from drrpack.cli.preview import preview
from drrpack.cli.report import report
from drrpack.cli.stats import stats
from drrpack.cli.train import train
from drrpack.errors import DrrError

app = typer.Typer(
    name="drrpack",
    help="A labelled image folder as one small file, from which a classifier can be trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (encode, stats, preview, train, report):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drrpack {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors that drrpack knows end with exit code 2 and one message."""
    try:
        app()
    except DrrError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # as in `drrpack stats mem.drr | head`
        sys.stderr.close()
        sys.exit(1)
