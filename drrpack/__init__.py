"""drrpack: a labelled image folder as one small file, from which a classifier can be trained."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`: the command line takes over its signals after this file
if TYPE_CHECKING:
    from drrpack.core.errors import (
        CorruptError,
        DrrError,
        ExactnessError,
        FormatError,
        MessageError,
        MethodError,
        MissingError,
        OptionError,
        OutputError,
        ReadError,
        SourceError,
        UnsafeError,
        VersionError,
        WriteError,
    )
    from drrpack.formats.dataset import DRRDataset

__version__ = "0.1.0"

__all__ = [
    "CorruptError",
    "DRRDataset",
    "DrrError",
    "ExactnessError",
    "FormatError",
    "MessageError",
    "MethodError",
    "MissingError",
    "OptionError",
    "OutputError",
    "ReadError",
    "SourceError",
    "UnsafeError",
    "VersionError",
    "WriteError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Public names are imported when first used: ``drrpack --help`` must not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'drrpack' has no attribute {name!r}")
    from importlib import import_module

    home = "drrpack.formats.dataset" if name == "DRRDataset" else "drrpack.core.errors"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
