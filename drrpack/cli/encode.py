"""``drrpack encode``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from drrpack.cli import places
from drrpack.cli.picture_options import Depth, MaxMegapixels, Size, ValueRange

if TYPE_CHECKING:
    from drrpack.operations.encode_plan import Entropy, Fit
    from drrpack.trainers.incremental.exemplars import Selection


def encode(
    source: Annotated[
        Path,
        typer.Argument(
            help="SRC/class/*.png, a folder with train/ and val/ or test/, a CIFAR folder, or "
            "digits.",
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
    family: Annotated[
        str | None,
        typer.Option(
            help="What --fit begins with: small, meant for images of up to 48 pixels a side, or "
            "medium, for up to 128: larger patches, a quarter of the codes. Default: small."
        ),
    ] = None,
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
    from drrpack.operations.encode import encode as run

    interrupts.makes(output)
    with Bars() as bars:
        made = run(
            source, output, size=size, depth=depth, value_range=value_range,
            max_megapixels=max_megapixels, fit_classes=fit_classes, epochs=epochs, minutes=minutes,
            codec=codec, fit=_how_to_fit(fit, finetune, finetune_decoder), family=family,
            entropy=cast("Entropy", entropy), quality=quality, raw_per_class=raw_per_class,
            raw_select=cast("Selection", raw_select), decoder_only=decoder_only, thin=thin,
            device=device, seed=seed, download=download, skip_bad=skip_bad, force=force,
            report=bars,
        )  # fmt: skip
    screen.print_stats(made)


def _how_to_fit(fit: bool, finetune: bool, decoder: bool) -> Fit:
    from drrpack.core.errors import OptionError

    if fit + finetune + decoder > 1:
        raise OptionError(
            "--fit begins from scratch, --finetune goes on, --finetune-decoder with the decoder "
            "alone: give one of them"
        )
    return "scratch" if fit else "finetune" if finetune else "decoder" if decoder else "no"
