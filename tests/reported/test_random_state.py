"""Reported: Lightning-AI/pytorch-lightning#20204: loading a model moved PyTorch's random state, as
a network is made with random weights before its own are filled in; what was drawn next was other.

Right: whatever the library does, the global random states of PyTorch, numpy and Python are the
user's: before and after a call they are the same.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_memory import encode_tiny
from torch.utils.data import DataLoader

from drrpack import DRRDataset
from drrpack.cli import interrupts
from drrpack.cli.main import main
from drrpack.formats.container import Reader
from drrpack.formats.memory import decoder_alone, load_codec
from drrpack.operations.append import append

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@contextmanager
def untouched() -> Iterator[None]:
    """The three states are not moved within it."""
    torch.manual_seed(11), np.random.seed(12), random.seed(13)
    before = states()
    yield
    assert states() == before


def states() -> tuple[bytes, bytes, object]:
    return (
        torch.get_rng_state().numpy().tobytes(),
        pickle.dumps(np.random.get_state()),
        random.getstate(),
    )


@pytest.fixture(scope="module")
def kept(digits_folder: Path) -> Path:
    """A memory with raw exemplars; its fit is part of what is tested."""
    with untouched():
        made = digits_folder.parent / "kept.drr"
        return encode_tiny(digits_folder, made, raw_per_class=3)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"fit": "finetune"}, {"fit": "decoder"}], ids=str)
def test_fits(change: dict[str, str], kept: Path, digits_folder: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {**change, "codec": kept} if change else {}
    with untouched():
        encode_tiny(digits_folder, tmp_path / "x.drr", raw_per_class=2, raw_select="random", **more)


@pytest.mark.parametrize("keep", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_append(keep: bool, own_drr: Path, digits_folder: Path) -> None:
    options: dict[str, Any] = {"keep_entropy_model": True} if keep else {"epochs": 1}
    with untouched():
        append(own_drr, digits_folder / "test", extend=True, device="cpu", **options)


def command(*arguments: str | Path) -> None:
    """``drrpack`` in this process."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["drrpack", *map(str, arguments)])
        try:
            main()
        finally:
            interrupts.uninstall()  # this process goes on
    assert ended.value.code == 0


COMMANDS = {
    "encode": "encode {folder} -o {out}/new.drr",
    "encode thin": "encode {folder} -o {out}/new.drr --thin --raw-per-class 2",
    "drop": "drop {memory} 3",
    "merge": "merge {memory} {other} -o {out}/both.drr",
    "verify": "verify {memory} --full",
    "export": "export {memory} {out}/images",
    "preview": "preview {memory} -o {out}/grid.png",
    "stats": "stats {memory}",
    "doctor": "doctor",
    "compare": "compare {folder} --sample 10 --codec {memory} --classes 0:3",
    "compare and train": "compare {folder} --sample 10 --codec {memory} --classes 0:3 --train "
    "--epochs 1 --width 2",
}
SLOW = ("encode thin", "compare and train")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in COMMANDS],
)
def test_commands(name: str, own_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.drr"
    other.write_bytes(own_drr.read_bytes())
    command("drop", other, *"0123456")
    if name == "merge":
        command("drop", own_drr, *"789")
    places = {"memory": own_drr, "other": other, "folder": digits_folder, "out": tmp_path}
    with untouched():
        command(*(part.format(**places) for part in COMMANDS[name].split()))


@pytest.mark.parametrize(
    "method", ["drr", "er", "er-jpeg", "er-webp", "finetune", "ib-drr", "ib-drr-star", "ub"]
)
def test_train_and_report(method: str, kept: Path, tmp_path: Path) -> None:
    options = "--phases 1 --classes 0:4 --epochs 1 --width 2 --exemplars 2 --class-order 5"
    with untouched():
        command("train", kept, "--method", method, "--out", tmp_path / "run", *options.split())
        command("report", tmp_path / "run", "-o", tmp_path / "page.html", "--memory", kept)


USES: dict[str, Callable[[DRRDataset], object]] = {
    "an item": lambda dataset: dataset[31],
    "items": lambda dataset: dataset.__getitems__([1, 60, 299]),
    "pixels": lambda dataset: dataset.pixels([5]),
    "codes": lambda dataset: dataset.codes([5]),
    "arrays": lambda dataset: dataset.to_numpy(),
    "preload": lambda dataset: dataset.preload(),
    "pickling": lambda dataset: pickle.loads(pickle.dumps(dataset))[0],
    "targets": lambda dataset: dataset.targets,
    "a loader": lambda dataset: list(
        DataLoader(dataset, 50, shuffle=True, generator=torch.Generator().manual_seed(0))
    ),
}


@pytest.mark.parametrize("use", USES)
def test_a_dataset(use: str, kept: Path) -> None:
    for options in ({}, {"raw": "pairs"}):
        with untouched():
            dataset = DRRDataset(kept, **options)  # type: ignore[arg-type]
            where = USES[use]
            if options and use in ("an item", "items"):
                dataset.__getitems__([0, 29])
            else:
                where(dataset)


def test_the_first_item_does_not_change_the_order_of_a_shuffle(kept: Path) -> None:
    """What users saw: runs that differ by whether a memory was preloaded."""
    orders = []
    for preload in (False, True):
        dataset = DRRDataset(kept, transform=lambda image: image.float() + torch.rand(()))
        if preload:
            dataset.preload()
        torch.manual_seed(3)
        orders.append(torch.cat([images for images, _ in DataLoader(dataset, 60, shuffle=True)]))
    assert torch.equal(*orders)


def test_models_by_themselves(kept: Path) -> None:
    with untouched(), Reader(kept) as reader:
        codec = load_codec(reader, CPU, encoder=True)
        decoder_alone(reader.vqvae)
        codec.vqvae.without_encoder()
