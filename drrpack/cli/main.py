"""Where ``drrpack`` starts: signals are taken over before anything large is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line in a process of its own, which ends with it."""
    try:
        from drrpack.cli import interrupts
    except ImportError as error:  # Windows
        sys.exit(f"error: {error}")
    interrupts.install()
    code = 1  # of an error that drrpack does not know: Python shows where it comes from
    try:
        from drrpack.cli.app import run

        code = run()
    finally:
        interrupts.ended(code)
    sys.exit(code)
