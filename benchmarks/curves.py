"""Accuracy over bytes at three image sizes: what a classifier learns from a memory and from files.

    python benchmarks/curves.py --small cifar100 --medium tiny64 --large caltech224 \\
        -o benchmarks/results/curves --work FOLDER

Each source is an image folder with a test split, as `photographs.py` makes two of them. Of each
this writes OUT-NAME.json, what `drrpack compare` found with classifiers of three random groups of
its classes. It draws OUT.png from all such files that are there. An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

import drrpack
from drrpack.core.progress import Notice
from drrpack.formats.layout import Json
from drrpack.operations.progress import Event

DRAWS = 3
# What is drawn, and how: files have round marks, sheets square ones, memories diamonds.
LINES: dict[str, dict[str, Any]] = {
    "DRR thin": {"color": "black", "marker": "D", "linewidth": 2},
    "DRR": {"color": "0.45", "marker": "D", "linewidth": 2},
    "JPEG": {"color": "tab:orange", "marker": "o"},
    "JPEG-sheet": {"color": "tab:orange", "marker": "s", "linestyle": "--"},
    "WebP": {"color": "tab:green", "marker": "o"},
    "WebP-sheet": {"color": "tab:green", "marker": "s", "linestyle": "--"},
    "AVIF": {"color": "tab:blue", "marker": "o"},
    "AVIF-sheet": {"color": "tab:blue", "marker": "s", "linestyle": "--"},
}


@dataclass(frozen=True)
class Size:
    """How the classifiers of one image size are trained.

    With 24 classes of 500 images a memory takes twice the bytes of its streams, all told; so the
    rivals are measured at twice the bytes of a thin memory, too.
    """

    title: str
    classes: str | None  # the first so many
    epochs: int
    also_at: tuple[float, ...] = ()  # bytes an image
    rivals: tuple[str, ...] | None = None  # all by default


SIZES = {
    "small": Size("32x32, CIFAR-100", "24", 16, (70.0,)),
    "medium": Size("64x64, Tiny-ImageNet", "24", 16),
    "large": Size("224x224, Caltech 101", None, 30, (1200.0,), ("JPEG", "WebP", "AVIF")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in SIZES:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="OUT, without an ending")
    parser.add_argument("--work", type=Path, required=True, help="folder of known accuracies")
    given = parser.parse_args()
    for name, size in SIZES.items():
        if vars(given)[name] is not None:
            found = measured(vars(given)[name], size, given.work)
            _place(given.output, name).write_text(json.dumps(found, indent=1) + "\n")
    files = {name: _place(given.output, name) for name in SIZES}
    draw({n: json.loads(f.read_text()) for n, f in files.items() if f.exists()}, given.output)


def measured(source: Path, size: Size, work: Path) -> Json:
    compared = drrpack.compare(
        source, classes=size.classes, train=True, epochs=size.epochs, draws=DRAWS,
        train_at=size.also_at, rivals=size.rivals, work=work, report=_print,
    )  # fmt: skip
    return compared.to_json()


def draw(found: dict[str, Json], output: Path) -> None:
    """A pane for each size: how far accuracy is below that from raw images of the same classes."""
    figure = Figure(figsize=(4.6 * len(found), 4.4), layout="constrained")
    panes = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, one) in zip(panes, found.items(), strict=True):
        _draw_size(axes, one)
        axes.set_title(f"{SIZES[name].title}, {one['images']:,} images", fontsize=10)
    panes[0].set_ylabel("accuracy below that of raw images (points)")
    lines = {text: line for axes in panes for line, text in zip(*_legend(axes), strict=True)}
    names = [name for name in LINES if name in lines]
    figure.legend(
        [lines[name] for name in names], names, loc="outside lower center", ncols=len(names),
        fontsize=8, frameon=False,
    )  # fmt: skip
    figure.savefig(output.with_suffix(".png"), dpi=110)


def _legend(axes: Axes) -> tuple[list[Artist], list[str]]:
    handles, names = axes.get_legend_handles_labels()
    return handles, names


def _draw_size(axes: Axes, found: Json) -> None:
    (raw,) = (c["accuracies"] for c in found["choices"] if c["family"] == "raw")
    learned = [c for c in found["choices"] if c["accuracies"]]
    for family, line in LINES.items():
        chosen = [c for c in learned if c["family"] == family]
        if not chosen:
            continue
        chosen.sort(key=lambda c: float(c["bytes_an_image"]))
        lost = [[a - b for a, b in zip(c["accuracies"], raw, strict=True)] for c in chosen]
        axes.errorbar(
            [c["bytes_an_image"] for c in chosen], [fmean(one) for one in lost],
            [stdev(one) for one in lost], markersize=5, capsize=3, label=family, **line,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="bytes an image, all told")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.3, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.grid(alpha=0.3)


def _place(output: Path, name: str) -> Path:
    return output.with_name(f"{output.name}-{name}.json")


def _print(event: Event) -> None:
    if isinstance(event, Notice):
        print(event.text, flush=True)


if __name__ == "__main__":
    main()
