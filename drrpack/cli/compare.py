"""``drrpack compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.picture_options import Depth, MaxMegapixels, Size, ValueRange


def compare(
    source: Annotated[
        Path,
        typer.Argument(
            help="SRC/class/*.png, a folder with train/ and test/, or CIFAR.", parser=places.path
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
    from drrpack.cli import interrupts, screen
    from drrpack.formats import shipped
    from drrpack.formats.container import Reader
    from drrpack.formats.memory import load_codec
    from drrpack.formats.sources.source import open_source
    from drrpack.trainers.comparison import chart as compare_chart
    from drrpack.trainers.comparison import compare as comparing
    from drrpack.trainers.comparison.accuracy import TrainPlan, tested_images, with_accuracy

    _check_budget(budget_mb)
    if chart is not None:
        interrupts.makes(chart)
        compare_chart.check(chart)
    place = screen.choose_device(device)
    plan = TrainPlan(place, epochs, width, seeds, sizes=_sizes(train_at), work=_folder(work))
    found = open_source(
        source, size=size, depth=depth, value_range=value_range, max_megapixels=max_megapixels,
        splits=["train", "test"] if train else ["train"],
    )  # fmt: skip
    screen.warn_of(found)
    chosen = screen.choose_classes(found.classes, classes)
    if train:
        tested_images(found, chosen)  # what can't be learned is refused before it is measured
    files = shipped.paths() if codec is None else [codec]
    codecs = []
    for path in files:
        with Reader(path) as reader:
            codecs.append(load_codec(reader, place, encoder=True))

    def report(what: str) -> None:
        typer.echo(what, err=as_json)

    count = comparing.default_sample(found.image_size) if sample is None else sample
    comparison = comparing.compare(found, codecs, chosen, count, report, plan.sizes)
    if train:
        comparison = with_accuracy(comparison, found, codecs, chosen, plan, report)
    if as_json:
        typer.echo(json.dumps(comparison.to_json()))
    else:
        screen.print_comparison(comparison, budget_mb)
    if chart is not None:  # last: the figures are safe should the disk be full
        compare_chart.draw(comparison, chart)


def _check_budget(megabytes: float | None) -> None:
    from drrpack.core.errors import OptionError

    if megabytes is not None and not 0 < megabytes * 1e6 < float("inf"):
        raise OptionError(f"--budget-mb {megabytes:g}: say megabytes above 0, as in 1.5")


def _folder(path: Path | None) -> Path | None:
    from drrpack.formats.files.places import make_folder

    return None if path is None else make_folder(path)


def _sizes(text: str) -> list[float]:
    from drrpack.core.errors import OptionError

    try:
        sizes = [float(part) for part in text.split(",") if part]
    except ValueError:
        sizes = [0.0]
    if not all(0 < size < float("inf") for size in sizes):
        raise OptionError(f"--train-at {text}: say bytes an image, as in 60,120,240")
    return sizes
