"""The settings of a run: everything that affects its result, except the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from drrpack.core.errors import OptionError
from drrpack.formats.layout import Json
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.phase_data import PhaseData
from drrpack.trainers.incremental.registry import origin
from drrpack.trainers.learning.recipes import FAST, Recipe, recipe_changes
from drrpack.trainers.learning.resnet import NETWORKS, ResNet, ResNet18
from drrpack.trainers.learning.views import TestAugmentation

TEST_VIEWS = ("raw", "both")


@dataclass(frozen=True)
class RunSettings:
    """One run of the protocol, whatever the data.

    Phase 0 has the first ``base`` classes of ``class_order`` (None: file order), each of the
    ``phases`` after it an equal part of the rest; each is tested on raw images of all classes
    seen.
    """

    method: type[Method]
    base: int
    phases: int
    options: MethodOptions | None = None  # of the method; None: its defaults
    class_order: tuple[int, ...] | None = None
    recipe: Recipe = FAST
    network: type[ResNet] = ResNet18
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    budget_bytes: int | None = None  # what the method may keep in all
    exemplars_per_class: int = 20  # raw ones, of a method that keeps some, without a budget
    test_view: str = "raw"  # "both": also on test images that went through the codec
    test_augmentation: TestAugmentation = "none"  # by which views a test image is told
    compiled: bool = False  # run the network through torch.compile

    def __post_init__(self) -> None:
        if self.test_view not in TEST_VIEWS:
            views = ", ".join(TEST_VIEWS)
            raise OptionError(f"a test view is one of {views}, not {self.test_view!r}")

    def new_method(self) -> Method:
        """An object of the method, with its options, for one run."""
        return self.method(self.options)

    def deciding(self, data: PhaseData) -> Json:
        """What decides a run beside its classes: which they are, their order, and how they are cut
        into phases. Of the device it is the kind, as GPUs of any number give one result."""
        return {
            "method": self.method.name,
            "data": data.fingerprint,
            "seed": self.seed,
            "device": self.device.type,
            "recipe": self.recipe.to_json(),
            "budget_bytes": self.budget_bytes,
            "exemplars_per_class": self.exemplars_per_class,
            "test_view": self.test_view,
            "compiled": self.compiled,
            **self._beside_the_usual(),
        }

    def to_json(self, data: PhaseData, groups: Sequence[Sequence[int]]) -> Json:
        """What settings.json holds, ``groups`` being the classes that each phase adds."""
        order = [index for group in groups for index in group]
        classes = {"classes": list(data.classes), "class_order": order}
        cut = {"base": len(groups[0]), "phases": len(groups) - 1, "groups": sizes(groups)}
        changes = {"recipe_changes": recipe_changes(self.recipe)}
        return plain(self.deciding(data) | classes | cut | changes)

    def phase_key(
        self, data: PhaseData, groups: Sequence[Sequence[int]], seen: Sequence[int]
    ) -> Json:
        """What decides the phase after which ``seen`` are the classes seen: not how they were cut
        into phases, unless the method has a history. Phases of one key share a checkpoint."""
        classes = {"seen": list(seen), "of": sum(sizes(groups))}
        cut = {"groups": sizes(groups)} if self.method.depends_on_history else {}
        return plain(self.deciding(data) | classes | cut)

    def _beside_the_usual(self) -> Json:
        """The method's options and revision, where it comes from if not from drrpack, the network
        if it is not the paper's, and the test-time augmentation. Empty where there are none: such
        runs have the keys that they always had."""
        options = self.method.Options() if self.options is None else self.options
        recorded, place = options.recorded(), origin(self.method)
        found: Json = {"options": recorded} if recorded else {}
        if self.method.revision:
            found["revision"] = self.method.revision
        if self.network is not ResNet18:
            found["network"] = next(n for n, kind in NETWORKS.items() if kind is self.network)
        if self.test_augmentation != "none":
            found["test_augmentation"] = self.test_augmentation
        return found | ({} if place is None else {"method_from": place})


def sizes(groups: Sequence[Sequence[int]]) -> list[int]:
    """How many classes each phase adds."""
    return [len(group) for group in groups]


def plain(settings: Json) -> Json:
    """As JSON reads it back: tuples are lists."""
    as_json: Json = json.loads(json.dumps(settings))
    return as_json
