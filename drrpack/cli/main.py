"""The entry point of ``drrpack``: it installs signal handlers before it imports large modules."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line in a process of its own, which ends with it."""
    try:
        from drrpack.cli import interrupts
    except ImportError as error:  # Windows
        sys.exit(f"error: {error}")
    interrupts.install()
    code = 1  # the exit code of an unknown error, for which Python prints a traceback
    try:
        from drrpack.cli.app import run

        code = run()
    finally:
        interrupts.ended(code)
    sys.exit(code)
