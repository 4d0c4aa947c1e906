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
        return self.version.split(".")[0]
