"""Draw the pictures of docs/method.md beside this file: ``python docs/pictures/draw.py``.

Each picture has a light variant, ``name.svg``, and a dark one, ``name-dark.svg``. Images and codes
are real: scikit-learn's digits, by the codec that comes with drrpack.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import drrpack
from drrpack.core.phases import Phases

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

SIDE = 32  # pixels of an image
SHOWN = 3  # the digit in the pictures
WIDTH = 5.4  # inches; 10 points are still readable on a phone


@dataclass(frozen=True)
class Theme:
    """Colours of one variant."""

    suffix: str
    ground: str
    ink: str
    accent: str  # what a picture is about
    second: str
    quiet: str  # what stands around it


THEMES = (
    Theme("", "#ffffff", "#1f2328", "#0b63c5", "#b3541e", "#c9d1d9"),
    Theme("-dark", "#131416", "#e6e6e6", "#6cb0ff", "#f0a35e", "#4a5058"),
)


@dataclass(frozen=True)
class Sample:
    """One digit: its pixels (32, 32, 3), its codes (4, 4) and (8, 8), and what they decode to."""

    original: NDArray[np.uint8]
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    decoded: NDArray[np.uint8]


@cache
def sample() -> Sample:
    from sklearn.datasets import load_digits

    digits = load_digits()
    scan = digits.images[np.flatnonzero(digits.target == SHOWN)[0]]
    grey = Image.fromarray(np.rint(scan * 255 / 16).astype(np.uint8)).resize((SIDE, SIDE))
    original = np.repeat(np.asarray(grey)[:, :, None], 3, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digit.drr"
        drrpack.encode([(original, 0)], path, class_names=["digit"])
        memory = drrpack.DRRDataset(path)
        top, bottom = memory.codes([0])
        decoded = memory.pixels([0])
    return Sample(original, top[0].numpy(), bottom[0].numpy(), np.asarray(decoded[0]))


def vqvae(theme: Theme) -> None:
    """Image, two grids of codes, reconstruction."""
    figure = plt.figure(figsize=(WIDTH, 3.0))
    digit = sample()
    places = {"image": (0.01, 0.25, 0.24), "top": (0.425, 0.63, 0.14), "bottom": (0.39, 0.06, 0.21),
              "decoded": (0.75, 0.25, 0.24)}  # fmt: skip
    axes = {name: square(figure, *place) for name, place in places.items()}
    picture(axes["image"], digit.original, f"image\n{SIDE} x {SIDE} pixels", theme)
    codes(axes["top"], digit.top, "top codes, 4 x 4", theme)
    codes(axes["bottom"], digit.bottom, "bottom codes, 8 x 8", theme)
    picture(axes["decoded"], digit.decoded, "reconstruction", theme)
    over = figure.add_axes((0, 0, 1, 1), zorder=-1)
    blank(over)
    for start, end, word in ((0.27, 0.37, "encoder"), (0.63, 0.73, "decoder")):
        arrow(over, (start, 0.5), (end, 0.5), theme)
        over.text((start + end) / 2, 0.54, word, ha="center", color=theme.accent, size=9)


def levels(theme: Theme) -> None:
    """What a code of each level stands for."""
    figure = plt.figure(figsize=(WIDTH, 2.7))
    for left, stride, title in ((0.02, 8, "a top code: 8 x 8 pixels"),
                                (0.53, 4, "a bottom code: 4 x 4 pixels")):  # fmt: skip
        axes = square(figure, left, 0.03, 0.43)
        picture(axes, sample().original, title, theme)
        for line in range(0, SIDE + 1, stride):
            axes.axhline(line - 0.5, color=theme.accent, linewidth=0.8)
            axes.axvline(line - 0.5, color=theme.accent, linewidth=0.8)
        axes.add_patch(
            Rectangle((16 - 0.5, 8 - 0.5), stride, stride, fill=False, edgecolor=theme.second,
                      linewidth=3, zorder=3)
        )  # fmt: skip


def phases(theme: Theme) -> None:
    """The phase of each bottom code, and what is known when phase 6 is coded."""
    order = Phases(4).grid((8, 8), torch.device("cpu")).numpy()
    now = 6
    figure = plt.figure(figsize=(WIDTH, 2.75))
    for left, title, marked in ((0.02, "the phase of each code", False),
                                (0.53, f"coding phase {now}", True)):  # fmt: skip
        axes = square(figure, left, 0.03, 0.43)
        axes.set_title(title, color=theme.ink, size=10)
        blank(axes, 8)
        for (row, column), phase in np.ndenumerate(order):
            face, ink = phase_colours(int(phase), now, marked, theme)
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor=theme.ground))
            axes.text(column + 0.5, row + 0.53, str(phase), ha="center", va="center", color=ink,
                      size=9)  # fmt: skip
        axes.invert_yaxis()


def phase_colours(phase: int, now: int, marked: bool, theme: Theme) -> tuple[str, str]:
    """Ground and ink of a code: coded before, coded now, or not yet known."""
    if not marked:
        return (theme.accent, theme.ground) if phase < 4 else (theme.quiet, theme.ink)
    if phase == now:
        return theme.second, theme.ground
    return (theme.accent, theme.ground) if phase < now else (theme.ground, theme.quiet)


def bits_back(theme: Theme) -> None:
    """The height of an ANS message in the three steps that code one variable with a latent."""
    steps = (
        ("message", 5.0, None, ""),
        ("pop z\nby q(z | codes)", 3.4, 5.0, "bits return"),
        ("push codes\nby p(codes | z)", 6.4, 3.4, ""),
        ("push z\nby p(z)", 8.4, 6.4, ""),
    )
    figure = plt.figure(figsize=(WIDTH, 2.9))
    axes = figure.add_axes((0.02, 0.2, 0.96, 0.78))
    blank(axes)
    axes.set(xlim=(0, 4), ylim=(0, 9.6))
    for place, (word, height, before, said) in enumerate(steps):
        low = height if before is None else min(height, before)
        box(axes, place, 0, low, theme.quiet, theme)
        if before is not None and before > height:
            box(axes, place, height, before - height, "none", theme, dashed=True)
            axes.text(place + 0.5, (height + before) / 2, said, ha="center", va="center",
                      color=theme.second, size=9)  # fmt: skip
        elif before is not None:
            box(axes, place, before, height - before, theme.accent, theme)
        axes.text(place + 0.5, -0.35, word, ha="center", va="top", color=theme.ink, size=9.5)
    axes.axhline(5, color=theme.second, linewidth=1, linestyle=":")
    axes.annotate(
        "", (3.92, 8.4), (3.92, 5), arrowprops={"arrowstyle": "<->", "color": theme.second}
    )
    axes.text(3.5, 9.0, "what it cost", ha="center", color=theme.second, size=9.5)


def box(
    axes: Axes, place: float, bottom: float, height: float, face: str, theme: Theme,
    dashed: bool = False,
) -> None:  # fmt: skip
    style = {"linestyle": "--", "edgecolor": theme.second} if dashed else {"edgecolor": theme.ink}
    axes.add_patch(Rectangle((place + 0.15, bottom), 0.7, height, facecolor=face, **style))


def replay(theme: Theme) -> None:
    """The protocol: the memory holds the classes of all phases, a classifier learns from it."""
    figure = plt.figure(figsize=(WIDTH, 2.9))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    blank(axes)
    axes.set(xlim=(0, 10), ylim=(0, 5.4))
    for phase in range(4):
        top = 4.2 - phase * 1.25
        name = "base" if phase == 0 else f"phase {phase}"
        axes.text(0.05, top + 0.35, name, va="center", color=theme.ink, size=10)
        blocks = 4 + phase
        for block in range(blocks):
            new = block >= 4 + phase - 1 if phase else True
            axes.add_patch(
                Rectangle((1.6 + block * 0.52, top), 0.46, 0.7, edgecolor=theme.ground,
                          facecolor=theme.second if new else theme.accent)
            )  # fmt: skip
        arrow(axes, (5.5, top + 0.35), (6.5, top + 0.35), theme)
        axes.add_patch(Rectangle((6.7, top), 3.2, 0.7, facecolor=theme.quiet, edgecolor="none"))
        axes.text(8.3, top + 0.35, f"classifier {phase}: all seen", ha="center", va="center",
                  color=theme.ink, size=9)  # fmt: skip
    axes.text(1.6, 5.1, "classes in the memory, new ones in orange", color=theme.ink, size=9.5)


# --- what pictures share -------------------------------------------------------------------------


def square(figure: plt.Figure, left: float, bottom: float, width: float) -> Axes:
    """Square axes; the places are shares of the figure's width and height."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left, bottom, width, width * wide / high))


