"""The user's choices on which class a picture belongs to, where a source leaves that open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, get_args

from drrpack.core.errors import OptionError
from drrpack.formats.layout import Json

ClassesFrom: TypeAlias = Literal["top", "parent"]


@dataclass(frozen=True)
class Labelling:
    """Where the classes and the pictures of a source are.

    A file records what was said, so that its originals can be opened again in the same way.
    """

    classes_from: ClassesFrom | None = None  # of nested folders: the first one, or the last one
    image_column: str | None = None  # of a table; in a tar, the ending of the members' names
    label_column: str | None = None  # of a table; in a tar, the ending, or the key in the JSON

    def check(self) -> Labelling:
        """Return this value unchanged; raises OptionError if a choice is not valid."""
        if self.classes_from not in (None, *get_args(ClassesFrom)):
            raise OptionError(
                f"`classes_from={self.classes_from!r}`: expected one of "
                f"{', '.join(get_args(ClassesFrom))}",
                option="classes_from",
            )
        for option in ("image_column", "label_column"):
            value = getattr(self, option)
            if value is not None and (not isinstance(value, str) or not value):
                raise OptionError(f"`{option}={value!r}`: expected a name", option=option)
        return self

    @property
    def said(self) -> Json:
        """The choices that were made, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def only(self, names: Collection[str]) -> Labelling:
        """The choices with these names; the others count as not said."""
        return Labelling(**{name: value for name, value in self.said.items() if name in names})

    def or_as(self, before: Labelling) -> Labelling:
        """What is said here and, where nothing is said, what was said before."""
        return Labelling(**{**before.said, **self.said})

    @staticmethod
    def from_json(kept: Json) -> Labelling:
        """The inverse of `said`; what can't be understood counts as not said."""
        found = {
            name: kept[name] for name in asdict(Labelling()) if isinstance(kept.get(name), str)
        }
        try:
            return Labelling(**found).check()
        except OptionError:
            return Labelling()
