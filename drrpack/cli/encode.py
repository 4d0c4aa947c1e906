"""``drrpack encode``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from drrpack.cli import places
from drrpack.cli.picture_options import Depth, MaxMegapixels, Size, ValueRange

if TYPE_CHECKING:
    from drrpack.operations.encode_plan import EncodeOptions, Entropy, Fit, Plan
    from drrpack.trainers.fitting.loop import Budget
    from drrpack.trainers.incremental.exemplars import Selection


def encode(
    source: Annotated[
        Path,
        typer.Argument(
            help="SRC/class/*.png, a folder with train/ and val/ or test/, or a CIFAR folder.",
            parser=places.path,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .drr file to write.", parser=places.path)
    ],
    size: Size = None,
    depth: Depth = None,
    value_range: ValueRange = None,
    max_megapixels: MaxMegapixels = None,
    fit_classes: Annotated[
        int | None, typer.Option(help="Fit on the first N classes; half of them by default.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Fit each network for N epochs.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Fit for so long, both networks together.")
    ] = None,
    codec: Annotated[
        Path | None,
        typer.Option(
            help="Take the codec of this .drr file, not the one that comes with drrpack.",
            parser=places.path,
        ),
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit a codec to these images, from scratch.")
    ] = False,
    finetune: Annotated[
        bool, typer.Option("--finetune", help="Fit the codec further, on these images.")
    ] = False,
    finetune_decoder: Annotated[
        bool,
        typer.Option(
            "--finetune-decoder", help="Fit its decoder alone: better images of the same bytes."
        ),
    ] = False,
    entropy: Annotated[
        str, typer.Option(help="auto (the smaller file), bitswap or context.")
    ] = "auto",
    quality: Annotated[
        int | None,
        typer.Option(
            help="0 to 100: of near codes the cheaper, or the nearest (100). Default: that of the "
            "--codec file, or 75."
        ),
    ] = None,
    raw_per_class: Annotated[
        int, typer.Option(help="Keep N images of each class as they are, too (about 1.8 kB each).")
    ] = 0,
    raw_select: Annotated[
        str, typer.Option(help="Which: herding (near the mean of the class) or random.")
    ] = "herding",
    decoder_only: Annotated[
        bool,
        typer.Option("--decoder-only", help="Leave the encoder out: smaller, and can't append."),
    ] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="Leave out models that come with drrpack.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of initial weights, batches and noise.")
    ] = 0,
    download: Annotated[
        str | None, typer.Option(help="Fetch cifar10 or cifar100 into SOURCE first.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad pictures out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Turn an image folder into a .drr file.

    An interrupted fit goes on where it was when the same command is given again.
    """
    from drrpack.cli import interrupts, screen
    from drrpack.cli.progress import Bars
    from drrpack.formats.files.publish import replacing
    from drrpack.formats.sources import source as sources
    from drrpack.operations.encode import encode as run
    from drrpack.operations.encode_plan import EncodeOptions, plan_encode

    interrupts.makes(output)
    place = screen.choose_device(device)
    screen.tidy(output)
    how = _how_to_fit(fit, finetune, finetune_decoder)
    budget = _budget(epochs, minutes, how, place.type)
    with replacing(output):  # before pictures are fetched and read, which may take long
        if download is not None:
            source = sources.download(download, source)
        options = EncodeOptions(
            source, output, place, budget, size=size,
            skip_bad=skip_bad, force=force, fit_classes=fit_classes, codec=codec,
            fit=how, entropy=cast("Entropy", entropy), quality=quality,
            seed=seed, raw_per_class=raw_per_class, raw_select=cast("Selection", raw_select),
            decoder_only=decoder_only, thin=thin,
            depth=depth, value_range=value_range, max_megapixels=max_megapixels,
        )  # fmt: skip
        plan = plan_encode(options)
        _show_plan(plan, options)
        with Bars() as bars:
            run(plan, bars.encoding)
    screen.print_stats(output)


def _how_to_fit(fit: bool, finetune: bool, decoder: bool) -> Fit:
    from drrpack.core.errors import OptionError

    if fit + finetune + decoder > 1:
        raise OptionError(
            "--fit begins from scratch, --finetune goes on, --finetune-decoder with the decoder "
            "alone: give one of them"
        )
    return "scratch" if fit else "finetune" if finetune else "decoder" if decoder else "no"


def _budget(epochs: int | None, minutes: float | None, fit: Fit, device: str) -> Budget:
    from drrpack.core.errors import OptionError
    from drrpack.operations.encode_plan import DEFAULT_MINUTES

    if fit == "no" and (epochs is not None or minutes is not None):
        raise OptionError(
            "--epochs and --minutes have no meaning unless something is fitted: see --fit"
        )
    return check_budget(epochs, minutes, DEFAULT_MINUTES[device])


def check_budget(epochs: int | None, minutes: float | None, default: float) -> Budget:
    """The budget that two options give, ``default`` minutes without them; raises OptionError."""
    from drrpack.core.errors import OptionError
    from drrpack.trainers.fitting.loop import Budget

    if epochs is not None and minutes is not None:
        raise OptionError("--epochs and --minutes exclude each other: give one of them")
    if (epochs is not None and epochs < 1) or (minutes is not None and not minutes > 0):
        raise OptionError("--epochs and --minutes must be above zero")
    if epochs is not None:
        return Budget(epochs=epochs)
    return Budget(minutes=default if minutes is None else minutes)


def _show_plan(plan: Plan, options: EncodeOptions) -> None:
    from drrpack.cli import screen

    source, budget = plan.source, options.budget
    height, width = source.image_size
    screen.note(
        f"{source.root}: {sum(source.images_per_class)} images of {height}x{width} in "
        f"{len(source.classes)} classes"
    )
    screen.warn_of(source)
    origin = "the one that comes with drrpack" if options.codec is None else str(options.codec)
    if options.fit == "no":
        screen.note(f"codec: {origin}")
    else:
        spent = (
            f"{budget.epochs} epochs each"
            if budget.epochs is not None
            else f"{budget.minutes:g} minutes in all (--minutes or --epochs to change)"
        )
        start = {
            "scratch": "from scratch",
            "finetune": f"further, from {origin}",
            "decoder": f"its decoder alone, of {origin}",
        }[options.fit]
        screen.note(f"codec: fitted on the first {plan.fit_classes} classes, {start}, {spent}")
        if plan.checkpoints.exists():
            screen.note(f"checkpoints in {plan.checkpoints}: going on from there where they fit")
    screen.note(f"device: {options.device}")
