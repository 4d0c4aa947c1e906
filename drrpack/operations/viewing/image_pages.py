"""The pages of one image: its pictures, figures, codes and the images nearest to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drrpack.core.codes import LEVELS, Codes
from drrpack.core.quality import psnr_db
from drrpack.core.wording import counted
from drrpack.formats.pages.look import visible
from drrpack.operations.viewing.catalogue import Catalogue, Place
from drrpack.operations.viewing.class_pages import image_item, originals_told, picture_address
from drrpack.operations.viewing.neighbours import Neighbours
from drrpack.operations.viewing.parts import later, link, page, picture

SIDE = 256  # pixels of a picture of one image, about


def image_page(catalogue: Catalogue, place: Place, whole: bool) -> str:
    """One image: what takes no decoding is here, the rest comes by `facts_page` and others.

    ``whole``: the nearest images are looked for in the whole file, however large it is.
    """
    row, nearest = catalogue.rows[place.number], f"/nearest/{place.image}"
    content = (
        f"<h1>{visible(row.name)}, image {place.position:,} of {row.images:,}</h1>"
        f"{_ways(catalogue, place)}{originals_told(catalogue)}{_pictures(catalogue, place)}"
        f"{later(f'/facts/{place.image}', 'Bytes, bits a code, PSNR and codes')}"
        "<h2>Nearest images by their codes</h2>"
        f"{later(nearest + ('?among=file' if whole else ''), 'Look for the nearest images')}"
    )
    return page(f"image {place.position} of {row.name} - {catalogue.reader.path}", content)


def _ways(catalogue: Catalogue, place: Place) -> str:
    name = visible(catalogue.rows[place.number].name)
    up = f"/class/{place.number}" + (f"?page={place.page}" if place.page > 1 else "")
    shown = [link(f"{up}#i{place.image}", f"class {name}", rel="up")]
    for other, text, rel in (
        (place.image - 1, "image before", "prev"), (place.image + 1, "image after", "next")
    ):  # fmt: skip
        there = 0 <= other < catalogue.images
        shown.append(
            link(f"/image/{other}", text, rel=rel)
            if there else f'<span aria-disabled="true">{text}</span>'
        )  # fmt: skip
    return f'<nav class="pages" aria-label="Around this image">{"".join(shown)}</nav>'


def _pictures(catalogue: Catalogue, place: Place) -> str:
    size = catalogue.reader.image_size
    (top_rows, top_columns), colours = catalogue.top_shape, "similar codes have similar colours"
    kinds = [
        ("reconstruction", "Reconstruction", size),
        ("top", f"Top codes, {top_columns} x {top_rows}: {colours}", catalogue.top_shape),
        ("bottom", f"Bottom codes, {2 * top_columns} x {2 * top_rows}: {colours}",
         (2 * top_rows, 2 * top_columns)),
    ]  # fmt: skip
    if catalogue.originals.has(place.number, place.position):
        origin = "source" if catalogue.originals.has_source(place.number) else "raw exemplar"
        kinds.insert(0, ("original", f"Original ({origin})", size))
    figures = (
        f"<figure>{picture(picture_address(catalogue, place, kind), said, shape, SIDE, 'eager')}"
        f"<figcaption>{said}</figcaption></figure>"
        for kind, said, shape in kinds
    )
    return f'<div class="pictures">{"".join(figures)}</div>'


def facts_page(catalogue: Catalogue, place: Place) -> str:
    """The figures of an image and its codes as numbers, for which its class is decoded."""
    codes = catalogue.codes(place)
    facts = [
        ("number in the file", f"{place.image:,}"),
        *_bytes(catalogue, place, codes),
        ("PSNR", _psnr(catalogue, place)),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    numbers = "".join(
        f'<h3>{level}</h3><pre class="grid-codes" tabindex="0">{_numbers(codes[level][0])}</pre>'
        for level in LEVELS
    )
    content = f"<dl>{listed}</dl><details><summary>Codes as numbers</summary>{numbers}</details>"
    return page(f"figures of image {place.image}", content)


def _bytes(catalogue: Catalogue, place: Place, codes: Codes) -> list[tuple[str, str]]:
    row, cost = catalogue.rows[place.number], catalogue.cost(place)
    counts = codes.top.size, codes.bottom.size
    whole = f"{row.bytes:,} bytes of the streams of its class"
    if cost is None:
        mean = row.bytes / row.images
        bits = [8 * size / row.images for size in (row.top_bytes, row.bottom_bytes)]
        return [
            ("bytes", f"{mean:.1f} on average: the {whole}, which hold "
             f"{counted(row.images, 'image')}. With this entropy model no part of a stream is one "
             "image's."),
            ("bits a code, of its class", _rates(bits, counts)),
        ]  # fmt: skip
    share = 100 * cost.bytes / row.bytes
    start = (
        " It is among those that start a stream, which a table of frequencies codes."
        if cost.starts_stream
        else ""
    )
    return [
        ("bytes", f"{cost.bytes:.1f} ({cost.top_bits / 8:.1f} top, {cost.bottom_bits / 8:.1f} "
         f"bottom), {share:.2f} % of the {whole}: what its codes take by the probabilities that "
         f"the coder uses.{start}"),
        ("bits a code", _rates([cost.top_bits, cost.bottom_bits], counts)),
    ]  # fmt: skip


def _rates(bits: Sequence[float], counts: Sequence[int]) -> str:
    top, bottom = (one / count for one, count in zip(bits, counts, strict=True))
    return f"{sum(bits) / sum(counts):.2f} ({top:.2f} top, {bottom:.2f} bottom)"


def _psnr(catalogue: Catalogue, place: Place) -> str:
    original = catalogue.original(place)
    if original is None:
        return "not known: its original is not at hand"
    decoded = catalogue.reconstruction(place)
    if (original.pixels == decoded).all():
        return "the same pixels"
    return f"{psnr_db(original.pixels[None], decoded[None]):.2f} dB, against the {original.origin}"


def _numbers(grid: Iterable[Iterable[int]]) -> str:
    return "\n".join(" ".join(f"{code:>3}" for code in row) for row in grid)


def nearest_page(catalogue: Catalogue, place: Place, whole: bool) -> tuple[str, bool]:
    """The nearest images, and whether all that are to be compared have been."""
    found = catalogue.nearest(place, whole=whole)
    items = "".join(
        image_item(
            catalogue, near, f'<span class="label">{distance:.4f} '
            f"{visible(catalogue.rows[near.number].name)}</span>",
            f"image {near.position} of {catalogue.rows[near.number].name}",
        )
        for near, distance in ((catalogue.place(one.image), one.distance) for one in found.found)
    )  # fmt: skip
    content = f'{_searched(catalogue, place, found, whole)}<ul class="grid">{items}</ul>'
    return page(f"images nearest to image {place.image}", content), found.complete


def _searched(catalogue: Catalogue, place: Place, found: Neighbours, whole: bool) -> str:
    every = catalogue.images - 1
    classes = f"{found.classes_wanted:,} of {counted(len(catalogue.rows), 'class')}"
    among = (
        f"all {every:,} other images of the file" if found.images_wanted == every
        else f"a sample of {found.images_wanted:,} of the {every:,} other images: whole classes, "
        f"{classes}, its own among them"
    )  # fmt: skip
    so_far = "" if found.complete else (
        f" <strong>So far {found.images:,} of them are decoded; the rest follows.</strong>"
    )  # fmt: skip
    more = "" if whole or found.images_wanted == every else (
        f"<p>{link(f'/image/{place.image}?among=file', f'Search all {every:,} images')}: this "
        "decodes the whole file, which can take minutes.</p>"
    )  # fmt: skip
    return (
        "<p>The distance is the mean, over all places of both grids, of the squared Euclidean "
        f"distance between the two codebook vectors there. Among {among}.{so_far}</p>{more}"
    )
