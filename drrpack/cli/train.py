"""``drrpack train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places, run_config
from drrpack.cli.answers import Answer
from drrpack.cli.picture_options import PictureOptions, reads_pictures
from drrpack.core.errors import OptionError


@reads_pictures("How the images of --test are read; by default as the file's own")
def train(
    *,
    context: typer.Context,
    memory: Annotated[
        str,
        typer.Argument(
            help="The .drr file, or its address.",
            autocompletion=places.memories,
            parser=places.path_or_address,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for result.json, accuracy.png and checkpoints.",
            parser=places.output,
        ),
    ] = Path("run"),
    method: Annotated[
        str,
        typer.Option(
            help="drr trains on reconstructions; drr-soft adds soft labels, ib-drr and ib-drr-star "
            "information back; ub trains on all raw images; finetune, er, er-jpeg, er-webp, lwf, "
            "icarl, lucir, mnemonics, gfr, der, memo and foster use no codes. package.module:Class "
            "is a method of your own; Python looks for the module in the current folder first."
        ),
    ] = "drr",
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set an option of the method, such as similarity_weight=0.01 of ib-drr. Give "
            "--set once for each option.",
        ),
    ] = None,
    ceiling: Annotated[
        bool, typer.Option(help="Also train the upper bound ub, into OUT/ub.")
    ] = True,
    phases: Annotated[
        str,
        typer.Option(
            help="Number of phases after the base, which add equally many classes; 5,10,25 makes "
            "a run for each, and 0 one of all classes at once."
        ),
    ] = "10",
    base: Annotated[
        int | None,
        typer.Option(help="Number of classes in phase 0; by default half of the classes."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Use only these classes: names (cat,dog), the first N (20) or a range (50:70). "
            "name:20 means the class named 20."
        ),
    ] = None,
    class_order: Annotated[
        str,
        typer.Option(
            help="Order in which the classes arrive: file (as encode recorded it, or as stored), a "
            "seed to shuffle by, or a JSON file with a list of class names."
        ),
    ] = "file",
    recipe: Annotated[
        str,
        typer.Option(
            help="fast (30 epochs, one-cycle schedule) or paper (200 epochs of SGD, as published)."
        ),
    ] = "fast",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of each phase, instead of the recipe's.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Filters in the first block of the network, instead of the recipe's; 64 is the "
            "usual ResNet-18."
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            help="resnet18; resnet18-medium or resnet18-large, with the strided stems of larger "
            "images; or resnet32, whose usual --width is 16."
        ),
    ] = "resnet18",
    augmentation: Annotated[
        str,
        typer.Option(
            help="Of training images, beside flips: crop as in the paper; or autoaugment, "
            "randaugment or trivialaugment after the crop."
        ),
    ] = "crop",
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Random seed of weights, batches and augmentation."
        ),
    ] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Repeat the run with this many seeds, starting at --seed; tables show mean and "
            "standard deviation.",
        ),
    ] = 1,
    budget_mb: Annotated[
        float | None,
        typer.Option(help="Let the method keep at most this many MB (1,000,000 bytes) in total."),
    ] = None,
    exemplars: Annotated[
        int,
        typer.Option(
            min=1,
            help="Raw images of each class that er, icarl and others keep, if there is no "
            "--budget-mb.",
        ),
    ] = 20,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Raw test images, if the source has none: a source of any kind that encode takes.",
            parser=places.path,
        ),
    ] = None,
    pictures: PictureOptions,
    source: Annotated[
        Path | None,
        typer.Option(
            help="The folder that holds the original images now, if it has moved.",
            parser=places.path,
        ),
    ] = None,
    test_view: Annotated[
        str,
        typer.Option(
            help="Test on raw images (raw), or also on test images that went through the codec "
            "(both)."
        ),
    ] = "raw",
    test_augmentation: Annotated[
        str,
        typer.Option(
            help="By which views of a test image its class is told: the image alone (none), also "
            "its mirror image (flip), or these from five windows (ten-crop)."
        ),
    ] = "none",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Run the network through torch.compile.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    grow: Annotated[
        bool,
        typer.Option(
            "--grow",
            help="Let the memory grow with the phases, as in the paper: each appends its classes "
            "and fine-tunes the entropy model. Files of all phases stay in OUT/memory.",
        ),
    ] = False,
    grow_epochs: Annotated[
        int | None, typer.Option(help="With --grow: fine-tune for N epochs in each phase.")
    ] = None,
    grow_minutes: Annotated[
        float | None,
        typer.Option(help="With --grow: fine-tune for this many minutes in each phase."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in OUT after its last finished phase."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with options of this command, such as the run.toml of another run; "
            "the command line goes before it.",
            parser=places.path,
            callback=run_config.from_file,
            is_eager=True,
        ),
    ] = None,
) -> Answer:
    """Train a classifier class-incrementally on a .drr file, and test it on raw images."""
    from drrpack.cli import interrupts, screen, training_screen
    from drrpack.cli.progress import Bars
    from drrpack.formats.files.addresses import shown
    from drrpack.operations.progress import Event, RunStarted
    from drrpack.operations.train import train as train_on
    from drrpack.trainers.incremental.options import parse_settings
    from drrpack.trainers.ranks import sharing

    interrupts.goes_on(out, "the same command with --resume")
    screen.note(f"{shown(memory)}: looking for its images, and for what is done in {out}")
    with sharing(), Bars() as bars:

        def report(event: Event) -> None:
            if isinstance(event, RunStarted) and not event.number:
                run_config.write(context, out)
            bars(event)

        results = train_on(
            memory, out, method=method, options=parse_settings(options or []), ceiling=ceiling,
            phases=numbers(phases, "--phases"), base=base, classes=classes,
            class_order=class_order, recipe=recipe, epochs=epochs, width=width, network=network,
            augmentation=augmentation,
            seed=seed, seeds=seeds, budget_mb=budget_mb, exemplars=exemplars, test=test,
            **pictures,
            source=source, trust=screen.ask_to_trust(memory), test_view=test_view,
            test_augmentation=test_augmentation,
            compiled=compiled, device=device, grow=grow, grow_epochs=grow_epochs,
            grow_minutes=grow_minutes, resume=resume, report=report,
        )  # fmt: skip
    training_screen.print_results(results, out)
    return Answer(
        [result.to_json() for result in results], training_screen.results_file(results, out)
    )


def numbers(text: str, option: str) -> list[int]:
    """The numbers in a text such as ``5,10,25``; raises OptionError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise OptionError(f"{option} {text}: give a number, or several with commas, such as 5,10")
    return [int(part) for part in parts]
