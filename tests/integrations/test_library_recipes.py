"""The recipes for PyCIL, FACIL and Mammoth in docs/integrations.md, against stand-ins.

These programs are not on the package index. The stand-ins have what the recipes touch: the names of
modules, and what the programs do with images and labels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import functional

from drrpack import DRRDataset

ROOT = Path(__file__).resolve().parents[2]


def recipe(library: str) -> str:
    """The indented code after the line that begins with the library's name."""
    text = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    found = re.search(rf"^{library} [^`]*?(?:`[^`]*`[^`]*?)*:\n\n((?:    .*\n|\n)+)", text, re.M)
    assert found is not None
    return dedent(found[1])


@pytest.fixture
def run(digits_drr: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a recipe on the memory of the digits, beside modules of a program; gives its names."""

    def running(library: str, modules: Mapping[str, ModuleType] | None = None) -> dict[str, Any]:
        for name, module in (modules or {}).items():
            monkeypatch.setitem(sys.modules, name, module)
        names: dict[str, Any] = {}
        code = recipe(library).replace('"m.drr"', repr(str(digits_drr)))
        exec(compile(code, f"<{library}>", "exec"), names)
        return names

    return running


@pytest.fixture
def memory(digits_drr: Path) -> tuple[np.ndarray, np.ndarray]:
    return DRRDataset(digits_drr).to_numpy()


def test_pycil(run: Callable[..., dict[str, Any]], memory: tuple[np.ndarray, np.ndarray]) -> None:
    utils, data = ModuleType("utils"), ModuleType("utils.data")
    data.iCIFAR100 = type("iCIFAR100", (), {"class_order": list(range(100))})  # type: ignore[attr-defined]
    made = run("PyCIL", {"utils": utils, "utils.data": data})["iDRR"]()
    made.download_data()
    x, y = memory
    # as its DataManager selects the images of a class
    for label in made.class_order:
        rows = np.where(
            np.logical_and(made.train_targets >= label, made.train_targets < label + 1)
        )[0]
        assert np.array_equal(made.train_data[rows], x[y == label])
    assert made.test_data.dtype == np.uint8 and len(made.test_data) == len(made.test_targets) > 0


def test_facil(run: Callable[..., dict[str, Any]], memory: tuple[np.ndarray, np.ndarray]) -> None:
    found = run("FACIL")
    x, y = memory
    assert np.array_equal(found["trn_data"]["x"], x)
    # it looks each label up in a list of numbers
    assert [list(range(10)).index(label) for label in found["trn_data"]["y"]] == y.tolist()
    assert len(found["tst_data"]["x"]) == len(found["tst_data"]["y"]) > 0


def test_mammoth(
    run: Callable[..., dict[str, Any]], memory: tuple[np.ndarray, np.ndarray], digits_drr: Path
) -> None:
    kind = run("Mammoth")["MammothDRR"]
    train = kind(str(digits_drr), transform=lambda image: 1 - functional.to_tensor(image))
    # as it selects the classes of a task
    labels = np.array(train.targets)
    chosen = np.logical_and(labels >= 2, labels < 4)
    train.data, train.targets = train.data[chosen], labels[chosen]
    x, y = memory
    images, found, plain = next(iter(DataLoader(train, batch_size=len(train))))
    assert found.tolist() == y[chosen].tolist()
    wanted = torch.from_numpy(x[chosen]).permute(0, 3, 1, 2) / 255
    assert torch.allclose(plain, wanted) and torch.allclose(images, 1 - wanted)
