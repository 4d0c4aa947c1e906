"""Pages and charts that drrpack has made itself, which the same command may replace."""

from __future__ import annotations

from pathlib import Path

from drrpack.core.errors import OutputError
from drrpack.formats.files.places import check_output
from drrpack.formats.layout import AnyPath

PNG_TEXT = {"Software": "drrpack"}  # goes into each chart, before its pixels
# The title of the page of `drrpack report`, and PNG_TEXT as a PNG has it.
_MARKS = (b"<title>drrpack report</title>", b"tEXtSoftware\0drrpack")
_HEAD_BYTES = 4096  # all marks stand in them


def check_own_output(path: AnyPath, *, overwrite: bool = False) -> None:
    """Check, as `check_output`, that a page or chart can be written to ``path``.

    An earlier one may be there: it is made anew whenever there are new results.

    Raises:
        OutputError: as `check_output`, or something else is there and ``overwrite`` is not set.
    """
    check_output(path, overwrite=True)
    if not overwrite and Path(path).exists() and not _is_own(Path(path)):
        raise OutputError(
            f"{path}: exists already, and is no page or chart of drrpack; say `force=True` to "
            "overwrite it"
        )


def _is_own(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:  # what can't be read may be anything
        return False
    return any(mark in head for mark in _MARKS)
