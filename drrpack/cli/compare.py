"""``drrpack compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import print_json
from drrpack.cli.picture_options import PictureOptions, reads_pictures
from drrpack.trainers.comparison.defaults import DRAWS, EPOCHS, SEEDS, WIDTH

if TYPE_CHECKING:
    from drrpack.operations.progress import Report


@reads_pictures("How the pictures are read")
def compare(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            help="The images, in a folder of any kind that encode takes, or sklearn:digits.",
            parser=places.path,
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            help="Use only these classes: names (cat,dog), the first N (20) or a range (50:100). "
            "name:20 means the class named 20."
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure on about this many images; 1000 by default, fewer if the images are "
            "larger than 64x64.",
        ),
    ] = None,
    pictures: PictureOptions,
    budget_mb: Annotated[
        float | None,
        typer.Option(help="Also show how many images fit into this many MB (1,000,000 bytes)."),
    ] = None,
    train: Annotated[
        bool,
        typer.Option(
            "--train",
            help="Train a small classifier on the decoded images of each format; test it on raw "
            "images.",
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help=f"Epochs of each classifier; {EPOCHS} by default."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Filters in the first block of the classifier; {WIDTH} by default."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"How many classifiers to train for each format; {SEEDS} by default."
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Split the classes into this many random groups, of 20 classes at most, and train "
            f"on each; {DRAWS} by default.",
        ),
    ] = None,
    train_at: Annotated[
        str | None,
        typer.Option(
            help="Also train at these sizes, in bytes an image (60,120,240): each format at its "
            "best quality within the size."
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Keep measured accuracies in this folder, and reuse those that it already has.",
            parser=places.path,
        ),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(
            help="Plot PSNR and accuracy over bytes into this .png.", parser=places.output
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite the chart even if it is no earlier chart of drrpack."
        ),
    ] = False,
    rivals: Annotated[
        str | None,
        typer.Option(
            help="Compare with these lossy formats alone (JPEG,AVIF-sheet): each takes time. "
            "Lossless ones always take part."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    codec: Annotated[
        Path | None,
        typer.Option(
            help="Use the codec of this .drr file instead of one that comes with drrpack.",
            parser=places.path,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="Use this codec of those that come with drrpack: small, medium or large. Default: "
            "by the size of the images."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compare a .drr file with raw images, PNG, JPEG, WebP and AVIF: bytes and quality.

    A .drr file counts with all its models. An image file counts without the
    headers and tables that all files share. A sheet is one picture that holds
    all images of a class side by side; it counts whole.
    """
    from drrpack.cli import interrupts
    from drrpack.operations.compare import compare as run

    _check_budget(budget_mb)
    if chart is not None:
        interrupts.makes(chart)
    run(
        source, classes=classes, sample=sample, **pictures, train=train, epochs=epochs,
        width=width, seeds=seeds, draws=draws, train_at=_sizes(train_at), work=work,
        chart=chart, force=force, rivals=None if rivals is None else rivals.split(","),
        codec=codec, family=family, device=device, report=_told(budget_mb, as_json),
    )  # fmt: skip


def _told(budget_mb: float | None, as_json: bool) -> Report:
    """A report that prints each step, and the figures as soon as they are measured."""
    from drrpack.cli import screen
    from drrpack.cli.telling import tell
    from drrpack.cli.terminal import note
    from drrpack.core.progress import Notice, Step
    from drrpack.operations.progress import Event
    from drrpack.trainers.comparison.choices import Comparison

    def report(event: Event) -> None:
        match event:
            case Step():
                note(event.stage)
            case Notice(warning=False):
                note(event.text)
            case Comparison() if as_json:
                print_json(event.to_json())
            case Comparison():
                screen.print_comparison(event, budget_mb)
            case _:
                tell(event)

    return report


def _check_budget(megabytes: float | None) -> None:
    """Raise OptionError unless the budget is a finite number above zero."""
    from drrpack.core.errors import OptionError

    if megabytes is not None and not 0 < megabytes * 1e6 < float("inf"):
        raise OptionError(
            f"`budget_mb={megabytes:g}`: say megabytes above 0, as in 1.5", option="budget_mb"
        )


def _sizes(text: str | None) -> list[float] | None:
    from drrpack.core.errors import OptionError

    try:
        return None if text is None else [float(part) for part in text.split(",") if part]
    except ValueError:
        raise OptionError(
            f"`train_at={text!r}`: say bytes an image, as in 60,120,240", option="train_at"
        ) from None
