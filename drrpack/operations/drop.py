"""Remove classes from a ``.drr`` file: the work of ``drrpack drop``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.core.wording import few
from drrpack.formats.class_names import NameFinder
from drrpack.formats.container import Reader, write
from drrpack.formats.files.addresses import local_path
from drrpack.formats.files.publish import changing
from drrpack.formats.selection import named_class
from drrpack.operations import edit
from drrpack.operations.edit import Written
from drrpack.operations.preparing import Pathlike, tell_of_left, tidy
from drrpack.operations.progress import Report, heard


def drop(
    memory: Pathlike, classes: str | Sequence[str], *, report: Report | None = None
) -> Written:
    """Remove classes from a ``.drr`` file; the other classes and their order do not change.

    Args:
        memory: the file to change.
        classes: the names of the classes to remove, or one name.
        report: called with events while the work goes on.

    Raises:
        OptionError: no class is named, the file lacks one, or it would have no class left.
        FormatError, OutputError: the file can't be read, or another process is changing it.
    """
    path, wanted = local_path(memory), [classes] if isinstance(classes, str) else [*classes]
    if not wanted:
        raise OptionError(
            "`classes=[]`: found no class to remove; name one at least", option="classes"
        )
    report = heard(report)
    tidy(path, report)
    with changing(path), Reader(path) as reader:
        tell_of_left(path, report)
        before = reader.stored()
        finder = NameFinder(before.classes)
        names = [_name(path, finder, one) for one in wanted]
        after = edit.drop(path, before, names)
        return Written(path, len(after.classes), write(path, after, overwrite=True))


def _name(path: Path, finder: NameFinder, wanted: object) -> str:
    """The file's spelling of a class name."""
    names = finder.names
    number = named_class(finder, wanted) if isinstance(wanted, str) else None
    if number is None:
        raise OptionError(
            f"{path} has no class {wanted!r}; it has {len(names)}: {few(names)}", option="classes"
        )
    return names[number]
