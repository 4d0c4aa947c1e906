"""Look at this installation: versions, device, codecs, and a memory written and read back."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np
import torch

from drrpack import __version__
from drrpack.core import int8
from drrpack.core.device import choose_device, device_name
from drrpack.core.errors import DrrError
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import Json
from drrpack.formats.sources import pictures
from drrpack.operations.encode import encode
from drrpack.operations.verify import verify
from drrpack.trainers.comparison import peers

EXTRAS = {  # what each is for, and the module that shows that it is there
    "avalanche": ("Avalanche", "avalanche"),
    "datasets": ("datasets of Hugging Face", "datasets"),
    "demo": ("the digits of scikit-learn as a source", "sklearn"),
    "lightning": ("Lightning", "lightning"),
    "parquet": ("Parquet files as a source", "pyarrow"),
    "remote": ("files at addresses", "fsspec"),
}
IMAGES = 24  # of the round trip, in two classes
Advice: TypeAlias = Callable[[Exception], str | None]  # what to do; None: the error says it

SOUND_HDF5 = (1, 14, 6)  # 1.14.4 crashes on files that tests/formats/test_fuzz.py makes


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``problem`` says what to do where it is not as it should be."""

    name: str
    found: str
    problem: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order in which they are worth reading."""

    findings: list[Finding]

    @property
    def sound(self) -> bool:
        return all(finding.problem is None for finding in self.findings)

    def to_json(self) -> Json:
        """As ``drrpack doctor --json`` prints it."""
        return {"sound": self.sound, "findings": [asdict(one) for one in self.findings]}


def doctor(*, device: str | torch.device = "auto") -> Diagnosis:
    """Look at all that drrpack relies on, and write, verify and read a small memory.

    Nothing stays on disk. Problems are findings and not errors.

    Args:
        device: where the round trip runs: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        OptionError: there is no such device.
    """
    place = choose_device(device)
    looks: list[tuple[str, Callable[[], str], Advice]] = [
        ("versions", _versions, _again),
        ("system", _system, _again),
        ("device", lambda: _device(place), _of_device),
        ("codecs", _codecs, _again),
        ("pictures", _pictures, _again),
        ("extras", _extras, _again),
        ("round trip", lambda: _round_trip(place), _of_round_trip),
    ]
    return Diagnosis([_hdf5(), *(_looked(*one) for one in looks)])


def _hdf5() -> Finding:
    """The library that reads files. Versions before `SOUND_HDF5` crash on some damaged files."""
    found = h5py.version.hdf5_version
    if h5py.version.hdf5_version_tuple >= SOUND_HDF5:
        return Finding("HDF5", found)
    wanted = ".".join(map(str, SOUND_HDF5))
    return Finding(
        "HDF5", found,
        f"HDF5 before {wanted} crashes on some damaged files; `pip install 'h5py>=3.13'` brings a "
        "newer one",
    )  # fmt: skip


def _looked(name: str, look: Callable[[], str], advice: Advice) -> Finding:
    """What a look finds; anything that it raises is a problem, for which it has its own advice."""
    try:
        return Finding(name, look())
    except Exception as error:  # whatever a broken installation raises is what is asked for
        said = str(error) if isinstance(error, DrrError) else f"{type(error).__name__}: {error}"
        what = advice(error)
        return Finding(name, "failed", said if what is None else f"{said}; {what}")


def _again(error: Exception) -> str:
    """Of what comes with drrpack, or with what it depends on."""
    return "install drrpack and its dependencies again"


def _of_device(error: Exception) -> str | None:
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "end what else uses the GPU, or say `device='cpu'`"
    if isinstance(error, RuntimeError):  # as PyTorch raises for a GPU
        return "say `device='cpu'`, or mend the GPU's driver"
    return _again(error)


def _of_round_trip(error: Exception) -> str | None:
    """Of what happens to a small memory: disk, device and arithmetic are no part of drrpack."""
    if isinstance(error, DrrError):
        return None  # which says it
    if isinstance(error, OSError):
        return (
            "free some space in the folder for temporary files, or name another one in the "
            "environment variable TMPDIR"
        )
    if isinstance(error, ArithmeticError):
        return "this machine does not compute exactly: say `device='cpu'`, or take another machine"
    return _of_device(error)


def _versions() -> str:
    others = ("torch", "torchvision", "numpy", "h5py", "pillow", "matplotlib", "typer", "rich")
    named = [f"{name} {metadata.version(name)}" for name in others]
    return ", ".join(
        [f"drrpack {__version__}", f"HDF5 {h5py.version.hdf5_version}", *named],
    )


def _system() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.platform()}, {os.cpu_count()} CPUs"


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return f"{device_name(device)}, {memory / 2**30:.0f} GiB"
    kernels = "eight-bit kernels" if int8.available() else "float kernels alone, which are slower"
    threads = f"{torch.get_num_threads()} threads"
    return f"CPU with {threads} and {kernels}; PyTorch finds no GPU that it can use"


def _codecs() -> str:
    """The codecs that come with drrpack, each opened, and its digests checked."""
    found = []
    for path in shipped.paths():
        with Reader(path) as reader:
            reader.verify()
        found.append(f"{path.name} ({path.stat().st_size:,} bytes)")
    if not found:
        raise FileNotFoundError(f"{shipped.FOLDER} holds no codec")
    return ", ".join(found)


def _pictures() -> str:
    written = sorted(name for name in peers.available() if not name.endswith("sheet"))
    return f"reads {', '.join(pictures.readable())}; `compare` writes {', '.join(written)}"


def _extras() -> str:
    return "; ".join(
        f"{name} ({purpose}): "
        + ("installed" if find_spec(module) else f'not installed, pip install "drrpack[{name}]"')
        for name, (purpose, module) in EXTRAS.items()
    )


def _round_trip(device: torch.device) -> str:
    """A memory of random images: encoded, verified to the last stream, and read in two ways."""
    pixels = np.random.default_rng(0).integers(256, size=(IMAGES, 32, 32, 3), dtype=np.uint8)
    made = tempfile.TemporaryDirectory(prefix="drrpack-doctor-")
    with made as folder, undone_by(made.cleanup):
        path = Path(folder) / "mem.drr"
        encode(
            [(image, number % 2) for number, image in enumerate(pixels)], path, device=str(device)
        )
        verify(path, "full")
        together = DRRDataset(path, device=device).__getitems__(range(IMAGES))
        alone = DRRDataset(path, device="cpu")
        for number, (image, label) in enumerate(together):
            single, same = alone[number]
            if label != same or not torch.equal(image.cpu(), single):
                raise ArithmeticError(
                    f"image {number} decodes to other pixels alone on a CPU than with others"
                )
        size = path.stat().st_size
    return f"{IMAGES} images encoded, verified and read in batches and alone: {size:,} bytes"
