"""Merge several ``.drr`` files into one: the work of ``drrpack merge``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from drrpack.core.device import choose_device
from drrpack.formats.container import Reader, check_output, write
from drrpack.formats.file_set import files_of
from drrpack.formats.files.addresses import local_path, output_path
from drrpack.formats.files.publish import replacing
from drrpack.operations import edit
from drrpack.operations.edit import Written
from drrpack.operations.preparing import Pathlike, tidy
from drrpack.operations.progress import Report, heard
from drrpack.operations.recode import with_one_model


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
            ``"mem-*.drr"`` may stand among them. A file that is named twice counts once.
        output: the file to write; ``force`` overwrites an existing file.
        report: called with events while the work goes on.

    Raises:
        OptionError: the files have different VQ-VAEs or image sizes, or share a class.
        FormatError, OutputError: a file can't be read, or the output can't be written.
    """
    found, target = files_of(memories, " to merge"), output_path(output)
    paths = [local_path(place) for place in found]
    check_output(target, overwrite=force)
    tidy(target, heard(report))
    with replacing(target), ExitStack() as stack:
        readers = [stack.enter_context(Reader(path)) for path in paths]
        contents = with_one_model(readers, choose_device("cpu"), target.resolve().parent)
        together = edit.merge(dict(zip(paths, contents, strict=True)))
        size = write(target, together, overwrite=force)
    return Written(target, len(together.classes), size)
