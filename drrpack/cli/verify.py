"""``drrpack verify``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places

if TYPE_CHECKING:
    from drrpack.core.errors import FormatError
    from drrpack.formats.layout import Json
    from drrpack.operations.verify import Depth, Verified


def verify(
    memory: Annotated[
        str,
        typer.Argument(
            help="The .drr file, or its address.",
            autocompletion=places.memories,
            parser=places.path_or_address,
        ),
    ],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Check only the structure and the CRC of each record."),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Also decode every stream and compare the digest of its codes."
        ),
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            help="Also decode one part of the streams: 1/10 is the first of ten parts, 2/10 the "
            "second."
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, also if the check fails.")
    ] = False,
) -> None:
    """Check a .drr file: its structure, every CRC and the SHA-256 of every section.

    Exit codes: 0 sound, 1 failure, 2 usage, 3 corrupt, 4 version not supported,
    5 unsafe, 6 input or output failed, 130 interrupted.
    """
    from drrpack.core.errors import FormatError

    depth = _depth(quick, full, sample)
    try:
        found = _checked(memory, depth, sample, show=not json)
    except FormatError as error:
        if json:
            _print_json(_unsound(memory, error))
            sys.exit(error.exit_code)
        raise
    if json:
        _print_json(found.to_json())
        return
    from drrpack.cli.terminal import note

    counts = found.checked.to_json().items()
    checks = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts)
    note(f"{memory}: sound ({found.depth}: {checks}; {found.seconds:.1f} s)")


def _depth(quick: bool, full: bool, sample: str | None) -> Depth:
    from drrpack.core.errors import OptionError

    if quick + full + (sample is not None) > 1:
        raise OptionError("--quick, --full and --sample exclude each other: give one of them")
    return "quick" if quick else "full" if full else "sections"


def _checked(memory: str, depth: Depth, sample: str | None, *, show: bool) -> Verified:
    from drrpack.operations.verify import verify as run

    if not show or (depth != "full" and sample is None):
        return run(memory, depth, sample=sample)
    from drrpack.cli.progress import Bars

    with Bars() as bars:
        return run(memory, depth, sample=sample, report=bars)


def _unsound(memory: str, error: FormatError) -> Json:
    from drrpack.cli.spelling import spelled

    return {
        "path": memory,
        "sound": False,
        "kind": type(error).__name__,
        "error": spelled(str(error)),
        "exit_code": error.exit_code,
    }


def _print_json(content: Json) -> None:
    from json import dumps

    typer.echo(dumps(content, indent=2))
