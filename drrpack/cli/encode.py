"""``drrpack encode``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer
from drrpack.cli.picture_options import PictureOptions, reads_pictures

if TYPE_CHECKING:
    from drrpack.operations.encoding.options import Entropy, Fit
    from drrpack.trainers.incremental.exemplars import Selection


@reads_pictures("How the pictures are read")
def encode(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with one subfolder of pictures for each class (SRC/class/*.png), a "
            "folder with train/ and test/ (or val/), a CIFAR folder, a .parquet, .tar, .npz or "
            ".csv file, or sklearn:digits.",
            parser=places.path,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .drr file to write.", parser=places.output)
    ],
    pictures: PictureOptions,
    class_order: Annotated[
        str | None,
        typer.Option(
            help="The order to learn the classes in: a number to shuffle by, such as 1993, or a "
            "JSON file with all names. The file records it, and train takes it over."
        ),
    ] = None,
    fit_classes: Annotated[
        int | None,
        typer.Option(
            help="Fit on the first N classes of the class order; by default on half of them."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Fit each network for N epochs.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Fit for this many minutes in total, all networks.")
    ] = None,
    codec: Annotated[
        Path | None,
        typer.Option(
            help="Use the codec of this .drr file instead of one that comes with drrpack.",
            parser=places.path,
        ),
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit a new codec to these images, from scratch.")
    ] = False,
    finetune: Annotated[
        bool, typer.Option("--finetune", help="Continue to fit the codec, on these images.")
    ] = False,
    finetune_decoder: Annotated[
        bool,
        typer.Option(
            "--finetune-decoder",
            help="Continue to fit only the codec's decoder: better images from the same codes.",
        ),
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(
            help="The codec to use, or what --fit begins with: small, meant for images of up to 48 "
            "pixels a side, medium, for up to 128, or large, for up to 512 and for larger ones: "
            "each has patches twice as large, so a quarter of the codes. Default: by the size of "
            "the images."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="What --fit makes, and how: drrpack, or paper for the networks, losses and "
            "learning rates of the DRR paper (with --epochs 1400 for its length). Default: drrpack."
        ),
    ] = None,
    entropy: Annotated[
        str,
        typer.Option(
            help="Entropy model: context, adapted (context with a small correction for these "
            "images), table (how often each code occurs in them), bitswap, or auto, which uses the "
            "one that makes the smallest file (with --codec or --fit: the codec's own)."
        ),
    ] = "auto",
    quality: Annotated[
        int | None,
        typer.Option(
            help="Rate/distortion trade-off, 0 to 100; 100 always takes the nearest code. The "
            "default is the quality of the --codec file, or 75."
        ),
    ] = None,
    raw_per_class: Annotated[
        int,
        typer.Option(
            help="Also store N raw images of each class without loss (about 1.8 kB each at 32x32)."
        ),
    ] = 0,
    raw_select: Annotated[
        str,
        typer.Option(
            help="How to choose the raw images: herding (they represent the mean of their class) "
            "or random."
        ),
    ] = "herding",
    decoder_only: Annotated[
        bool,
        typer.Option(
            "--decoder-only",
            help="Leave the VQ-VAE's encoder out; the file is smaller, but nothing can be "
            "appended to it unless the codec comes with drrpack.",
        ),
    ] = False,
    thin: Annotated[
        bool,
        typer.Option(
            "--thin", help="Leave out models that come with drrpack; readers take their own copy."
        ),
    ] = False,
    shard_mb: Annotated[
        float | None,
        typer.Option(
            help="Write several files of at most N megabytes (1,000,000 bytes) each, by class: "
            "mem-00000-of-00003.drr and so on for -o mem.drr. Each holds the models; --thin "
            "saves that."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**31 - 1, help="Random seed of initial weights, batches and noise."
        ),
    ] = 0,
    download: Annotated[
        str | None, typer.Option(help="Download cifar10 or cifar100 into SOURCE first.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output if it exists.")
    ] = False,
) -> Answer:
    """Turn an image folder into a .drr file.

    Pictures become RGB with 8 bits a channel. Transparency is dropped, not
    blended: a transparent pixel keeps its colour. After an interruption, the
    same command continues the fit.
    """
    from drrpack.cli import interrupts, screen
    from drrpack.cli.progress import Bars
    from drrpack.formats.files.shard_names import shards_of
    from drrpack.operations.encode import encode as run
    from drrpack.trainers.ranks import sharing

    if shard_mb is None:
        interrupts.makes(output)
    else:
        interrupts.makes(output, files=lambda: shards_of(output))
    with sharing(), Bars() as bars:
        made = run(
            source, output, **pictures, class_order=class_order, fit_classes=fit_classes,
            epochs=epochs, minutes=minutes, codec=codec,
            fit=_how_to_fit(fit, finetune, finetune_decoder), family=family, preset=preset,
            entropy=cast("Entropy", entropy), quality=quality, raw_per_class=raw_per_class,
            raw_select=cast("Selection", raw_select), decoder_only=decoder_only, thin=thin,
            shard_mb=shard_mb, device=device, seed=seed, download=download, force=force,
            report=bars,
        )  # fmt: skip
    screen.print_stats(made)
    return Answer(made.to_json(), *(map(Path, made.files) if made.files else [output]))


def _how_to_fit(fit: bool, finetune: bool, decoder: bool) -> Fit:
    from drrpack.core.errors import OptionError

    if fit + finetune + decoder > 1:
        raise OptionError(
            "--fit begins from scratch, --finetune continues with all networks, "
            "--finetune-decoder with the decoder alone: give one of them"
        )
    return "scratch" if fit else "finetune" if finetune else "decoder" if decoder else "no"
