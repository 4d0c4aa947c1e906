"""``drrpack verify``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import print_json

if TYPE_CHECKING:
    from drrpack.core.errors import FormatError
    from drrpack.formats.layout import Json
    from drrpack.operations.verify import Depth, Verified


def verify(
    memory: places.Memories,
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
        bool,
        typer.Option(
            "--json", help="Print the result as JSON, also if the check fails; of several a list."
        ),
    ] = False,
) -> None:
    """Check a .drr file: its structure, every CRC and the SHA-256 of every section.

    Of several files each is checked; the exit code is that of the first one that is not sound.
    Exit codes: 0 sound, 1 failure, 2 usage, 3 corrupt, 4 version not supported,
    5 unsafe, 6 input or output failed, 130 interrupted.
    """
    from drrpack.core.errors import FormatError
    from drrpack.formats.file_set import files_of

    depth, exit_code, results = _depth(quick, full, sample), 0, []
    for path in map(str, files_of(memory)):
        try:
            found = _checked(path, depth, sample, show=not json)
        except FormatError as error:
            exit_code = exit_code or error.exit_code
            results.append(_unsound(path, error))
        else:
            results.append(found.to_json())
        if not json:
            _show(results[-1])
    if json:
        print_json(results if len(results) > 1 else results[0])
    if exit_code:
        sys.exit(exit_code)


def _show(result: Json) -> None:
    from drrpack.cli.terminal import fail, note

    if not result["sound"]:
        fail(result["error"])
        return
    counts = result["checked"].items()
    checks = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts)
    note(f"{result['path']}: sound ({result['depth']}: {checks}; {result['seconds']:.1f} s)")


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
