"""A model as a file stores it."""

from __future__ import annotations

from dataclasses import dataclass

Json = dict[str, object]  # one JSON object; values are checked by whoever reads them


@dataclass(frozen=True)
class Section:
    """A stored model: ``config`` says what it is and in which order ``data`` holds its tensors.

    ``docs/format.md`` lists what each version means.
    """

    version: str  # of this element, apart from the file's
    config: Json
    data: bytes

    @property
    def major(self) -> str:
        """The part of the version that says whether a program can read it."""
        return major_of(self.version)

    def before(self, major: int) -> bool:
        """Whether its version is an earlier one than ``major``."""
        return is_before(self.version, major)


def major_of(version: str) -> str:
    """What stands before the first dot: usually a number."""
    return version.split(".")[0]


def is_before(version: str, major: int) -> bool:
    """Whether ``version`` is a numbered one, and earlier than ``major``."""
    number = major_of(version)
    return number.isdecimal() and int(number) < major
