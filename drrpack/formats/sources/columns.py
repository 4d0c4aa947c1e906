"""Choose the columns with pictures and with classes of a table, by the user's word or by name."""

from __future__ import annotations

from collections.abc import Sequence

from drrpack.core.errors import OptionError, SourceError

IMAGE_NAMES = ("image", "img", "path", "file_name", "filename", "file")
LABEL_NAMES = ("label", "class")
HOLDS = {
    "image_column": "pictures (their bytes in a table, their paths in a list)",
    "label_column": "whole numbers or text",
}


def image_column(said: str | None, found: Sequence[str], every: Sequence[str], where: str) -> str:
    """The column with the pictures, of those ``found`` that could be it.

    Raises:
        SourceError: none could be it, or several, none of which has a usual name.
        OptionError: the one that the user has ``said`` is not there.
    """
    return _column("image_column", said, found, every, where, IMAGE_NAMES)


def label_column(said: str | None, found: Sequence[str], every: Sequence[str], where: str) -> str:
    """The same for the column with the classes."""
    return _column("label_column", said, found, every, where, LABEL_NAMES)


def _column(
    option: str, said: str | None, found: Sequence[str], every: Sequence[str], where: str,
    usual: Sequence[str],
) -> str:  # fmt: skip
    there, holds = ", ".join(every) or "none", HOLDS[option]
    if said is not None and said not in found:
        what = f"no {holds} in this column" if said in every else "no such column"
        raise OptionError(
            f"{where}: `{option}={said!r}`: found {what}, and the columns {there}; expected one "
            f"of {', '.join(found) or 'other columns'}",
            option=option,
        )
    if said is not None:
        return said
    named = [name for name in found if name in usual]
    if len(named) == 1 or len(found) == 1:
        return (named or found)[0]
    if not found:
        raise SourceError(
            f"{where}: found no column with {holds} among the columns {there}; expected one, with "
            f"a usual name ({', '.join(usual)}) or named by `{option}`"
        )
    raise SourceError(
        f"{where}: found several columns with {holds}: {', '.join(named or found)}; expected "
        f"one: say which with `{option}={(named or found)[0]!r}`"
    )
