"""The Python in docs/view.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drrpack.operations.viewing.catalogue import IMAGES_ON_PAGE
from drrpack.operations.viewing.neighbours import SAMPLE_IMAGES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def document() -> str:
    page = ROOT / "docs" / "view.md"
    if not page.is_file():
        pytest.skip("there is no docs/view.md")
    return page.read_text("utf-8")


@pytest.mark.usefixtures("one_thread")
def test_the_example(
    document: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("sklearn")
    (block,) = re.findall(r"^```python\n(.*?)^```$", document, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/view.md", "exec"), {"__name__": "__main__"})
    assert tuple(capsys.readouterr()) == ("200\n", "")


def test_its_numbers(document: str) -> None:
    assert f", {IMAGES_ON_PAGE} on a page." in document
    assert document.count(f"{SAMPLE_IMAGES:,} images") == 2
