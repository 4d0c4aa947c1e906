"""The chart of a comparison: PSNR and accuracy over bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from drrpack.core.errors import OptionError
from drrpack.formats.files.own import PNG_TEXT, check_own_output
from drrpack.formats.files.publish import write_atomic
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.choices import Choice, Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {"psnr_db": "PSNR (dB)", "accuracy": "accuracy on raw test images (%)"}


def check(path: Path, *, overwrite: bool = False) -> None:
    """Find out before anything is measured whether `draw` will be able to draw into ``path``.

    Raises:
        OptionError: its name does not end in .png. OutputError: no file can be written there, or
            one is there that drrpack has not made, and ``overwrite`` is not set.
    """
    check_own_output(path, overwrite=overwrite)
    if path.suffix.lower() != ".png":
        raise OptionError(
            f"`chart={str(path)!r}`: a chart is a PNG; end its name in .png", option="chart"
        )


def draw(comparison: Comparison, path: Path, *, overwrite: bool = False) -> None:
    """PSNR and, where there is any, accuracy over bytes an image, all told, as a PNG.

    Each curve names what its encoder was told, each point its quality, and a line below them the
    versions that made the files; the figures themselves are in the PNG's text, as JSON.

    Raises:
        OptionError, OutputError: as `check`.
    """
    check(path, overwrite=overwrite)
    from matplotlib.figure import Figure  # not pyplot: no screen, no global state

    lossy = [choice for choice in comparison.choices if choice.psnr_db is not None]
    shown = [name for name in MEASURES if any(vars(choice)[name] is not None for choice in lossy)]
    figure = Figure(figsize=(7 * len(shown), 5), layout="constrained")
    panes = figure.subplots(1, len(shown), sharex=True, squeeze=False)[0]
    for axes, name in zip(panes, shown, strict=True):
        _draw_measure(axes, comparison, lossy, name)
    figure.supxlabel(_made_by(), fontsize=7)
    text = {**PNG_TEXT, "Description": json.dumps(comparison.to_json())}
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=150, metadata=text))


def _made_by() -> str:
    return ", ".join(f"{name} {version}" for name, version in peers.libraries().items())


def label(choice: Choice) -> str:
    """The family, and what its encoder was told beside the quality: ``WebP (method 6)``."""
    told = [
        name if value is True else value if isinstance(value, str) else f"{name} {value}"
        for name, value in choice.options.items()
        if name != "quality"
    ]
    return f"{choice.family} ({', '.join(told)})" if told else choice.family


def _draw_measure(axes: Axes, comparison: Comparison, lossy: list[Choice], name: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    for family in dict.fromkeys(choice.family for choice in lossy):
        chosen = [choice for choice in comparison.of(family) if vars(choice)[name] is not None]
        chosen.sort(key=lambda choice: choice.image_bytes)
        sizes = [choice.bytes_an_image(comparison.images) for choice in chosen]
        errors = [choice.accuracy_std or 0.0 if name == "accuracy" else 0.0 for choice in chosen]
        values = [vars(choice)[name] for choice in chosen]
        name_of = label(chosen[0]) if chosen else family
        axes.errorbar(sizes, values, errors, marker="o", markersize=3, capsize=3, label=name_of)
        for choice, x, y in zip(chosen, sizes, values, strict=True):
            axes.annotate(choice.setting, (x, y), (2, 2), textcoords="offset points", fontsize=4)
    (raw,) = comparison.of("raw")
    if name == "accuracy" and raw.accuracy is not None:
        axes.axhline(raw.accuracy, color="grey", linestyle="--", label="raw images")
    axes.set(xscale="log", xlabel=f"bytes an image, of {comparison.images}", ylabel=MEASURES[name])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=6)
