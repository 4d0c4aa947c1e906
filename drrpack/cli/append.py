"""``drrpack append``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer, figures
from drrpack.cli.picture_options import PictureOptions, reads_pictures

if TYPE_CHECKING:
    from drrpack.operations.append_outcome import Appended


@reads_pictures("How the pictures are read")
def append(
    *,
    memory: Annotated[
        Path,
        typer.Argument(
            help="The .drr file to add to.", autocompletion=places.memories, parser=places.path
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            help="The new images, in a folder of any kind that encode takes.", parser=places.path
        ),
    ],
    keep_entropy_model: Annotated[
        bool,
        typer.Option(
            "--keep-entropy-model",
            help="Code the new images with the file's entropy model as it is.",
        ),
    ] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add images to classes that the file already has.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Fine-tune each level of the entropy model for N epochs.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Fine-tune for this many minutes in total; by default one for each "
            "5,000 images, and 10 at most (3 on a GPU)."
        ),
    ] = None,
    pictures: PictureOptions,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Random seed of batches and noise.")
    ] = 0,
) -> Answer:
    """Add classes to a .drr file, as the next phase of incremental learning does.

    The VQ-VAE does not change. drrpack fine-tunes the entropy model on old and
    new codes and codes all images again. It keeps the old entropy model if that
    makes the smaller file, or if you say --keep-entropy-model. After an
    interruption, the same command goes on where it stopped.
    """
    from drrpack.cli import interrupts
    from drrpack.cli.progress import Bars
    from drrpack.cli.terminal import note
    from drrpack.operations.append import append as run
    from drrpack.trainers.ranks import sharing

    interrupts.makes(memory)
    with sharing(), Bars() as bars:
        made = run(
            memory, source, keep_entropy_model=keep_entropy_model, extend=extend, epochs=epochs,
            minutes=minutes, **pictures, device=device, seed=seed, report=bars,
        )  # fmt: skip
    note(_outcome(memory, made))
    return Answer(figures(made), memory)


def _outcome(memory: Path, made: Appended) -> str:
    if made.tuned_bytes is None:
        return f"{memory}: {made.kept_bytes:,} bytes, with the entropy model that was there"
    kept, other = made.kept_bytes, made.tuned_bytes
    which = "it tuned" if made.tuned else "another one"
    better = "tuned" if made.tuned else f"now of the kind {made.entropy_model!r}"
    chosen = better if other < kept else "as it was"
    return (
        f"{memory}: {min(kept, other):,} bytes; {kept:,} with the entropy model as it was, "
        f"{other:,} with {which} and everything coded anew: {chosen}"
    )
