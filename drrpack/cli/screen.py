"""The tables that commands print. Only the command line prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from drrpack.cli.escape import harmless
from drrpack.cli.terminal import note as note
from drrpack.cli.terminal import show_table, shown
from drrpack.cli.terminal import warn as warn
from drrpack.core.wording import counted, sides
from drrpack.trainers.comparison.choices import Comparison
from drrpack.trainers.comparison.verdict import in_words, within

if TYPE_CHECKING:
    from drrpack.formats.account import Stats
    from drrpack.operations.doctor import Diagnosis


def ask_to_trust(memory: str) -> Callable[[Sequence[str]], bool]:
    """A function that asks the user whether to open paths that a file names.

    It answers no if nobody can be asked, because stdin or stdout is not a terminal.
    """

    def answer(paths: Sequence[str]) -> bool:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        places = ", ".join(map(harmless, paths))
        return typer.confirm(f"{memory} says that its images lie in {places}. Read them there?")

    return answer


def duration(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(title: str, *columns: str) -> Table:
    """An empty table; all columns but the first are right-aligned."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return made


def print_diagnosis(found: Diagnosis) -> None:
    """Print what ``drrpack doctor`` found, and what to do."""
    for one in found.findings:
        note(f"{one.name}: {one.found}")
        if one.problem is not None:
            warn(one.problem)
    if found.sound:
        note("all is well")


def print_stats(found: Stats) -> None:
    """Print the tables of ``drrpack stats``."""
    several = f" in {counted(len(found.files), 'file')}" if found.files else ""
    note(f"{found.path}: format {found.format_version}, {found.images} images{several}")
    for made in (_bytes_table(found), _memory_table(found), _codes_table(found)):
        show_table(made)
    note(_quality_line(found))


def _bytes_table(found: Stats) -> Table:
    made = table("Every byte", "part", "bytes", "bytes/image", "share")
    rows = (
        ("payload (streams)", found.bytes.payload),
        ("VQ-VAE", found.bytes.vqvae),
        (_entropy_model(found), found.bytes.entropy_model),
        ("raw exemplars", found.bytes.raw),
        ("index and container", found.bytes.container),
        ("all files" if found.files else "file", found.bytes.file),
    )
    for number, (label, size) in enumerate(rows, 1):
        made.add_row(
            label, f"{size:,}", f"{size / max(1, found.images):.1f}",
            f"{100 * size / found.bytes.file:.1f} %", end_section=number == len(rows) - 1,
        )  # fmt: skip
    return made


def _memory_table(found: Stats) -> Table:
    made = table("Memory (the paper's table 3)", "method", "exemplars MB", "assistant models MB")
    parts, images = found.bytes, found.images
    models = f"{parts.vqvae / 1e6:.2f} (VQ-VAE) + "
    models += f"{parts.entropy_model / 1e6:.2f} ({_entropy_model(found)})"
    made.add_row(f"UB, {images} raw images", f"{found.raw_bytes / 1e6:.2f}", "0")
    kept = parts.payload + parts.container + parts.raw
    made.add_row(f"DRR, {images} images", f"{kept / 1e6:.2f}", models)
    return made


def _codes_table(found: Stats) -> Table:
    made = table(
        "Bits per code (the paper's table 4)", "level", _entropy_model(found),
        "order-0 entropy", "lzma",
    )  # fmt: skip
    levels = found.bits_per_code
    for label, bits in (
        ("top", levels.top), ("bottom", levels.bottom), ("top & bottom", levels.all)
    ):  # fmt: skip
        made.add_row(label, *map(_number, (bits.coded, bits.order0, bits.lzma)))
    return made


def _entropy_model(found: Stats) -> str:
    known = {
        "adapted": "adapted context model", "bitswap": "Bit-Swap", "context": "context model",
        "table": "frequency table",
    }  # fmt: skip
    return known.get(found.entropy_model, found.entropy_model)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _quality_line(found: Stats) -> str:
    each = found.bytes_per_image
    size = beside_raw(found.bytes.file, found.raw_bytes)
    quality = (
        "not measured" if found.psnr_db is None else f"{found.psnr_db:.2f} dB on {found.psnr_on}"
    )
    return (
        f"{each.payload:.1f} bytes an image, {each.total:.1f} with models and container; "
        f"{size}; PSNR {quality}"
    )


def beside_raw(size: int, raw: int) -> str:
    """Compare the ``size`` of a file with the ``raw`` size of its pixels, both in bytes."""
    if raw == 0:
        return "no pixels to compare it with"
    if f"{size / raw:.1f}" == "1.0":
        return "about as large as raw pixels"
    if size > raw:
        return f"{size / raw:.1f} times as large as raw pixels"
    return f"{raw / size:.1f} times smaller than raw pixels"


def print_comparison(comparison: Comparison, budget_mb: float | None) -> None:
    """Print bytes, quality and speed of each format, and which format wins."""
    images = comparison.images
    made = table(
        f"{images} images of {sides(comparison.image_size)}, measured on {comparison.sample}",
        "kept as", "bytes/image", "MB", "PSNR dB", "SSIM", "encode/s", "decode/s",
        "accuracy %",
    )  # fmt: skip
    for choice in comparison.choices:
        size = choice.bytes_an_image(images)
        rates = [choice.encoded_a_second, choice.decoded_a_second]
        made.add_row(
            choice.name, f"{size:.1f}", f"{size * images / 1e6:.2f}",
            "lossless" if choice.psnr_db is None else f"{choice.psnr_db:.2f}", f"{choice.ssim:.4f}",
            *("-" if rate is None else f"{rate:,.0f}" for rate in rates),
            "-" if choice.accuracy is None else plus_minus(choice.accuracy, choice.accuracy_std),
        )  # fmt: skip
    show_table(made)
    for line in in_words(comparison, comparison.memory):
        note(line)
    if budget_mb is not None:
        for family, best in within(comparison, round(budget_mb * 1e6)).items():
            fits = "nothing" if best is None else f"{best.name}, SSIM {best.ssim:.4f}"
            note(f"within {budget_mb:g} MB of {family}: {fits}")


def plus_minus(mean: float, deviation: float | None) -> str:
    """A mean and, if there is one, its standard deviation."""
    if deviation is None:
        return f"{mean:.2f}"
    return f"{mean:.2f} {shown('±', '+-')} {deviation:.2f}"
