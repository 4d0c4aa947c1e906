"""Merge several ``.drr`` files into one: the work of ``drrpack merge``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.formats.container import Reader, check_output, write
from drrpack.formats.file_set import as_list, files_of, is_pattern
from drrpack.formats.files.addresses import local_path, output_path
from drrpack.formats.files.publish import replacing
from drrpack.formats.layout import AnyPath
from drrpack.operations.edit import Written
from drrpack.operations.preparing import Pathlike, tell_of_left, tidy
from drrpack.operations.progress import Report, heard
from drrpack.operations.recode import merged


def merge(
    memories: Pathlike | Sequence[Pathlike],
    output: Pathlike,
    *,
    force: bool = False,
    report: Report | None = None,
) -> Written:
    """Write the classes of several ``.drr`` files into one file.

    One VQ-VAE must have made them all. Where their entropy models differ, all codes are coded again
    by the model that makes the smallest file.

    Args:
        memories: the files, in the order of their classes in the new file; patterns such as
            ``"mem-*.drr"`` may stand among them. What a pattern finds again counts once.
        output: the file to write; ``force`` overwrites an existing file.
        report: called with events while the work goes on.

    Raises:
        OptionError: a file is named twice, or the files have different VQ-VAEs or image sizes, or
            share a class.
        FormatError, OutputError: a file can't be read, or the output can't be written.
    """
    target = output_path(output)
    _refuse_twice([one for one in as_list(memories) if not is_pattern(one)])
    found = files_of(memories, " to merge")
    _refuse_twice(found)
    paths = [local_path(place) for place in found]
    check_output(target, overwrite=force)
    report = heard(report)
    tidy(target, report)
    with replacing(target), ExitStack() as stack:
        tell_of_left(target, report)
        readers = [stack.enter_context(Reader(path)) for path in paths]
        together = merged(readers, choose_device("cpu"), target.resolve().parent)
        size = write(target, together, overwrite=force)
    return Written(target, len(together.classes), size)


def _refuse_twice(places: Sequence[AnyPath]) -> None:
    """Raise OptionError if two of some paths lead to one file."""
    seen = dict[str, str]()
    for place in places:
        shown, file = os.fspath(place), os.path.realpath(local_path(place))
        if file in seen:
            twice = (
                f"{shown}: found it"
                if seen[file] == shown
                else f"{seen[file]} and {shown}: found one file"
            )
            raise OptionError(
                f"{twice} twice among the files to merge, expected files of different classes; "
                "name it once",
                option="memories",
            )
        seen[file] = shown
