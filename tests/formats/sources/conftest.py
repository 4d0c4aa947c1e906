"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from picture_folders import two_classes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two pictures of 8 x 8."""
    return two_classes(tmp_path / "src")
