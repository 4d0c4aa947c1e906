"""The user's choices on how pictures become pixels: size, brightness range and size limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from numbers import Integral, Real

from drrpack.core.errors import OptionError
from drrpack.formats.layout import MAX_SIDE, Json, number

DEPTH_MAX = 32  # bits: no format that is read has integers of more


@dataclass(frozen=True)
class Reading:
    """The user's choices for all pictures of a source.

    A file records them, so that other pictures can be read in the same way.
    """

    size: int | None = None  # resize every picture to size x size
    depth: int | None = None  # bit depth of pictures with more than 8 bits
    value_range: tuple[float, float] | None = None  # or their values of black and white
    max_megapixels: float | None = None  # a larger picture may be a bomb; Pillow's limit if None

    def __post_init__(self) -> None:
        """Numbers of numpy become Python's own, which a file can record.

        What is beyond all floats becomes infinite where fractions are allowed.
        """
        for name in ("size", "depth"):
            object.__setattr__(self, name, _own(getattr(self, name)))
        object.__setattr__(self, "max_megapixels", _measure(self.max_megapixels))
        if isinstance(self.value_range, tuple | list):
            object.__setattr__(self, "value_range", tuple(map(_measure, self.value_range)))

    def check(self) -> Reading:
        """Return this reading unchanged; raises OptionError if a value is not valid."""
        self._check_size()
        if self.depth is not None and self.value_range is not None:
            raise OptionError(
                "found `depth` and `value_range`, expected one: `depth=N` is 0 to 2^N - 1",
                option="depth",
            )
        whole = self.depth is None or type(self.depth) is int
        if not whole or (self.depth is not None and not 1 <= self.depth <= DEPTH_MAX):
            raise OptionError(
                f"`depth={self.depth}`: expected 1 to {DEPTH_MAX} bits, such as `depth=12`",
                option="depth",
            )
        if self.value_range is not None:
            low, high = self.value_range
            finite = None not in (number(low), number(high))
            if not finite or not low < high or number(high - low) is None:
                raise OptionError(
                    f"`value_range=({low:g}, {high:g})`: expected two numbers, that of black below "
                    "that of white, such as `value_range=(0, 4095)`",
                    option="value_range",
                )
        largest = self.max_megapixels
        if largest is not None and (number(largest) is None or largest <= 0):
            raise OptionError(
                f"`max_megapixels={largest:g}`: expected millions of pixels above 0, such as "
                "`max_megapixels=200`",
                option="max_megapixels",
            )
        return self

    def _check_size(self) -> None:
        if self.size is None:
            return
        if type(self.size) is not int or self.size > MAX_SIDE:
            raise OptionError(
                f"`size={self.size!r}`: expected a whole number of pixels, {MAX_SIDE} at most, as "
                "in `size=32`",
                option="size",
            )
        if self.size < 1:
            raise OptionError(
                f"`size={self.size}`: expected 1 or more pixels, such as `size=32`", option="size"
            )

    @property
    def levels(self) -> tuple[float, float] | None:
        """The values of black and white that ``depth`` or ``value_range`` names."""
        if self.depth is not None:
            return 0, 2**self.depth - 1
        return self.value_range

    @property
    def said(self) -> str:
        """The argument that names the levels, for a message."""
        if self.depth is not None:
            return f"`depth={self.depth}`"
        low, high = self.value_range or (0, 0)
        return f"`value_range=({low:.9g}, {high:.9g})`"

    def or_as(self, before: Reading) -> Reading:
        """What is said here and, where nothing is said, what was said before."""
        silent = self.levels is None
        return Reading(
            before.size if self.size is None else self.size,
            before.depth if silent else self.depth,
            before.value_range if silent else self.value_range,
            before.max_megapixels if self.max_megapixels is None else self.max_megapixels,
        )

    def to_json(self) -> Json:
        """The choices made, and the size in any case, for the metadata of a file."""
        said: Json = {"size": self.size}
        if self.depth is not None:
            said["depth"] = self.depth
        if self.value_range is not None:
            said["range"] = list(self.value_range)
        if self.max_megapixels is not None:
            said["max_megapixels"] = self.max_megapixels
        return said

    @staticmethod
    def from_json(kept: Json) -> Reading:
        """The inverse of `to_json`; what can't be understood counts as not said."""
        reading = Reading()
        for changes in _understood(kept):
            try:
                reading = replace(reading, **changes).check()
            except OptionError:
                continue
        return reading


def _own(value: object) -> object:
    """A number as Python's own; anything else as it is."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, Real) and not isinstance(value, Integral) else value


def _measure(value: object) -> object:
    """The same for what may have a fraction; a whole number beyond all floats is infinite."""
    own = _own(value)
    if isinstance(own, int) and not isinstance(own, bool) and number(own) is None:
        return inf if own > 0 else -inf
    return own


def _understood(kept: Json) -> list[Json]:
    """The fields whose types are as they must be."""
    found: list[Json] = []
    for name in ("size", "depth"):
        if type(kept.get(name)) is int:
            found.append({name: kept[name]})
    levels, largest = kept.get("range"), kept.get("max_megapixels")
    if isinstance(levels, list) and len(levels) == 2 and None not in map(number, levels):
        found.append({"value_range": (levels[0], levels[1])})
    if number(largest) is not None:
        found.append({"max_megapixels": largest})
    return found