def picture(axes: Axes, pixels: NDArray[np.uint8], title: str, theme: Theme) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, color=theme.ink, size=10)
    frame(axes, theme)


def codes(axes: Axes, grid: NDArray[np.int64], title: str, theme: Theme) -> None:
    """Codes as colours: the number in the codebook, which means nothing by its size."""
    axes.imshow(grid * 37 % 512, cmap="viridis", interpolation="nearest", vmin=0, vmax=511)
    axes.set_title(title, color=theme.ink, size=9)
    frame(axes, theme)


def frame(axes: Axes, theme: Theme) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(theme.quiet)


def blank(axes: Axes, side: float = 1) -> None:
    axes.set(xlim=(0, side), ylim=(0, side))
    axes.axis("off")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], theme: Theme) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=theme.accent)
    )


PICTURES: dict[str, Callable[[Theme], None]] = {
    "vqvae": vqvae, "levels": levels, "phases": phases, "bits-back": bits_back, "replay": replay,
}  # fmt: skip


def draw_all(folder: Path) -> list[Path]:
    """Write every variant of every picture into ``folder``; returns their paths."""
    written = []
    with matplotlib.rc_context({"svg.hashsalt": "drrpack", "font.family": "DejaVu Sans"}):
        for name, draw in PICTURES.items():
            for theme in THEMES:
                draw(theme)
                written.append(folder / f"{name}{theme.suffix}.svg")
                plt.savefig(written[-1], facecolor=theme.ground, metadata={"Date": None})
                plt.close()
    return written


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
