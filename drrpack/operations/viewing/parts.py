"""Parts that several pages have: the page around them, pictures, the bar of bytes, page numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlencode

from drrpack.formats.account import Stats
from drrpack.formats.pages.look import visible

Query = Mapping[str, str | int]


@cache
def packaged(name: str) -> str:
    """A file of this folder."""
    return files("drrpack.operations.viewing").joinpath(name).read_text("utf-8")


def page(title: str, content: str) -> str:
    """A whole page; ``title`` is plain text, ``content`` HTML."""
    return Template(packaged("page.html")).substitute(title=escape(title), content=content)


def told(text: str) -> str:
    """A message that stands out; plain text."""
    return f'<p class="told">{visible(text)}</p>' if text else ""


def later(address: str, what: str, then: str = "") -> str:
    """A place that the script of the page fills from ``address``; without scripts, a link."""
    return (
        f'<div data-load="{escape(address)}" data-then="{escape(then)}" aria-live="polite">'
        f'<p><a href="{escape(address)}">{escape(what)}</a></p></div>'
    )


def link(address: str, text: str, **attributes: str) -> str:
    """A link; ``text`` is HTML, and attributes that are empty are left out."""
    more = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items() if value)
    return f'<a href="{escape(address)}"{more}>{text}</a>'


def address(path: str, query: Query) -> str:
    """A path with its query, without what has no value."""
    given = {name: value for name, value in query.items() if value != ""}
    return f"{path}?{urlencode(given)}" if given else path


def picture(source: str, alt: str, size: tuple[int, int], side: int, loading: str = "lazy") -> str:
    """An image of ``size`` (H, W), enlarged by a whole factor to about ``side`` pixels."""
    height, width = size
    factor = max(1, side // max(size))
    shrunk = min(1.0, side / max(size))
    shown = [round(length * factor * shrunk) for length in (width, height)]
    return (
        f'<img src="{escape(source)}" alt="{escape(alt)}" width="{shown[0]}" height="{shown[1]}" '
        f'loading="{loading}">'
    )


def page_links(path: str, query: Query, number: int, pages: int) -> str:
    """Links to the neighbouring, the first and the last page; nothing where there is only one."""
    if pages <= 1:
        return ""
    ways = (("first", 1, ""), ("previous", number - 1, "prev"), ("next", number + 1, "next"),
            ("last", pages, ""))  # fmt: skip
    shown = [
        link(address(path, {**query, "page": to}), text, rel=rel)
        if 1 <= to <= pages and to != number else f'<span aria-disabled="true">{text}</span>'
        for text, to, rel in ways
    ]  # fmt: skip
    place = f"<span>page {number:,} of {pages:,}</span>"
    return f'<nav class="pages" aria-label="Pages of this list">{place}{"".join(shown)}</nav>'


def byte_bar(stats: Stats) -> str:
    """Where the bytes of the file go, as a bar and in words."""
    found = stats.bytes
    parts = (
        ("payload (streams)", found.payload), ("VQ-VAE", found.vqvae),
        ("entropy model", found.entropy_model), ("raw exemplars", found.raw),
        ("index and container", found.container),
    )  # fmt: skip
    rects, keys, start = [], [], 0.0
    for number, (name, size) in enumerate(parts):
        width = 1000 * size / found.file
        rects.append(
            f'<rect class="c{number}" x="{start:.2f}" y="0" width="{width:.2f}" height="24"/>'
        )
        share = f"{name}: {size:,} bytes, {width / 10:.1f} %"
        keys.append(f'<li><span class="key c{number}"></span>{share}</li>')
        start += width
    return (
        f'<svg class="bar" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" '
        f'aria-label="Shares of the file\'s bytes; the list below has the numbers">'
        f'{"".join(rects)}</svg><ul class="legend">{"".join(keys)}</ul>'
    )
