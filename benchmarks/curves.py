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

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import drrpack
from drrpack.core.progress import Notice
from drrpack.formats.layout import Json
from drrpack.operations.progress import Event

DRAWS = 3


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
    figure = Figure(figsize=(5 * len(found), 4.5), layout="constrained")
    panes = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, one) in zip(panes, found.items(), strict=True):
        _draw_size(axes, one)
        axes.set_title(f"{SIZES[name].title}, {one['images']:,} images", fontsize=10)
    panes[0].set_ylabel("accuracy below that of raw images (points)")
    figure.savefig(output.with_suffix(".png"), dpi=150)


def _draw_size(axes: Axes, found: Json) -> None:
    (raw,) = (c["accuracies"] for c in found["choices"] if c["family"] == "raw")
    learned = [c for c in found["choices"] if c["accuracies"] and c["family"] != "raw"]
    for family in dict.fromkeys(choice["family"] for choice in learned):
        if family == "DRR decoder-only":
            continue
        chosen = sorted(
            (c for c in learned if c["family"] == family), key=lambda c: c["bytes_an_image"]
        )
        lost = [[a - b for a, b in zip(c["accuracies"], raw, strict=True)] for c in chosen]
        axes.errorbar(
            [c["bytes_an_image"] for c in chosen], [fmean(one) for one in lost],
            [stdev(one) for one in lost], marker="o", markersize=4, capsize=3, label=family,
        )  # fmt: skip
    axes.set(xscale="log", xlabel="bytes an image, all told")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7)


def _place(output: Path, name: str) -> Path:
    return output.with_name(f"{output.name}-{name}.json")


def _print(event: Event) -> None:
    if isinstance(event, Notice):
        print(event.text, flush=True)


if __name__ == "__main__":
    main()
