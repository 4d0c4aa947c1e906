"""The Python in docs/sources.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.usefixtures("one_thread")
def test_the_example_of_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "sources.md"
    if not page.is_file():
        pytest.skip("there is no docs/sources.md")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/sources.md", "exec"), {"__name__": "__main__"})
    said = re.findall(r"# (\(.*\))$", block, re.M)
    assert capsys.readouterr().out.splitlines() == said and len(said) == 2
