"""``drrpack append``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli import places
from drrpack.cli.picture_options import Depth, MaxMegapixels, Size, ValueRange

if TYPE_CHECKING:
    from drrpack.operations.append import Appended
    from drrpack.trainers.fitting.loop import Budget


def append(
    memory: Annotated[Path, typer.Argument(help="The .drr file to add to.", parser=places.path)],
    source: Annotated[
        Path, typer.Argument(help="Images of new classes, as for encode.", parser=places.path)
    ],
    keep_entropy_model: Annotated[
        bool,
        typer.Option(
            "--keep-entropy-model", help="Code the new images with the model that is there."
        ),
    ] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add images to classes that the file has already.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Tune each level for N epochs.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Tune for so long in all.")] = None,
    size: Size = None,
    depth: Depth = None,
    value_range: ValueRange = None,
    max_megapixels: MaxMegapixels = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of batches and noise.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad pictures out.")] = False,
) -> None:
    """Add classes to a .drr file: the next phase.

    The VQ-VAE stays. The entropy model is tuned on old and new codes and everything coded anew,
    unless the file comes out smaller without, or --keep-entropy-model says to keep it.
    """
    from drrpack.cli import interrupts, screen
    from drrpack.cli.progress import Bars
    from drrpack.operations.append import AppendOptions, plan_append
    from drrpack.operations.append import append as run

    interrupts.makes(memory)
    place = screen.choose_device(device)
    screen.tidy(memory)
    budget = _budget(epochs, minutes, keep_entropy_model, place.type)
    options = AppendOptions(
        memory, source, place, budget, size, skip_bad, extend, keep_entropy_model, seed,
        depth=depth, value_range=value_range, max_megapixels=max_megapixels,
    )  # fmt: skip
    plan = plan_append(options)
    screen.note(
        f"{plan.source.root}: {sum(plan.source.images_per_class)} images in "
        f"{len(plan.source.classes)} classes"
    )
    screen.warn_of(plan.source)
    if not keep_entropy_model and budget.minutes is not None:
        screen.note(
            f"tuning the entropy model for up to {budget.minutes:g} minutes (--minutes to change, "
            "--keep-entropy-model for none)"
        )
    with Bars() as bars:
        made = run(plan, bars.encoding)
    screen.note(_outcome(memory, made))


def _budget(epochs: int | None, minutes: float | None, keep: bool, device: str) -> Budget:
    from drrpack.cli.encode import check_budget
    from drrpack.core.errors import OptionError
    from drrpack.operations.append import DEFAULT_MINUTES

    if keep and (epochs is not None or minutes is not None):
        raise OptionError("--epochs and --minutes have no meaning with --keep-entropy-model")
    return check_budget(epochs, minutes, DEFAULT_MINUTES[device])


def _outcome(memory: Path, made: Appended) -> str:
    if made.tuned_bytes is None:
        return f"{memory}: {made.kept_bytes:,} bytes, with the entropy model that was there"
    kept, tuned = made.kept_bytes, made.tuned_bytes
    chosen = "tuned" if tuned < kept else "as it was"
    return (
        f"{memory}: {min(kept, tuned):,} bytes; {kept:,} with the entropy model as it was, "
        f"{tuned:,} with it tuned and everything coded anew: {chosen}"
    )
