"""Every error a user may meet, as one tree. Each message names what was found and the fix."""

from __future__ import annotations


class DrrError(Exception):
    """Base of all errors that drrpack raises on purpose."""


class SourceError(DrrError):
    """The images to encode, or to test on, are not as they must be."""


class OutputError(DrrError):
    """The output can't be written where it was asked for."""


class FormatError(DrrError):
    """The file is no ``.drr`` file, or one of a version that this program does not know."""


class CorruptError(FormatError):
    """The file is damaged: a checksum, a size or a record is not as it was written."""


class MessageError(CorruptError):
    """More was popped from an ANS message than had been pushed."""


class ExactnessError(DrrError):
    """Integer inference can't be exact with these weights or on this device."""


class OptionError(DrrError):
    """An option, or a combination of options, that can't be carried out."""
