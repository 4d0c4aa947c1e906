"""Lightning: a memory as a ``LightningDataModule``, and a callback that appends to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.addresses import local_path
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given, LabelledDataset, Opening
from drrpack.integrations.extras import not_installed
from drrpack.integrations.mixed import Mixed, Transform
from drrpack.integrations.replay import Share, replay
from drrpack.integrations.torchvision import DRRVision
from drrpack.operations.append import append
from drrpack.operations.append_plan import AppendOptions, check_source, opened_source
from drrpack.operations.preparing import at_least, names_of, tuning_budget
from drrpack.operations.progress import Report

try:
    from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
except ImportError as error:
    raise not_installed("lightning", "lightning") from error

Loader = DataLoader[tuple[Tensor, Tensor]]


class DRRDataModule(LightningDataModule):
    """The images of a memory for a ``Trainer``, and beside them those of a new task.

    Batches are ``(images, labels)``: uint8 (B, 3, H, W) unless ``transform`` changes them, and
    int64 (B,). The file is opened anew for each fit, so a memory to which `AppendToMemory` has
    added is seen whole.

    Args:
        memory: the ``.drr`` file.
        new: the images of the task, as for `drrpack.replay`; None to learn from the memory alone. A
            program assigns the next task here.
        transform, test_transform: applied to images for training and for tests, each as a tensor
            uint8 (3, H, W).
        test: a folder or a dataset of test images, if not those of the source that the file
            records.
        val: the same of validation images; without it nothing is validated, since a checkpoint that
            is chosen by test images flatters itself.
        share, class_names, label_offset, seed: as for `drrpack.replay`.
        batch_size, num_workers, pin_memory: of all loaders.
    """

    def __init__(
        self,
        memory: AnyPath,
        new: LabelledDataset | None = None,
        *,
        batch_size: int = 128,
        share: Share = "balanced",
        transform: Transform | None = None,
        test_transform: Transform | None = None,
        test: Given | None = None,
        val: Given | None = None,
        class_names: Sequence[str] | None = None,
        label_offset: int | None = None,
        seed: int = 0,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size)
        self.memory, self.new, self.test, self.val = memory, new, test, val
        self.batch_size, self.share, self.seed = batch_size, share, seed
        self.transform, self.test_transform = transform, test_transform
        self.class_names, self.label_offset = class_names, label_offset
        self.num_workers, self.pin_memory = num_workers, pin_memory

    @property
    def classes(self) -> list[str]:
        """The names of the labels: the memory's, followed by the new ones."""
        if self.new is None:
            with DRRDataset(self.memory) as memory:
                return [*memory.classes]
        return [*cast(Mixed, self.train_dataloader().dataset).classes]

    def train_dataloader(self) -> Loader:
        """New images and memory in their share, or the shuffled memory alone."""
        if self.new is not None:
            return replay(
                self.memory, self.new, batch_size=self.batch_size, share=self.share,
                transform=self.transform, class_names=self.class_names,
                label_offset=self.label_offset, seed=self.seed, num_workers=self.num_workers,
                pin_memory=self.pin_memory,
            )  # fmt: skip
        memory = DRRDataset(self.memory, transform=self.transform, codes_bytes=None).preload()
        return self._loader(memory, shuffle=True)

    def val_dataloader(self) -> Loader | list[Loader]:
        """The images of ``val``, of the memory's classes; no loader without it."""
        return [] if self.val is None else self._tested(self.val)

    def test_dataloader(self) -> Loader:
        """The raw test images of the memory's classes.

        Raises:
            SourceError: there are none; the message says how to give them.
        """
        return self._tested(self.test)

    def _tested(self, test: Given | None) -> Loader:
        images = DRRVision(self.memory, False, self.test_transform, as_pil=False, test=test)
        return self._loader(images, shuffle=False)

    def _loader(self, dataset: Any, *, shuffle: bool) -> Loader:
        return DataLoader(
            dataset,
            self.batch_size,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(self.seed),
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
        )


class AppendToMemory(Callback):
    """Appends the images of a task to the memory when its training has ended.

    A task is one call of ``trainer.fit``. A training that was interrupted appends nothing. Of
    several processes the first one writes.

    Args:
        memory: the ``.drr`` file; by default that of the `DRRDataModule`.
        source: the images, as for `drrpack.append`; by default ``new`` of the `DRRDataModule`.
            Their transforms must leave them images: what the network needs belongs into the
            module's ``transform``.
        test: the test images of the task, a dataset like ``source``, which later tests then find.
        class_names, keep_entropy_model, extend, epochs, minutes, device, report: as for
            `drrpack.append`. ``keep_entropy_model`` is faster, and its files are larger.
    """

    def __init__(
        self,
        memory: AnyPath | None = None,
        source: Given | None = None,
        *,
        test: LabelledDataset | None = None,
        class_names: Sequence[str] | None = None,
        keep_entropy_model: bool = False,
        extend: bool = False,
        epochs: int | None = None,
        minutes: float | None = None,
        device: str = "auto",
        report: Report | None = None,
    ) -> None:
        self.memory, self.source, self.test = memory, source, test
        self.class_names, self.keep_entropy_model, self.extend = (
            class_names, keep_entropy_model, extend,
        )  # fmt: skip
        self.epochs, self.minutes, self.device, self.report = epochs, minutes, device, report

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse before the training what could not be appended after it.

        All images are read for that, in every process, and PyTorch's random state stays.

        Raises:
            FormatError, OutputError, SourceError, OptionError: as `drrpack.append` does.
        """
        memory, source, names = self._task(trainer)
        budget = tuning_budget(self.epochs, self.minutes, self.keep_entropy_model)
        options = AppendOptions(
            memory, source, choose_device(self.device), budget,
            Opening(class_names=names_of(names), test=self.test), extend=self.extend,
        )  # fmt: skip
        with Reader(memory) as reader, torch.random.fork_rng(devices=[]):
            check_source(reader, opened_source(reader, options), options)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        memory, source, names = self._task(trainer)
        if trainer.is_global_zero:
            append(
                memory, source, test=self.test, class_names=names, extend=self.extend,
                keep_entropy_model=self.keep_entropy_model, epochs=self.epochs,
                minutes=self.minutes, device=self.device, report=self.report,
            )  # fmt: skip
        trainer.strategy.barrier("drrpack: the memory has grown")

    def _task(self, trainer: Trainer) -> tuple[Path, Given, Sequence[str] | None]:
        """The file, what to append to it, and names for its labels."""
        data = getattr(trainer, "datamodule", None)
        module = data if isinstance(data, DRRDataModule) else None
        memory, source, names = self.memory, self.source, self.class_names
        if module is not None:
            memory = module.memory if memory is None else memory
            source = module.new if source is None else source
            names = module.class_names if names is None else names
        if memory is None or source is None:
            absent = "memory" if memory is None else "images to append"
            raise OptionError(
                f"AppendToMemory: found no {absent}, expected them here or in a DRRDataModule: "
                "give `memory` and `source`, or a DRRDataModule with `new` to trainer.fit"
            )
        return local_path(memory), source, names
