"""The command line: one file a command, each a thin shell around one call into the library."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from drrpack import __version__
from drrpack.cli.append import append
from drrpack.cli.compare import compare
from drrpack.cli.drop import drop
from drrpack.cli.encode import encode
from drrpack.cli.escape import harmless
from drrpack.cli.export import export
from drrpack.cli.merge import merge
from drrpack.cli.preview import preview
from drrpack.cli.report import report
from drrpack.cli.stats import stats
from drrpack.cli.train import train
from drrpack.cli.verify import verify
from drrpack.errors import DrrError, WriteError

app = typer.Typer(
    name="drrpack",
    help="A labelled image folder as one small file, from which a classifier can be trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    encode, stats, preview, compare, train, report, append, drop, merge, verify, export,
)  # fmt: skip
for command in COMMANDS:
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


class _Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not KeyboardInterrupt, of which typer's versions make different things."""


def _interrupt(*_: object) -> NoReturn:
    for number in _SIGNALS:  # a second one must not break into the tidying up after the first
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted


def main() -> None:
    """Run the command line; errors that drrpack knows end with their exit code and one message."""
    before = [signal.signal(number, _interrupt) for number in _SIGNALS]
    try:
        app()
    except DrrError as error:
        typer.secho(f"error: {harmless(str(error))}", fg=typer.colors.RED, err=True)
        sys.exit(error.exit_code)
    except (_Interrupted, KeyboardInterrupt):
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # as in `drrpack stats mem.drr | head`
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # above all of a screen that is a file on a full disk
        _let_go_of_output()
        typer.secho(f"error: input or output failed: {error}", fg=typer.colors.RED, err=True)
        sys.exit(WriteError.exit_code)
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, handler)


def _let_go_of_output() -> None:
    """What could not be written would be tried once more when Python ends."""
    with suppress(OSError, ValueError):  # ValueError: no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
