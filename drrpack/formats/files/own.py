"""What drrpack has made itself: pages and charts, which the same command may replace, and runs."""

from __future__ import annotations

from pathlib import Path

from drrpack.core.errors import OutputError
from drrpack.formats.files.places import check_output
from drrpack.formats.layout import AnyPath

# what a training leaves in the folder of a run
SETTINGS, PHASES, RESULT, RUN_CONFIG = "settings.json", "phases", "result.json", "run.toml"
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


def is_run(folder: Path) -> bool:
    """Whether ``drrpack train`` has left a run in a folder, or several in folders of it."""
    return (folder / RUN_CONFIG).is_file() or all(
        (folder / name).exists() for name in (SETTINGS, PHASES)
    )
