"""Running ``drrpack`` in this very process, as the installed command would."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from drrpack.cli import interrupts
from drrpack.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it printed on both streams."""

    code: int
    output: str
    errors: str


class Command:
    """``drrpack`` with its arguments; anything but a clean exit fails the test."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def __call__(self, *arguments: str | Path) -> Done:
        self._patch.setattr(sys, "argv", ["drrpack", *map(str, arguments)])
        self._capture.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            interrupts.uninstall()  # this process goes on
        output, errors = self._capture.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else int(code is not None), output, errors)

    def refused(
        self, *arguments: str | Path, naming: tuple[str | Path, ...] = (), code: int = 2
    ) -> str:
        """The one message with which a command ends by this exit code."""
        done = self(*arguments)
        assert done.code == code, (done.output, done.errors)
        assert done.errors.startswith("error: "), done.errors
        assert "Traceback" not in done.errors
        for part in naming:
            assert str(part) in done.errors, done.errors
        return done.errors


def without_progress(text: str) -> str:
    """What stands on the error stream beside the lines of progress."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"\S.* +\d+% ", line))
