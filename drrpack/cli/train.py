"""``drrpack train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


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
            "all raw images. finetune, er, er-jpeg, er-webp: without a memory of codes."
        ),
    ] = "drr",
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
    from drrpack.cli import screen
    from drrpack.cli.progress import Bars
    from drrpack.cli.telling import tell
    from drrpack.core.device import choose_device
    from drrpack.formats.container import Reader
    from drrpack.operations.preparing import chosen_classes, trusted
    from drrpack.trainers.incremental.memory_data import MemoryData
    from drrpack.trainers.incremental.run_plan import PlannedRun
    from drrpack.trainers.incremental.selection import order_classes
    from drrpack.trainers.incremental.study import Job, numbers, plan, study

    place = choose_device(device)
    with Reader(memory) as reader:
        chosen = chosen_classes(reader.classes, classes, tell)
        may = trusted(reader, source, screen.ask_to_trust(memory))
    data = MemoryData(memory, numbers=chosen, test=test, source=source, trusted=may, device=place)
    if ceiling and method != "ub" and not data.has_raw:
        screen.warn("the raw training images are not at hand: no ceiling beside this result")
        ceiling = False
    wanted = range(seed, seed + seeds)
    jobs = plan(out, method, numbers(phases, "--phases"), wanted, ceiling=ceiling)

    with Bars() as bars:

        def announce(job: Job, planned: PlannedRun) -> None:
            if job == jobs[0]:
                screen.print_codec_classes(planned.codec_classes)
            bars.run = f"{job.method} {job.phases}/{job.seed}" if len(jobs) > 2 else job.method
            screen.note(
                f"{job.method}: {len(chosen)} classes, {job.phases} phases, seed {job.seed}, "
                f"device {place}, into {job.folder}"
            )

        results = study(
            data, jobs, out, before=announce, report=bars.training,
            base=max(1, len(chosen) // 2) if base is None else base,
            class_order=order_classes(data.classes, class_order), recipe=recipe, epochs=epochs,
            width=width, device=place.type, resume=resume, exemplars_per_class=exemplars,
            budget_bytes=None if budget_mb is None else round(budget_mb * 1e6),
            test_view=test_view, compiled=compiled,
        )  # fmt: skip
    screen.print_results(results, out)
