"""The command line: each command is one file that parses, calls one operation and prints."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from drrpack import __version__
from drrpack.cli.answers import answering
from drrpack.cli.append import append
from drrpack.cli.compare import compare
from drrpack.cli.doctor import doctor
from drrpack.cli.drop import drop
from drrpack.cli.encode import encode
from drrpack.cli.export import export
from drrpack.cli.merge import merge
from drrpack.cli.preview import preview
from drrpack.cli.report import report
from drrpack.cli.stats import stats
from drrpack.cli.terminal import fail, make_printable
from drrpack.cli.train import train
from drrpack.cli.verify import verify
from drrpack.cli.view import view
from drrpack.core.errors import DrrError, WriteError

app = typer.Typer(
    name="drrpack",
    help="Store a labelled image folder as one small file, and train classifiers from that file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    encode, stats, preview, view, compare, train, report, append, drop, merge, verify, export,
    doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command()(answering(command))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        import h5py  # the version of HDF5 stands in nothing that is lighter

        hdf5 = f"h5py {h5py.__version__} with HDF5 {h5py.version.hdf5_version}"
        typer.echo(f"drrpack {__version__} (torch {version('torch')}, {hdf5})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            help="Print the versions of drrpack, PyTorch and HDF5.",
        ),
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command line and return its exit code; print one message for a known error."""
    make_printable()
    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except DrrError as error:
        fail(str(error))
        return error.exit_code
    except BrokenPipeError:  # as in `drrpack stats mem.drr | head`
        sys.stderr.close()
        return 1
    except OSError as error:  # usually stdout is redirected to a file on a full disk
        _let_go_of_output()
        fail(f"input or output failed: {error}")
        return WriteError.exit_code
    return 0


def _let_go_of_output() -> None:
    """Redirect stdout to the null device, or Python would try to flush it again at exit."""
    with suppress(OSError, ValueError):  # ValueError: stdout has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
