"""The page of the file itself: format, bytes, models, fitted classes, class order, sources."""

from __future__ import annotations

import json
from html import escape

from drrpack.core.section import Section
from drrpack.core.wording import counted, sides
from drrpack.formats import metadata, shipped
from drrpack.formats.account import BitsPerCode
from drrpack.formats.pages.look import Cell, Cells, plain_table, visible
from drrpack.operations.viewing.catalogue import Catalogue
from drrpack.operations.viewing.parts import byte_bar, page

LONGEST = 100_000  # characters of the metadata that are shown


def file_page(catalogue: Catalogue) -> str:
    """Everything that the file says of itself."""
    stats, reader = catalogue.stats, catalogue.reader
    facts = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in _facts(catalogue))
    content = (
        f"<h1>{visible(str(reader.path))}</h1><dl>{facts}</dl>"
        f"<h2>Every byte</h2>{byte_bar(stats)}<h2>Bits per code</h2>"
        f"{_bits(stats.bits_per_code, stats.entropy_model)}"
        f"<h2>Models</h2>{_model('VQ-VAE', reader.vqvae, catalogue)}"
        f"{_model(f'Entropy model: {stats.entropy_model}', reader.entropy_model, catalogue)}"
        f"<h2>Fitted classes</h2>{_fitted(catalogue)}<h2>Class order</h2>{_order(catalogue)}"
        f"<h2>Sources</h2>{_sources(catalogue)}<h2>Metadata</h2>{_metadata(catalogue)}"
    )
    return page(f"file - {reader.path}", content)


def _facts(catalogue: Catalogue) -> list[tuple[str, str]]:
    stats, reader = catalogue.stats, catalogue.reader
    quality = metadata.known_quality(reader.metadata)
    psnr = "not measured"
    if stats.psnr_db is not None:
        psnr = f"{stats.psnr_db:.2f} dB on {visible(stats.psnr_on)}"
    raw = sum(row.raw for row in catalogue.rows)
    each = stats.bytes_per_image
    return [
        ("format", f"{visible(stats.format_version)}, written by {visible(reader.creator)}"),
        ("images", f"{stats.images:,} of {sides(stats.image_size)} pixels"),
        ("classes", f"{stats.classes:,}"),
        ("bytes", f"{stats.bytes.file:,}: {each.payload:.1f} an image in streams, "
         f"{each.total:.1f} in all"),
        ("raw pixels", f"{stats.raw_bytes:,} bytes, {stats.compression_ratio:.1f} times the file"),
        ("PSNR", psnr),
        ("quality", "the nearest codes" if quality is None else f"{quality} of 100"),
        ("raw exemplars", f"{raw:,}"),
        ("digest", f"<code>{escape(reader.fingerprint)}</code>"),
    ]  # fmt: skip


def _bits(found: BitsPerCode, model: str) -> str:
    rows: list[Cells] = [
        (name, *(_number(bits) for bits in (level.coded, level.order0, level.lzma)))
        for name, level in (("top", found.top), ("bottom", found.bottom), ("both", found.all))
    ]
    return plain_table(["codes", model, "order-0 entropy", "lzma"], rows)


def _number(value: float | None) -> Cell:
    return "-" if value is None else (value, f"{value:.3f}")


def _model(name: str, section: Section, catalogue: Catalogue) -> str:
    whole = shipped.whole(section, catalogue.reader.path)
    here = "not in the file: it comes with drrpack" if section.version == shipped.VERSION else (
        f"{len(section.data):,} bytes of weights"
        + (", those of a codec that comes with drrpack" if shipped.known(section) else "")
    )  # fmt: skip
    config = visible_json(whole.config)
    return (
        f"<p>{visible(name)}, version {visible(whole.version)}, {here}.</p><details><summary>Config"
        f"</summary><pre>{config}</pre></details>"
    )


def _fitted(catalogue: Catalogue) -> str:
    fitted = metadata.fitted_classes(catalogue.reader.metadata)
    if not fitted:
        return "<p>None of this file's classes, as far as it records.</p>"
    return _names(fitted, f"The codec was fitted on {counted(len(fitted), 'class')} of this file")


def _order(catalogue: Catalogue) -> str:
    classes = catalogue.reader.classes
    order = metadata.class_order(catalogue.reader.metadata, classes)
    if order == list(range(len(classes))):
        return "<p>That of the file.</p>"
    return _names([classes[number] for number in order], "The order in which they are learned")


def _names(names: list[str], summary: str) -> str:
    listed = "".join(f"<li>{visible(name)}</li>" for name in names)
    return f"<details><summary>{summary}</summary><ol>{listed}</ol></details>"


def _sources(catalogue: Catalogue) -> str:
    rows: list[Cells] = [
        (kept.shown, kept.kind or "folder or file", (len(kept.classes), f"{len(kept.classes):,}"),
         kept.digests.get("train", "")[:16])
        for kept in metadata.sources(catalogue.reader.metadata)
    ]  # fmt: skip
    if not rows:
        return "<p>The file does not record which images it was made from.</p>"
    return plain_table(["name", "kind", "classes", "digest of its training images"], rows)


def _metadata(catalogue: Catalogue) -> str:
    return (
        "<details><summary>As the file has it</summary>"
        f"<pre>{visible_json(catalogue.reader.metadata)}</pre></details>"
    )


def visible_json(value: object) -> str:
    """JSON as HTML, cut where it is very long; what is not ASCII is escaped."""
    text = json.dumps(value, indent=1)
    rest = len(text) - LONGEST
    return escape(text[:LONGEST]) + (f"\n({rest:,} more characters)" if rest > 0 else "")
