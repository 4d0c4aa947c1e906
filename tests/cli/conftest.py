"""The command line under test."""

from __future__ import annotations

import pytest
from command import Command


@pytest.fixture
def drrpack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with lines so long that no message is broken."""
    monkeypatch.setenv("COLUMNS", "300")
    return Command(monkeypatch, capsys)
