"""A ``.drr`` file that has everything a page must cope with, and how the page is asked for."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from drr_files import read_all

from drrpack.formats import raw
from drrpack.formats.container import write
from drrpack.formats.sources.source import open_source

HOSTILE = (
    "<script>document.title='taken'</script>",
    "\"'><img src=x onerror=\"document.title='taken'\">",
    "new\nline\tand \x1b[31m",
    "&lt;b&gt; ${title} $content {0} %s",
    "\u202eright to left",
    "狐 Füchse \U0001f98a",
    "   ",
    "../../etc/passwd",
    "ordinary",
    "x" * 255,
)
KEPT = (1, 5, 29)  # raw exemplars of class 3


def hostile_memory(memory: Path, folder: Path, path: Path) -> Path:
    """The digits under `HOSTILE` names. Class 3 has raw exemplars, and a second chunk: that of
    class 5, which has no images left."""
    found = read_all(memory)
    images = open_source(folder).load(3)
    chunks = [replace(c, class_index=3) if c.class_index == 5 else c for c in found.chunks]
    packed = raw.pack(3, KEPT, images[list(KEPT)])
    write(path, replace(found, classes=list(HOSTILE), chunks=chunks, raw=packed))
    return path


@dataclass(frozen=True)
class Answer:
    """What a server sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def page(self) -> Page:
        made = Page()
        made.feed(self.text)
        return made


class Page(HTMLParser):
    """The elements of a page with their attributes, all links, and the text that people see."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def values(self, *names: str) -> list[str]:
        return [v for _, given in self.elements for name, v in given.items() if name in names]


def ask(
    address: str, target: str = "/", method: str = "GET", headers: dict[str, str] | None = None
) -> Answer:
    """One request, with a Host header as a browser sends it unless ``headers`` have another."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": parts.netloc} if headers is None else headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        found = connection.getresponse()
        return Answer(found.status, dict(found.getheaders()), found.read())
    finally:
        connection.close()


def spread(count: int) -> list[int]:
    """A few numbers below ``count``, the first and the last among them."""
    return sorted({int(n) for n in np.linspace(0, count - 1, 5)})
