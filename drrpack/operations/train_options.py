"""What is asked of ``drrpack train``, checked before anything is read, and made into settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np
import torch

from drrpack.core.errors import OptionError
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.source import Given, Opening
from drrpack.operations.preparing import Trust, as_seed, as_whole, positive
from drrpack.trainers.incremental.class_order import order_classes
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.methods import Method, get_method
from drrpack.trainers.incremental.options import make_options
from drrpack.trainers.incremental.settings import RunSettings
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import get_network
from drrpack.trainers.learning.views import get_test_augmentation


@dataclass(frozen=True)
class RunOptions:
    """Which runs are wanted, as `drrpack.train` describes them."""

    method: str | type[Method]
    options: Mapping[str, object]
    ceiling: bool
    phases: int | Sequence[int]
    base: int | None
    class_order: str | int | Sequence[str | int] | None
    recipe: str
    epochs: int | None
    width: int | None
    network: str
    augmentation: str
    seed: int
    seeds: int
    budget_mb: float | None
    exemplars: int
    test_view: str
    test_augmentation: str
    compiled: bool
    device: torch.device

    @property
    def kind(self) -> type[Method]:
        """The method; raises OptionError if there is none of its name."""
        return get_method(self.method)

    @property
    def counts(self) -> list[int]:
        """The numbers of phases, each of which makes runs of its own."""
        several = isinstance(self.phases, Sequence | np.ndarray)
        return list(cast("Sequence[int]", self.phases if several else [self.phases]))

    def check(self) -> RunOptions:
        """These options, with numbers of Python's own; raises OptionError for what no data could
        make right."""
        if not self.counts or len(set(self.counts)) < len(self.counts):
            raise OptionError(
                f"`phases={self.counts!r}`: expected a number, or several that differ, such as "
                "`phases=[5, 10]`",
                option="phases",
            )
        positive(budget_mb=self.budget_mb)
        get_method(self.method)
        return replace(
            self,
            phases=[as_whole("phases", count, 0) for count in self.counts],
            base=as_whole("base", self.base),
            seed=as_seed(self.seed),
            seeds=as_whole("seeds", self.seeds, 1),
            exemplars=as_whole("exemplars", self.exemplars, 1),
            epochs=as_whole("epochs", self.epochs, 1),
            width=as_whole("width", self.width, 1),
        )

    def settings(self, data: MemoryData) -> RunSettings:
        """Those of every run on ``data``, but for the number of phases and the seed of each.

        Raises:
            OptionError: a name or a value that means nothing, or a class order that is none.
        """
        kind, budget_mb = self.kind, self.budget_mb
        return RunSettings(
            method=kind,
            options=make_options(kind.Options, kind.name, self.options),
            base=_base(data, self.counts) if self.base is None else self.base,
            phases=0,
            class_order=_order(data, self.class_order),
            recipe=get_recipe(self.recipe, self.epochs, self.width, self.augmentation),
            network=get_network(self.network),
            device=self.device,
            budget_bytes=None if budget_mb is None else round(budget_mb * 1e6),
            exemplars_per_class=self.exemplars,
            test_view=self.test_view,
            test_augmentation=get_test_augmentation(self.test_augmentation),
            compiled=self.compiled,
        )


@dataclass(frozen=True)
class ImageOptions:
    """Which images the runs are about, and where they are."""

    memory: AnyPath
    classes: str | Sequence[str] | None
    test: Given | None
    how: Opening  # of ``test``
    source: Given | None
    trust: Trust
    device: torch.device  # on which they are decoded

    def check(self) -> ImageOptions:
        """These options; raises OptionError for what is said of test images wrongly, or in vain."""
        self.how.reading.check()
        self.how.labelling.check()
        skip = {"skip_bad": self.how.skip_bad or None}
        said = {**asdict(self.how.reading), **self.how.labelling.said, **skip}
        for name, value in said.items() if self.test is None else ():
            if value is not None:
                raise OptionError(
                    f"`{name}={value!r}`: found no `test`, whose pictures it is about; the images "
                    "that the file was made from are read as it records: add `test=DIR`, or leave "
                    "it out",
                    option=name,
                )
        return self


def _base(data: MemoryData, phases: Sequence[int]) -> int:
    """Half of the classes, or where no phase follows all of them."""
    count = len(data.classes)
    return max(1, count // 2) if any(phases) else count


def _order(data: MemoryData, wanted: str | int | Sequence[str | int] | None) -> tuple[int, ...]:
    """The labels in the order in which they are learned."""
    if wanted is None or (isinstance(wanted, str) and wanted == "file"):
        return tuple(data.class_order)
    return tuple(order_classes(data.classes, wanted, others=data.other_classes))
