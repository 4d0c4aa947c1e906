"""``drrpack verify``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drrpack.cli import places

if TYPE_CHECKING:
    from drrpack.operations.verify import Depth


def verify(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="The structure and the CRC of each record.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Decode every stream to the digest of its codes, too.")
    ] = False,
    sample: Annotated[
        str | None, typer.Option(help="Decode part N of T: 1/10, then 2/10, and so on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, of failures as well.")] = False,
) -> None:
    """Check a .drr file: by default its structure, every CRC and the sha256 of every section.

    Exit codes: 0 sound, 1 failure, 2 usage, 3 corrupt, 4 version not supported, 5 unsafe, 6 input
    or output failed, 130 interrupted.
    """
    from drrpack.core.errors import FormatError

    depth = _depth(quick, full, sample)
    try:
        found = _checked(memory, depth, show=not json)
    except FormatError as error:
        if json:
            _print_json(
                {
                    "path": memory,
                    "sound": False,
                    "kind": type(error).__name__,
                    "error": str(error),
                    "exit_code": error.exit_code,
                }
            )
            sys.exit(error.exit_code)
        raise
    if json:
        _print_json(found)
        return
    from drrpack.cli.terminal import note

    checks = ", ".join(
        f"{count} {what.replace('_', ' ')}" for what, count in found["checked"].items()
    )
    note(f"{memory}: sound ({found['depth']}: {checks}; {found['seconds']:.1f} s)")


def _depth(quick: bool, full: bool, sample: str | None) -> Depth:
    from drrpack.core.errors import OptionError
    from drrpack.operations.verify import Depth, parse_sample

    if quick + full + (sample is not None) > 1:
        raise OptionError("--quick, --full and --sample exclude each other: give one of them")
    if sample is not None:
        return parse_sample(sample)
    return Depth("quick" if quick else "full" if full else "sections")


def _checked(memory: str, depth: Depth, *, show: bool) -> dict[str, Any]:
    from drrpack.operations.verify import verify as run

    if depth.level != "full" or not show:
        return run(memory, depth)
    from drrpack.cli.progress import Bars

    with Bars() as bars:
        return run(memory, depth, lambda done, total: bars.count("decoding", done, total))


def _print_json(content: dict[str, Any]) -> None:
    from json import dumps

    typer.echo(dumps(content, indent=2))
