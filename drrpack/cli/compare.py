"""``drrpack compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places
from drrpack.cli.picture_options import Depth, MaxMegapixels, Size, ValueRange

if TYPE_CHECKING:
    from drrpack.operations.progress import Report


def compare(
    source: Annotated[
        Path,
        typer.Argument(
            help="SRC/class/*.png, a folder with train/ and test/, CIFAR, or digits.",
            parser=places.path,
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            help="Of some classes alone: names (cat,dog), the first 20, 50:100; name:20 is a name."
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure on about so many images; 1000 by default, and fewer of more than 64x64.",
        ),
    ] = None,
    size: Size = None,
    depth: Depth = None,
    value_range: ValueRange = None,
    max_megapixels: MaxMegapixels = None,
    budget_mb: Annotated[
        float | None,
        typer.Option(help="Say what fits into so many megabytes (of 1,000,000 bytes) in all."),
    ] = None,
    train: Annotated[
        bool,
        typer.Option("--train", help="Train a small classifier on each; test it on raw images."),
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Of each classifier.")] = 16,
    width: Annotated[int, typer.Option(min=1, help="Filters of its first block.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers for each choice.")] = 1,
    train_at: Annotated[
        str, typer.Option(help="Train on what takes so many bytes an image, too: 60,120,240.")
    ] = "",
    work: Annotated[
        Path | None,
        typer.Option(
            help="Keep accuracies in this folder, and take those that are there.",
            parser=places.path,
        ),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(help="Draw PSNR and accuracy over bytes into this .png.", parser=places.path),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    codec: Annotated[
        Path | None,
        typer.Option(help="Compare this .drr file's codec, not drrpack's own.", parser=places.path),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Tell what raw images, PNG, JPEG, WebP, AVIF and a memory cost and give for your images.

    Of image files only what is particular to an image counts, of a memory all its models. A sheet
    is one file of all images of a class, side by side, and counts as a whole.
    """
    from drrpack.cli import interrupts
    from drrpack.operations.compare import compare as run

    _check_budget(budget_mb)
    if chart is not None:
        interrupts.makes(chart)
    run(
        source, classes=classes, sample=sample, size=size, depth=depth, value_range=value_range,
        max_megapixels=max_megapixels, train=train, epochs=epochs, width=width, seeds=seeds,
        train_at=_sizes(train_at), work=work, chart=chart, codec=codec, device=device,
        report=_told(budget_mb, as_json),
    )  # fmt: skip


def _told(budget_mb: float | None, as_json: bool) -> Report:
    """Prints what is measured, and the figures as soon as they are there."""
    from drrpack.cli import screen
    from drrpack.cli.telling import tell
    from drrpack.core.progress import Notice, Step
    from drrpack.operations.progress import Event
    from drrpack.trainers.comparison.compare import Comparison

    def report(event: Event) -> None:
        match event:
            case Step():
                typer.echo(event.stage, err=as_json)
            case Notice(warning=False):
                typer.echo(event.text, err=as_json)
            case Comparison() if as_json:
                typer.echo(json.dumps(event.to_json()))
            case Comparison():
                screen.print_comparison(event, budget_mb)
            case _:
                tell(event)

    return report


def _check_budget(megabytes: float | None) -> None:
    """Raise OptionError for a budget that is no amount of memory."""
    from drrpack.core.errors import OptionError

    if megabytes is not None and not 0 < megabytes * 1e6 < float("inf"):
        raise OptionError(
            f"`budget_mb={megabytes:g}`: say megabytes above 0, as in 1.5", option="budget_mb"
        )


def _sizes(text: str) -> list[float]:
    from drrpack.core.errors import OptionError

    try:
        sizes = [float(part) for part in text.split(",") if part]
    except ValueError:
        sizes = [0.0]
    if not all(0 < size < float("inf") for size in sizes):
        raise OptionError(f"--train-at {text}: say bytes an image, as in 60,120,240")
    return sizes
