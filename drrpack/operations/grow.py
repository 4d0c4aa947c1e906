"""Grow a memory phase by phase, as the paper does: the work of ``drrpack train --grow``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice
from drrpack.formats.container import Reader, write
from drrpack.formats.files.publish import replacing
from drrpack.formats.layout import AnyPath
from drrpack.operations import edit
from drrpack.operations.append import append
from drrpack.operations.progress import Report
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.methods import Method


@dataclass(frozen=True)
class Growth:
    """How a phase is added: the budget for fine-tuning the entropy model, and the seed."""

    epochs: int | None
    minutes: float | None
    seed: int
    device: torch.device

    @property
    def key(self) -> str:
        """What decides the files of a memory's growth, beside the memory and its classes."""
        return f"{self.epochs} epochs, {self.minutes} minutes, seed {self.seed}"


def check_growth(
    growth: Growth,
    wanted: bool,
    method: type[Method],
    phases: Sequence[int],
    budget_mb: float | None,
) -> None:
    """Raise OptionError for what does not go with a memory that grows, or means nothing without."""
    if not wanted and (growth.epochs is not None or growth.minutes is not None):
        name = "grow_epochs" if growth.epochs is not None else "grow_minutes"
        raise OptionError(f"`{name}` has no meaning without `grow=True`", option=name)
    wrong = None
    if len(phases) > 1:
        wrong = f"found {len(phases)} numbers of phases, expected one: each has files of its own"
    elif budget_mb is not None:
        wrong = "it records what a whole memory takes, and `budget_mb` keeps a part: give one"
    elif "replayed" not in method.needs:
        wrong = (
            f"the method {method.name} keeps no codes, so it has no memory to grow; choose another "
            "`method`, such as drr"
        )
    if wanted and wrong is not None:
        raise OptionError(f"`grow=True`: {wrong}", option="grow")


def grow(
    memory: AnyPath,
    data: MemoryData,
    groups: Sequence[Sequence[int]],
    folder: Path,
    growth: Growth,
    report: Report,
) -> list[Path]:
    """A file for each phase in ``folder``: the classes of the base, and each phase's added to them.

    The file of the base has the codes and the entropy model of ``memory``. `append` adds the raw
    images of each later phase and fine-tunes the entropy model on all codes (paper, section 4).
    ``groups`` are the labels that each phase adds. Files that are there already are kept.

    Raises:
        OptionError, SourceError, FormatError, OutputError: as `drrpack.append`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Reader(memory) as reader:
        key = f"{reader.fingerprint} {growth.key}"
    files = list[Path]()
    for phase, labels in enumerate(groups):
        names = [data.classes[label] for label in labels]
        key = sha256("\0".join([key, *names]).encode()).hexdigest()
        path = folder / f"phase-{phase:03}-{key[:12]}.drr"
        if not path.exists():
            with replacing(path), _workplace(path) as place:
                if phase == 0:
                    _base(memory, names, place)
                else:
                    shutil.copyfile(files[-1], place)
                    _add(place, data, labels, growth, report)
                os.replace(place, path)
        size = path.stat().st_size
        report(Notice(f"memory after phase {phase}: {size:,} bytes in {path}", warning=False))
        files.append(path)
    return files


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A path for a file that is not finished, in a hidden folder beside ``path``.

    After an error what `append` keeps beside that file stays, for the next run to go on from.
    """
    folder = path.with_name(f".{path.stem}")
    folder.mkdir(exist_ok=True)
    place = folder / path.name
    try:
        yield place
        shutil.rmtree(folder)
    finally:
        place.unlink(missing_ok=True)
        with suppress(OSError):  # something is in it
            folder.rmdir()


def _base(memory: AnyPath, names: Sequence[str], place: Path) -> None:
    """A file of these classes alone."""
    with Reader(memory) as reader:
        content = reader.stored()
        others = [name for name in content.classes if name not in set(names)]
        kept = edit.drop(Path(reader.path), content, others) if others else content
        write(place, kept, overwrite=True)


def _add(
    place: Path, data: MemoryData, labels: Sequence[int], growth: Growth, report: Report
) -> None:
    """Append the raw images of some classes."""
    images, of = data.raw(labels)
    number = {label: position for position, label in enumerate(labels)}
    pictures = [(image, number[int(label)]) for image, label in zip(images, of, strict=True)]
    append(
        place, pictures, class_names=[data.classes[label] for label in labels],
        epochs=growth.epochs, minutes=growth.minutes, seed=growth.seed,
        device=str(growth.device), report=report,
    )  # fmt: skip
