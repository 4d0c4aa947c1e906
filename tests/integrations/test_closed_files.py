"""What an integration opens for a moment, it closes; what a program opened stays open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drrpack import DRRDataset
from drrpack.integrations.torchvision import DRRVision

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[DRRDataset]:
    """Every dataset that is opened from now on, which no last reference closes meanwhile."""
    opened, begin = list[DRRDataset](), DRRDataset.__init__

    def remembered(self: DRRDataset, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        opened.append(self)

    monkeypatch.setattr(DRRDataset, "__init__", remembered)
    return opened


def check_closed(opened: list[DRRDataset]) -> None:
    assert [one.reader.closed for one in opened] == [True]


@pytest.mark.parametrize("train", [True, False])
def test_torchvision(context_drr: Path, opened: list[DRRDataset], train: bool) -> None:
    assert len(DRRVision(context_drr, train, classes=["3", "4"])) == (60 if train else 16)
    check_closed(opened)


def test_huggingface(context_drr: Path, opened: list[DRRDataset]) -> None:
    pytest.importorskip("datasets", reason='pip install "drrpack[datasets]"')
    from drrpack.integrations.huggingface import to_hf

    assert len(to_hf(context_drr)) == 300
    check_closed(opened)
    mine = DRRDataset(context_drr, classes=["3"])
    assert len(to_hf(mine)) == len(to_hf(mine)) == 30


def test_lightning(context_drr: Path, opened: list[DRRDataset]) -> None:
    pytest.importorskip("lightning.pytorch", reason='pip install "drrpack[lightning]"')
    from drrpack.integrations.lightning import DRRDataModule

    assert DRRDataModule(context_drr).classes == [*"0123456789"]
    check_closed(opened)


def test_avalanche(context_drr: Path, opened: list[DRRDataset]) -> None:
    pytest.importorskip("avalanche", reason='pip install "drrpack[avalanche]"')
    from drrpack.integrations.avalanche import avalanche_benchmark

    avalanche_benchmark(context_drr, 2)
    assert all(one.reader.closed for one in opened) and len(opened) == 3
