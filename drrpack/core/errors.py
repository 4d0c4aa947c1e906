"""All errors that users may see, in one tree. Each message names what was found and the fix.

``drrpack`` ends with the ``exit_code`` of an error. These numbers are stable: 0 success, 1 failure,
2 usage (an option or a path that can't be used), 3 the file is damaged or not a .drr file, 4 its
version is not supported, 5 it is not safe to read, 6 input or output failed, 130 interrupted.

A message names an argument as Python spells it, between backticks: `size=32`. The command line
writes ``--size 32`` in its place.
"""

from __future__ import annotations

from typing import ClassVar


class DrrError(Exception):
    """Base of all errors that drrpack raises on purpose."""

    exit_code: ClassVar[int] = 1


class SourceError(DrrError):
    """The images to encode or to test on can't be used."""

    exit_code = 2


class OptionError(DrrError):
    """An option, or a combination of options, can't be used.

    ``option`` is the name of the argument to change, or None if there are several.
    """

    exit_code = 2

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class OutputError(DrrError):
    """The output can't be written to the requested place."""

    exit_code = 2


class WriteError(OutputError):
    """Writing failed on the way: a full disk, a lost connection."""

    exit_code = 6


class FormatError(DrrError):
    """The file is no ``.drr`` file, or not one that this program reads."""

    exit_code = 3


class MissingError(FormatError):
    """There is no file of that name."""

    exit_code = 2


class ReadError(FormatError):
    """The file is there, and reading it failed."""

    exit_code = 6


class VersionError(FormatError):
    """The file has a version, or asks for a feature, that this program does not know."""

    exit_code = 4


class UnsafeError(FormatError):
    """The file is whole and breaks the rules that protect its readers; nothing is read from it."""

    exit_code = 5


class CorruptError(FormatError):
    """The file is damaged: a checksum, a size or a record is not as it was written."""


class MessageError(DrrError):
    """More was popped from an ANS message than had been pushed: the bits for it have run out.

    While codes are encoded, more images must start the stream; a stream for which decoding runs out
    of bits is damaged, and is a `CorruptError`.
    """


class ExactnessError(DrrError):
    """Integer inference can't be exact with these weights or on this device."""


class ProcessError(DrrError):
    """Another process of the same run has ended or no longer answers, so this one can't go on."""


class MethodError(DrrError):
    """A class-incremental method breaks a rule of its interface; its author has to mend it."""
