"""Check a built site: links inside it lead somewhere, and no page loads anything from a network.

``python docs/_ext/check_site.py build/site`` names what is wrong, and ends with 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


@dataclass
class Page(HTMLParser):
    """The places and the links of one page."""

    ids: set[str] = field(default_factory=set)
    links: list[tuple[str, str, str]] = field(default_factory=list)  # tag, attribute, target

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.append((tag, name, value))


@cache
def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def faults(site: Path) -> Iterator[str]:
    """What is wrong, one sentence for each link."""
    for path in sorted(site.rglob("*.html")):
        if "_downloads" in path.parts or "_static" in path.parts:
            continue
        for tag, name, target in read(path).links:
            if wrong := fault(path, tag, name, target):
                yield f"{path.relative_to(site)}: {target}: {wrong}"


def fault(path: Path, tag: str, name: str, target: str) -> str | None:
    """What is wrong with a link of a page; None if nothing is."""
    parts = urlsplit(target)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return "is loaded from a network" if (tag, name) in LOADED else None
    place = path if not parts.path else path.parent / unquote(parts.path)
    if not place.is_file():
        return "there is no such file"
    if parts.fragment and place.suffix == ".html" and "_downloads" not in place.parts:
        return (
            None if unquote(parts.fragment) in read(place).ids else "there is no such place in it"
        )
    return None


def main(site: Path) -> int:
    found = list(faults(site))
    pages = len(list(site.rglob("*.html")))
    print("\n".join(found) if found else f"{site}: the links of {pages} pages lead somewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
