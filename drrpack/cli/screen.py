"""What the commands show: notes and tables. Only the command line prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from drrpack.errors import OptionError
from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.trainers.results import METRICS, Result
from drrpack.trainers.results import table as result_rows

console = Console()
errors = Console(stderr=True)


def note(text: str) -> None:
    """A plain line."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """A line that should not be missed, on the error stream."""
    errors.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes a CUDA device where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise OptionError(f"--device {name}: say auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("--device cuda: PyTorch finds no CUDA device here; say --device cpu")
    return torch.device(name)


def check_picture_name(path: Path) -> None:
    """Refuse a name by which no picture can be written."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise OptionError(f"{path}: end the picture's name in .png, .jpg or .webp")


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


def print_stats(path: Path) -> None:
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
        "payload": "payload (streams)", "vqvae": "VQ-VAE", "entropy_model": "Bit-Swap and tables",
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
    models = f"{parts['vqvae'] / 1e6:.2f} (VQ-VAE) + {parts['entropy_model'] / 1e6:.2f} (Bit-Swap)"
    made.add_row(f"UB, {images} raw images", f"{raw / 1e6:.2f}", "0")
    kept = parts["payload"] + parts["container"] + parts["raw"]
    made.add_row(f"DRR, {images} images", f"{kept / 1e6:.2f}", models)
    return made


def _codes_table(figures: dict[str, Any]) -> Table:
    made = table(
        "Bits per code (the paper's table 4)", "level", "Bit-Swap", "order-0 entropy", "lzma"
    )
    for name, label in (("top", "top"), ("bottom", "bottom"), ("all", "top & bottom")):
        bits = figures["bits_per_code"][name]
        made.add_row(label, *(_number(bits[key]) for key in ("coded", "order0", "lzma")))
    return made


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _quality_line(figures: dict[str, Any]) -> str:
    each, ratio = figures["bytes_per_image"], figures["compression_ratio"]
    psnr = figures["psnr_db"]
    quality = "not measured" if psnr is None else f"{psnr:.2f} dB on {figures['psnr_on']}"
    return (
        f"{each['payload']:.1f} bytes an image, {each['total']:.1f} with models and container; "
        f"{ratio:.1f} times smaller than raw pixels; PSNR {quality}"
    )


def print_results(results: Sequence[Result], out: Path) -> None:
    """A table of phases, a table of averages, and what lies where."""
    phases = table(
        "Accuracy on raw test images, %", "classes seen", *(r["method"] for r in results)
    )
    for entries in zip(*(r["phases"] for r in results), strict=True):
        phases.add_row(str(entries[0]["classes_seen"]), *(f"{e['accuracy']:.2f}" for e in entries))
    console.print(phases)
    headings = [_HEADINGS.get(metric, metric) for metric in METRICS]
    summary = table("Summary", "method", *headings, "memory MB")
    for row in result_rows(results):
        cells = ["-" if row[m] is None else f"{row[m]:.2f}" for m in METRICS]
        summary.add_row(row["method"], *cells, f"{row['memory_bytes'] / 1e6:.2f}")
    console.print(summary)
    if len(results) == 2:
        note(_price(*results))
    note(f"result: {out / 'result.json'}\nplot: {out / 'accuracy.png'}")


_HEADINGS = {
    "average_accuracy": "average",
    "average_accuracy_with_base": "with base",
    "last_accuracy": "last",
}


def _price(result: Result, ceiling: Result) -> str:
    gap = ceiling["last_accuracy"] - result["last_accuracy"]
    return (
        f"{result['method']} keeps every image, so its distance to {ceiling['method']}, "
        f"{gap:.2f} points in the last phase, is the price of compression"
    )
