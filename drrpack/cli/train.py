"""``drrpack train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from drrpack.trainers.memory_data import MemoryData


def train(
    memory: Annotated[Path, typer.Argument(help="The .drr file.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for result.json, accuracy.png and checkpoints.")
    ] = Path("run"),
    method: Annotated[
        str, typer.Option(help="drr: on reconstructions. ub: on raw images, the ceiling.")
    ] = "drr",
    ceiling: Annotated[
        bool, typer.Option(help="Train the ceiling ub as well, into OUT/ub.")
    ] = True,
    phases: Annotated[int, typer.Option(help="Equal steps after the base.")] = 10,
    base: Annotated[
        int | None, typer.Option(help="Classes of phase 0; half of them by default.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Use some classes alone: names (cat,dog), the first 20, or 50:70."),
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
    test: Annotated[
        Path | None, typer.Option(help="Raw test images, where the source does not have them.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Where the originals are now, if they have moved.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished phase.")
    ] = False,
) -> None:
    """Run the class-incremental protocol on a .drr file, tested on raw images."""
    from drrpack.cli import screen
    from drrpack.cli.progress import Bars
    from drrpack.formats.container import Reader
    from drrpack.trainers.memory_data import MemoryData
    from drrpack.trainers.protocol import run
    from drrpack.trainers.results import plot
    from drrpack.trainers.selection import order_classes, select_classes

    place = screen.choose_device(device)
    with Reader(memory) as reader:
        numbers = select_classes(reader.classes, classes)
    data = MemoryData(memory, numbers=numbers, test=test, source=source, device=place)
    settings: dict[str, Any] = {
        "base": max(1, len(numbers) // 2) if base is None else base, "phases": phases,
        "class_order": order_classes(data.classes, class_order), "recipe": recipe,
        "seed": seed, "epochs": epochs, "width": width, "device": place.type, "resume": resume,
    }  # fmt: skip
    results = []
    for name, folder in _runs(method, out, ceiling, data):
        screen.note(f"{name}: {len(numbers)} classes, device {place}, into {folder}")
        with Bars() as bars:
            results.append(run(data, name, out=folder, report=bars.training, **settings))
    plot(results, out / "accuracy.png")
    screen.print_results(results, out)


def _runs(method: str, out: Path, ceiling: bool, data: MemoryData) -> list[tuple[str, Path]]:
    """Methods and their folders: the one asked for, and the ceiling beside it."""
    from drrpack.cli import screen

    runs = [(method, out)]
    if ceiling and method != "ub":
        if data.has_raw:
            runs.append(("ub", out / "ub"))
        else:
            screen.warn("the raw training images are not at hand: no ceiling beside this result")
    return runs
