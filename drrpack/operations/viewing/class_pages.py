"""The pages of many images: all classes, and the images of one class."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from drrpack.core.wording import counted, sides
from drrpack.formats.account import Stats
from drrpack.formats.pages.look import visible
from drrpack.operations.viewing.catalogue import (
    IMAGES_ON_PAGE,
    Catalogue,
    ClassRow,
    Key,
    Place,
)
from drrpack.operations.viewing.parts import (
    address,
    byte_bar,
    later,
    link,
    page,
    page_links,
    picture,
    told,
)

CLASSES_ON_PAGE = 200
SIDE = 96  # pixels of an image in a list, about


@dataclass(frozen=True)
class ClassListing:
    """Which classes are listed, in which order, and which page of them."""

    filter: str = ""
    sort: Key = "number"
    down: bool = False
    page: int = 1

    @property
    def query(self) -> dict[str, str | int]:
        """As in an address, but for the page."""
        sort = "" if self.sort == "number" else self.sort
        return {"filter": self.filter, "sort": sort, "down": 1 if self.down else ""}


def classes_page(catalogue: Catalogue, wanted: ClassListing) -> str | None:
    """All classes, or those that a filter leaves; None where there is no such page of them."""
    rows = catalogue.listed(wanted.filter, wanted.sort, wanted.down)
    pages = max(1, math.ceil(len(rows) / CLASSES_ON_PAGE))
    if not 1 <= wanted.page <= pages:
        return None
    shown = rows[(wanted.page - 1) * CLASSES_ON_PAGE :][:CLASSES_ON_PAGE]
    links = page_links("/", wanted.query, wanted.page, pages)
    said = f"{len(rows):,} of {counted(len(catalogue.rows), 'class')}"
    content = (
        f"<h1>{visible(Path(catalogue.reader.path).name)}</h1><p>{_summary(catalogue.stats)}</p>"
        f"{byte_bar(catalogue.stats)}{originals_told(catalogue)}<h2>Classes</h2>"
        f'{_filter(wanted)}<div id="classes"><p role="status">{said}</p>{links}'
        f"{_class_table(shown, wanted)}{links}</div>"
    )
    return page(f"{catalogue.reader.path} - drrpack", content)


def _summary(stats: Stats) -> str:
    quality = "" if stats.psnr_db is None else f", PSNR {stats.psnr_db:.2f} dB"
    return (
        f"{stats.images:,} images of {sides(stats.image_size)} pixels in "
        f"{counted(stats.classes, 'class')}: {stats.bytes.file:,} bytes, "
        f"{stats.bytes_per_image.total:.1f} an image{quality}."
    )


def _filter(wanted: ClassListing) -> str:
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">'
        for name, value in wanted.query.items()
        if value and name != "filter"
    )
    return (
        '<form class="filter" action="/" role="search"><label for="filter">Filter by name</label>'
        f'<input id="filter" name="filter" type="search" value="{escape(wanted.filter)}" '
        f'autocomplete="off" aria-controls="classes">{kept}<button>Filter</button></form>'
    )


def _class_table(rows: list[ClassRow], wanted: ClassListing) -> str:
    columns: tuple[tuple[Key, str], ...] = (
        ("number", "number"), ("name", "class"), ("images", "images"), ("bytes", "bytes"),
        ("raw", "raw exemplars"),
    )  # fmt: skip
    heads = []
    for key, text in columns:
        current = key == wanted.sort
        down = current and not wanted.down
        way = ("descending" if wanted.down else "ascending") if current else "none"
        to = address("/", replace(wanted, sort=key, down=down).query)
        heads.append(f'<th scope="col" aria-sort="{way}">{link(to, text)}</th>')
    body = "".join(
        f'<tr><td class="number">{row.number}</td>'
        f'<td class="name">{link(f"/class/{row.number}", visible(row.name))}</td>'
        + "".join(f'<td class="number">{n:,}</td>' for n in (row.images, row.bytes, row.raw))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def class_page(catalogue: Catalogue, number: int, at: int, raw_only: bool) -> str | None:
    """The images of a class, a page at a time; None where there is no such page.

    ``raw_only``: those alone whose raw exemplars the file keeps.
    """
    row = catalogue.rows[number]
    positions = catalogue.originals.exemplars(number) if raw_only else range(row.images)
    pages = max(1, math.ceil(len(positions) / IMAGES_ON_PAGE))
    if not 1 <= at <= pages:
        return None
    start, path = int(catalogue.starts[number]), f"/class/{number}"
    query: dict[str, str | int] = {"only": "raw" if raw_only else ""}
    places = [
        catalogue.place(start + int(position))
        for position in positions[(at - 1) * IMAGES_ON_PAGE :][:IMAGES_ON_PAGE]
    ]
    links = page_links(path, query, at, pages)
    content = (
        f"<h1>{visible(row.name)}</h1>{_class_facts(row)}{_class_links(catalogue, row, raw_only)}"
        f'{originals_told(catalogue)}<p id="waiting" role="status"></p>{links}<ul class="grid">'
        f"{''.join(_item(catalogue, place) for place in places)}</ul>{links}"
    )
    return page(f"{row.name} - {catalogue.reader.path}", content)


def originals_told(catalogue: Catalogue) -> str:
    """Whether originals stand beside reconstructions, and a place that waits while it is unsure."""
    if catalogue.originals.state == "checking":
        return later("/originals", catalogue.originals.told, then="reload")
    if catalogue.originals.state == "failed":
        return told(catalogue.originals.told)
    return f"<p>{visible(catalogue.originals.told)}</p>" if catalogue.originals.told else ""


def _class_facts(row: ClassRow) -> str:
    each = row.bytes / max(1, row.images)
    raw = f"; {counted(row.raw, 'raw exemplar')} of {row.raw_bytes:,} bytes" if row.raw else ""
    return (
        f"<p>Class {row.number}: {counted(row.images, 'image')}; streams of {row.bytes:,} bytes, "
        f"{each:.1f} an image{raw}.</p>"
    )


def _class_links(catalogue: Catalogue, row: ClassRow, raw_only: bool) -> str:
    shown = [link("/", "all classes", rel="up")]
    for step, text in ((-1, "class before"), (1, "class after")):
        other = row.number + step
        if 0 <= other < len(catalogue.rows):
            name = visible(catalogue.rows[other].name)
            shown.append(link(f"/class/{other}", f"{text}: {name}"))
    if raw_only:
        shown.append(link(f"/class/{row.number}", f"all {row.images:,} images"))
    elif row.raw and not catalogue.originals.has_source(row.number):
        only = f"only the {row.raw} beside their raw exemplars"
        shown.append(link(f"/class/{row.number}?only=raw", only))
    return f'<nav class="pages" aria-label="Around this class">{"".join(shown)}</nav>'


def _item(catalogue: Catalogue, place: Place) -> str:
    label = f'<span class="label">{place.position}</span>'
    alt = f"reconstruction of image {place.position}"
    return image_item(catalogue, place, label, alt)


def image_item(catalogue: Catalogue, place: Place, label: str, alt: str) -> str:
    """An image in a list, beside its original where that is at hand; ``label`` is HTML."""
    size = catalogue.reader.image_size
    shown = picture(picture_address(catalogue, place, "reconstruction"), alt, size, SIDE)
    if catalogue.originals.has(place.number, place.position):
        before = picture_address(catalogue, place, "original")
        shown = picture(before, f"original of image {place.position}", size, SIDE) + shown
    body = f'<span class="pair">{shown}</span>{label}'
    return f"<li>{link(f'/image/{place.image}', body, id=f'i{place.image}')}</li>"


def picture_address(catalogue: Catalogue, place: Place, kind: str) -> str:
    """Of a picture of an image; it holds a digest of the file, so it is never another's."""
    return f"/picture/{catalogue.reader.fingerprint[:16]}/{place.image}/{kind}.png"
