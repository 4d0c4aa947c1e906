"""A memory in a real Lightning Trainer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from drrpack import DRRDataset, OptionError, SourceError
from drrpack.core.errors import DrrError

pl = pytest.importorskip("lightning.pytorch", reason='pip install "drrpack[lightning]"')

from drrpack.integrations.lightning import AppendToMemory, DRRDataModule  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),
]
SCALE = v2.ToDtype(torch.float32, scale=True)


class Linear(pl.LightningModule):  # type: ignore[misc, name-defined]
    """A classifier that keeps the labels that it was trained and tested on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3 * 32 * 32, 10)
        self.trained: list[int] = []
        self.tested: list[int] = []

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        self.trained += batch[1].tolist()
        return torch.nn.functional.cross_entropy(self.layer(batch[0].flatten(1)), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        assert batch[0].shape[1:] == (3, 32, 32)
        self.tested += batch[1].tolist()

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.01)


def trainer(**more: Any) -> Any:
    return pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, **more,
    )  # fmt: skip


@pytest.fixture
def old(digits_drr: Path, tmp_path: Path) -> Path:
    """A memory of two digits alone."""
    import drrpack

    path = Path(shutil.copy(digits_drr, tmp_path / "old.drr"))
    drrpack.drop(path, [*"23456789"])
    return path


def test_a_memory_alone(old: Path) -> None:
    held = DRRDataset(old)
    data = DRRDataModule(
        old, batch_size=32, transform=SCALE, test_transform=SCALE, val=[held[n] for n in (0, 1, 30)]
    )
    model, runner = Linear(), trainer()
    runner.fit(model, datamodule=data)
    assert sorted(model.trained) == [0] * 30 + [1] * 30
    assert model.tested == [0, 0, 1], "validated on what was given, not on test images"
    model.tested.clear()
    runner.test(model, datamodule=data, verbose=False)
    assert sorted(model.tested) == [0] * 8 + [1] * 8 and data.classes == ["0", "1"]


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_nothing_is_validated_on_test_images(old: Path) -> None:
    model = Linear()
    trainer().fit(model, datamodule=DRRDataModule(old, transform=SCALE, test_transform=SCALE))
    assert model.tested == []


def test_a_task_is_learned_and_appended(old: Path, digits_drr: Path) -> None:
    task = DRRDataset(digits_drr, classes=["5"])
    data = DRRDataModule(old, task, batch_size=30, share=0.5, transform=SCALE, test_transform=SCALE)
    before = DRRDataset(old).to_numpy()[0]
    assert data.classes == ["0", "1", "5"]
    model = Linear()
    runner = trainer(callbacks=[AppendToMemory(keep_entropy_model=True, device="cpu")],
                     limit_val_batches=0)  # fmt: skip
    runner.fit(model, datamodule=data)
    assert model.trained.count(2) == 30 and len(model.trained) == 60
    grown = DRRDataset(old)
    assert grown.classes == ["0", "1", "5"] and grown.targets.count(2) == 30
    assert (grown.to_numpy()[0][:60] == before).all()
    data.new = None  # the next fit sees the task as memory
    assert sorted(set(torch.cat([y for _, y in data.train_dataloader()]).tolist())) == [0, 1, 2]


def test_what_is_missing_is_said_before_training(old: Path) -> None:
    model = Linear()
    with pytest.raises(OptionError, match="found no images to append"):
        trainer(callbacks=[AppendToMemory()], limit_val_batches=0).fit(
            model, datamodule=DRRDataModule(old, transform=SCALE)
        )
    assert model.trained == []
    with pytest.raises(SourceError):
        DRRDataModule(old, test=[]).test_dataloader()


def task_of(names: list[str], side: int = 32) -> dict[str, Any]:
    """Arguments for two grey pictures of two classes."""
    return {"source": [(Image.new("RGB", (side, side)), n) for n in (0, 1)], "class_names": names}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (task_of(["0", "5"]), "has a class '0' already"),
        (task_of(["1 ", "5"]), "found a class '1 ', which differs from '1'"),
        (task_of(["5", "5"]), "found two classes of one name, '5'"),
        (task_of(["5", "6"], side=16), "its images are 16x16"),
        ({"source": "absent"}, "absent: no such folder"),
        ({"memory": "absent.drr"}, "absent.drr: there is no such file"),
        ({"memory": "https://example.org/m.drr"}, "found an address"),
        ({"epochs": 1}, "`epochs` and `minutes` have no meaning with `keep_entropy_model`"),
        ({"keep_entropy_model": False, "epochs": 1, "minutes": 2.0}, "exclude each other"),
        ({"keep_entropy_model": False, "epochs": 0}, "`epochs=0`: say 1 or more"),
    ],
)
def test_what_can_not_be_appended_is_refused_before_training(
    old: Path, digits_drr: Path, more: dict[str, Any], said: str
) -> None:
    model, size = Linear(), old.stat().st_size
    data = DRRDataModule(old, DRRDataset(digits_drr, classes=["5"]), transform=SCALE)
    with pytest.raises(DrrError, match=said):
        trainer(
            callbacks=[AppendToMemory(**{"keep_entropy_model": True, **more})], limit_val_batches=0
        ).fit(model, datamodule=data)
    assert model.trained == [] and old.stat().st_size == size


def test_a_look_at_the_images_leaves_random_numbers(old: Path) -> None:
    class Random(list[tuple[Tensor, int]]):
        def __getitem__(self, index: Any) -> Any:
            return torch.rand(3, 32, 32), super().__getitem__(index)[1]

    callback = AppendToMemory(old, Random([(torch.zeros(0), 5)]), class_names=[*"012345"])
    runner, model = trainer(), Linear()
    before = torch.random.get_rng_state()
    callback.on_fit_start(runner, model)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_training_that_fails_appends_nothing(old: Path, digits_drr: Path) -> None:
    task = DRRDataset(digits_drr, classes=["5"])
    data, size = DRRDataModule(old, task), old.stat().st_size  # bytes, which the layer can't take
    with pytest.raises(RuntimeError):
        trainer(callbacks=[AppendToMemory(keep_entropy_model=True)], limit_val_batches=0).fit(
            Linear(), datamodule=data
        )
    assert old.stat().st_size == size
