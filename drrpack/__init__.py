"""drrpack stores a labelled image folder as one small file, and trains classifiers from that file.

Each command of ``drrpack`` is a function here: ``encode``, ``append``, ``drop``, ``merge``,
``stats``, ``verify``, ``preview``, ``view``, ``export``, ``compare``, ``train``, ``report`` and
``doctor``. ``ChunkSampler`` is the order in which to read a `DRRDataset` that is larger than RAM.
``replay`` mixes a memory with the images of a new task; `drrpack.integrations` has what other
libraries need.
"""

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
        ProcessError,
        ReadError,
        SourceError,
        UnsafeError,
        VersionError,
        WriteError,
    )
    from drrpack.formats.chunk_sampler import ChunkSampler
    from drrpack.formats.dataset import DRRDataset
    from drrpack.formats.replay.replay_buffer import ReplayBuffer
    from drrpack.integrations.replay import replay
    from drrpack.operations.append import append
    from drrpack.operations.compare import compare
    from drrpack.operations.doctor import doctor
    from drrpack.operations.drop import drop
    from drrpack.operations.encode import encode
    from drrpack.operations.export import export
    from drrpack.operations.merge import merge
    from drrpack.operations.preview import preview
    from drrpack.operations.report import report
    from drrpack.operations.stats import stats
    from drrpack.operations.train import train
    from drrpack.operations.verify import verify
    from drrpack.operations.view import view

__version__ = "0.2.0"

__all__ = [
    "ChunkSampler",
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
    "ProcessError",
    "ReadError",
    "ReplayBuffer",
    "SourceError",
    "UnsafeError",
    "VersionError",
    "WriteError",
    "__version__",
    "append",
    "compare",
    "doctor",
    "drop",
    "encode",
    "export",
    "merge",
    "preview",
    "replay",
    "report",
    "stats",
    "train",
    "verify",
    "view",
]

_ELSEWHERE = {
    "ChunkSampler": "drrpack.formats.chunk_sampler",
    "DRRDataset": "drrpack.formats.dataset",
    "ReplayBuffer": "drrpack.formats.replay.replay_buffer",
    "replay": "drrpack.integrations.replay",
}


def __getattr__(name: str) -> object:
    """Public names are imported when first used: ``drrpack --help`` must not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'drrpack' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_home(name)), name)


def _home(name: str) -> str:
    """The module that a public name comes from; an operation has one of its own name."""
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    return "drrpack.core.errors" if name.endswith("Error") else f"drrpack.operations.{name}"


def __dir__() -> list[str]:
    return __all__
