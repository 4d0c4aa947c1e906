"""``drrpack train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.core.errors import OptionError


def train(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for result.json, accuracy.png and checkpoints.",
            parser=places.path,
        ),
    ] = Path("run"),
    method: Annotated[
        str,
        typer.Option(
            help="drr, ib-drr, ib-drr-star: on reconstructions, and with information back. ub: on "
            "all raw images. finetune, er, er-jpeg, er-webp: without a memory of codes. "
            "package.module:Class: one in a file of your own, which is looked for in the current "
            "folder first, as python -m does."
        ),
    ] = "drr",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the method, such as similarity_weight=0.01 of ib-drr; once for "
            "each.",
        ),
    ] = None,
    ceiling: Annotated[
        bool, typer.Option(help="Train the ceiling ub as well, into OUT/ub.")
    ] = True,
    phases: Annotated[
        str, typer.Option(help="Equal steps after the base; 5,10,25 runs all three.")
    ] = "10",
    base: Annotated[
        int | None, typer.Option(help="Classes of phase 0; half of them by default.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Use some classes alone: names (cat,dog), the first 20, 50:70; name:20 is a name."
        ),
    ] = None,
    class_order: Annotated[
        str, typer.Option(help="file, a number to shuffle by, or a JSON file of class names.")
    ] = "file",
    recipe: Annotated[str, typer.Option(help="fast, or paper: 200 epochs of SGD.")] = "fast",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Filters of the first block; 64 is ResNet-18.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of weights, batches and augmentation.")
    ] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="So many runs, from --seed on: mean and deviation.")
    ] = 1,
    budget_mb: Annotated[
        float | None,
        typer.Option(help="Keep no more megabytes (of 1,000,000 bytes) than this in all."),
    ] = None,
    exemplars: Annotated[
        int, typer.Option(min=1, help="Raw images of a class that er keeps without a budget.")
    ] = 20,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Raw test images, where the source does not have them.", parser=places.path
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="Where the originals are now, if they have moved.", parser=places.path),
    ] = None,
    test_view: Annotated[
        str, typer.Option(help="raw, or both: also on test images that went through the codec.")
    ] = "raw",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Run the network through torch.compile.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished phase.")
    ] = False,
) -> None:
    """Run the class-incremental protocol on a .drr file, tested on raw images."""
    from drrpack.cli import screen, training_screen
    from drrpack.cli.progress import Bars
    from drrpack.operations.train import train as train_on
    from drrpack.trainers.incremental.options import parse_settings

    with Bars() as bars:
        results = train_on(
            memory, out, method=method, options=parse_settings(settings or []), ceiling=ceiling,
            phases=numbers(phases, "--phases"), base=base, classes=classes,
            class_order=class_order, recipe=recipe, epochs=epochs, width=width, seed=seed,
            seeds=seeds, budget_mb=budget_mb, exemplars=exemplars, test=test, source=source,
            trust=screen.ask_to_trust(memory), test_view=test_view,
            compiled=compiled, device=device, resume=resume,
            report=lambda event: training_screen.show(event, bars),
        )  # fmt: skip
    training_screen.print_results(results, out)


def numbers(text: str, option: str) -> list[int]:
    """``5,10,25`` as numbers; raises OptionError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise OptionError(f"{option} {text}: give a number, or several with commas, such as 5,10")
    return [int(part) for part in parts]
