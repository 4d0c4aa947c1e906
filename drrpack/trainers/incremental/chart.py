"""A line or scatter chart as inline SVG; the style of the page sets the colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 12, 48  # margins that hold the labels
COLOURS, ROUNDS = 8, 3  # then again with dashes, and with dots


@dataclass(frozen=True)
class Point:
    """A value, and the range it stands for where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """What is drawn as one.

    Attributes:
        look: a number from 0, of which each of the first 24 has a look of its own; the place among
            the series by default.
    """

    name: str
    points: list[Point]
    look: int | None = None


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    lines: bool,
    by_factors: bool = False,
    beside: Sequence[Series] = (),
) -> str:
    """An SVG with axes, one colour a series, a band from low to high, and a legend below it.

    ``by_factors``: equal factors of x, all above zero, are equally far apart. ``beside``: series of
    charts beside this one, which have the same heights.
    """
    every = [point for one in series for point in one.points]
    level = [point for one in (*series, *beside) for point in one.points]
    values = [v for p in level for v in (p.y, p.low, p.high) if v is not None]
    room = 0.0 if lines else 0.1  # a dot at the edge is half a dot
    across = _by_factors if by_factors else _even
    xs = across([p.x for p in every], LEFT, WIDTH - RIGHT, room)
    ys = _even(values, HEIGHT - BOTTOM, TOP, room)
    looks = [_look(n if one.look is None else one.look) for n, one in enumerate(series)]
    pairs = list(zip(series, looks, strict=True))
    drawn = "".join(_draw(one, look, xs, ys, lines) for one, look in pairs)
    label = escape(f"{y_label} against {x_label}", quote=True)
    legend = "".join(
        f'<li><span class="key {look}"></span>{escape(one.name)}</li>' for one, look in pairs
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{_grid(xs, ys)}{drawn}"
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}">{escape(x_label)}'
        f'</text><text class="axis" transform="translate(14 {(HEIGHT - BOTTOM) / 2}) rotate(-90)">'
        f'{escape(y_label)}</text></svg><ul class="legend">{legend}</ul>'
    )


@dataclass(frozen=True)
class _Axis:
    """Values to pixels, and round numbers to write beside them."""

    low: float  # at `start`, as the scale has it
    high: float  # at `end`
    start: float
    end: float
    ticks: Sequence[float]
    scale: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        share = (self.scale(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def _even(values: Sequence[float], start: float, end: float, room: float) -> _Axis:
    """An axis on which equal differences are equally far apart."""
    low, high = min(values), max(values)
    margin = room * (high - low)
    low, high = (max(0.0, low - margin) if low >= 0 else low - margin), high + margin
    step = _round_step((high - low) / 5 or max(1.0, abs(high)) / 5)
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    if low == high:
        high += step
    ticks = [low + step * number for number in range(round((high - low) / step) + 1)]
    return _Axis(low, high, start, end, ticks)


def _by_factors(values: Sequence[float], start: float, end: float, room: float) -> _Axis:
    """An axis on which equal factors are equally far apart, for values above zero."""
    low, high = math.log10(min(values)), math.log10(max(values))
    margin = room * (high - low) or 1.0
    low, high = low - margin, high + margin
    rounds = [
        factor * 10.0**unit
        for unit in range(math.floor(low), math.ceil(high))
        for factor in (1, 2, 5)
    ]
    ticks = [number for number in rounds if low <= math.log10(number) <= high]
    return _Axis(low, high, start, end, ticks, math.log10)


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5, 10, ... above ``rough``."""
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))


def _grid(xs: _Axis, ys: _Axis) -> str:
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{ys(v)}" y2="{ys(v)}"/>'
        f'<text class="tick y" x="{LEFT - 6}" y="{ys(v) + 4}">{v:g}</text>'
        for v in ys.ticks
    )
    return rows + "".join(
        f'<text class="tick x" x="{xs(v)}" y="{HEIGHT - BOTTOM + 18}">{v:g}</text>'
        for v in xs.ticks
    )


def look_of(number: int) -> tuple[int, int]:
    """The colour of a series and the round of its line, by which no other of 24 looks alike."""
    return number % COLOURS, number // COLOURS % ROUNDS


def _look(number: int) -> str:
    """The classes of a series in the style: c0 to c7, and r1 or r2."""
    colour, again = look_of(number)
    return f"c{colour}" + (f" r{again}" if again else "")


def _draw(one: Series, look: str, xs: _Axis, ys: _Axis, lines: bool) -> str:
    parts = []
    if lines and any(p.low is not None and p.low != p.high for p in one.points):
        upper = [f"{xs(p.x)},{ys(p.y if p.high is None else p.high)}" for p in one.points]
        lower = [f"{xs(p.x)},{ys(p.y if p.low is None else p.low)}" for p in one.points[::-1]]
        parts.append(f'<polygon class="band {look}" points="{" ".join(upper + lower)}"/>')
    if lines:
        along = " ".join(f"{xs(p.x)},{ys(p.y)}" for p in one.points)
        parts.append(f'<polyline class="line {look}" points="{along}"/>')
    for p in one.points:
        shown = escape(f"{one.name}: {p.y:.2f} at {p.x:g}")
        parts.append(
            f'<circle class="dot {look}" cx="{xs(p.x)}" cy="{ys(p.y)}" r="{3 if lines else 6}">'
            f"<title>{shown}</title></circle>"
        )
    return "".join(parts)
