"""What the commands show: notes and tables. Only the command line prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import typer
from rich.table import Table

from drrpack.cli.escape import harmless
from drrpack.cli.terminal import console, shown
from drrpack.cli.terminal import note as note
from drrpack.cli.terminal import warn as warn
from drrpack.core.errors import OptionError
from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.formats.files.publish import remove_leftovers
from drrpack.formats.layout import AnyPath
from drrpack.formats.originals import untrusted_paths
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison.compare import Comparison
from drrpack.trainers.comparison.verdict import in_words, within
from drrpack.trainers.incremental.selection import how_taken, select_classes


def warn_of(source: Source) -> None:
    """What of a source was left out, and what may not be as it was meant."""
    for bad in source.bad:
        warn(f"left out {bad.path}: {bad.reason}")
    for remark in source.remarks:
        warn(remark)


def tidy(output: Path) -> None:
    """Remove what killed runs left where ``output`` is about to be written, and say so."""
    for path in remove_leftovers(output.parent):
        warn(f"removed {path}, left behind by a run that was killed")


def trust(reader: Reader, source: Path | None) -> bool:
    """Whether the paths that a file names may be opened: asked where somebody can answer."""
    paths = untrusted_paths(reader, source)
    return bool(paths) and trust_paths(reader.path, paths)


def trust_paths(path: AnyPath, paths: Sequence[str]) -> bool:
    """Whether folders that a file names may be read: asked where somebody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    places = ", ".join(map(harmless, paths))
    return typer.confirm(f"{path} says that its images lie in {places}. Read them there?")


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes a CUDA device where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise OptionError(f"--device {name}: say auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("--device cuda: PyTorch finds no CUDA device here; say --device cpu")
    return torch.device(name)


def choose_classes(names: Sequence[str], wanted: str | None) -> list[int]:
    """Numbers of the classes that ``--classes`` asks for; says how it was taken where that could
    be otherwise."""
    chosen = select_classes(names, wanted)
    taken = how_taken(names, wanted)
    if taken is not None:
        warn(taken)
    return chosen


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(title: str, *columns: str) -> Table:
    """An empty table; all columns but the first are right-aligned."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    return made


def print_stats(path: AnyPath) -> None:
    """The tables of ``drrpack stats``."""
    with Reader(path) as reader:
        figures = account(reader)
    note(f"{path}: format {figures['format_version']}, {figures['images']} images")
    for made in (_bytes_table(figures), _memory_table(figures), _codes_table(figures)):
        console.print(made)
    note(_quality_line(figures))


def _bytes_table(figures: dict[str, Any]) -> Table:
    made = table("Every byte", "part", "bytes", "bytes/image", "share")
    names = {
        "payload": "payload (streams)", "vqvae": "VQ-VAE", "entropy_model": _entropy_model(figures),
        "raw": "raw exemplars", "container": "index and container", "file": "file",
    }  # fmt: skip
    total, images = figures["bytes"]["file"], max(1, figures["images"])
    for name, label in names.items():
        size = figures["bytes"][name]
        made.add_row(
            label, f"{size:,}", f"{size / images:.1f}", f"{100 * size / total:.1f} %",
            end_section=name == "container",
        )  # fmt: skip
    return made


def _memory_table(figures: dict[str, Any]) -> Table:
    made = table("Memory (the paper's table 3)", "method", "exemplars MB", "assistant models MB")
    raw, parts, images = figures["raw_bytes"], figures["bytes"], figures["images"]
    models = f"{parts['vqvae'] / 1e6:.2f} (VQ-VAE) + "
    models += f"{parts['entropy_model'] / 1e6:.2f} ({_entropy_model(figures)})"
    made.add_row(f"UB, {images} raw images", f"{raw / 1e6:.2f}", "0")
    kept = parts["payload"] + parts["container"] + parts["raw"]
    made.add_row(f"DRR, {images} images", f"{kept / 1e6:.2f}", models)
    return made


def _codes_table(figures: dict[str, Any]) -> Table:
    made = table(
        "Bits per code (the paper's table 4)", "level", _entropy_model(figures),
        "order-0 entropy", "lzma",
    )  # fmt: skip
    for name, label in (("top", "top"), ("bottom", "bottom"), ("all", "top & bottom")):
        bits = figures["bits_per_code"][name]
        made.add_row(label, *(_number(bits[key]) for key in ("coded", "order0", "lzma")))
    return made


def _entropy_model(figures: dict[str, Any]) -> str:
    return {"bitswap": "Bit-Swap", "context": "context model"}[figures["entropy_model"]]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _quality_line(figures: dict[str, Any]) -> str:
    each = figures["bytes_per_image"]
    size = beside_raw(figures["bytes"]["file"], figures["raw_bytes"])
    psnr = figures["psnr_db"]
    quality = "not measured" if psnr is None else f"{psnr:.2f} dB on {figures['psnr_on']}"
    return (
        f"{each['payload']:.1f} bytes an image, {each['total']:.1f} with models and container; "
        f"{size}; PSNR {quality}"
    )


def beside_raw(size: int, raw: int) -> str:
    """How large a file of ``size`` bytes is, beside the ``raw`` bytes of its pixels."""
    if raw == 0:
        return "no pixels to compare it with"
    if f"{size / raw:.1f}" == "1.0":
        return "about as large as raw pixels"
    if size > raw:
        return f"{size / raw:.1f} times as large as raw pixels"
    return f"{raw / size:.1f} times smaller than raw pixels"


def print_comparison(comparison: Comparison, budget_mb: float | None) -> None:
    """What each choice costs and gives, and who wins."""
    images, (height, width) = comparison.images, comparison.image_size
    made = table(
        f"{images} images of {height}x{width}, measured on {comparison.sample}",
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
    console.print(made)
    for line in in_words(comparison, comparison.memory):
        note(line)
    if budget_mb is not None:
        for family, best in within(comparison, round(budget_mb * 1e6)).items():
            fits = "nothing" if best is None else f"{best.name}, SSIM {best.ssim:.4f}"
            note(f"within {budget_mb:g} MB of {family}: {fits}")


def plus_minus(mean: float, deviation: float | None) -> str:
    """A mean, and the deviation around it where there is one."""
    if deviation is None:
        return f"{mean:.2f}"
    return f"{mean:.2f} {shown('±', '+-')} {deviation:.2f}"
