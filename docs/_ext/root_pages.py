"""Pages of the repository's top folder on the site: ``docs/project`` has a stub for each."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "project/architecture": "ARCHITECTURE.md",
    "project/changelog": "CHANGELOG.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/security": "SECURITY.md",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#]+)")  # where a link to a file of the repository leads


def from_stub(target: str) -> str:
    """A link of a page in the top folder, as its stub in ``docs/project`` has to say it."""
    for page, name in PAGES.items():
        if target == name:
            return f"{page.split('/')[1]}.md"
    return f"../{target.removeprefix('docs/')}" if target.startswith("docs/") else f"../../{target}"


def fill_stub(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the text of a page of the top folder where its stub is."""
    if page in PAGES:
        text = (ROOT / PAGES[page]).read_text("utf-8")
        source[0] = LINK.sub(lambda found: from_stub(found[1]), text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill_stub)
    return {"parallel_read_safe": True}
