"""What a comparison finds: each format with its settings, its bytes and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from drrpack.core.wording import counted
from drrpack.formats.layout import Json
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.peers import Setting
from drrpack.trainers.guessing import most_by_guessing
from drrpack.trainers.versions import versions

WHOLE = "DRR"  # the memory that holds all its models


@dataclass(frozen=True)
class Choice:
    """One format with its settings: bytes, quality and speed."""

    family: str  # "JPEG", "DRR", "DRR thin", ...
    setting: str  # "q20", ...
    image_bytes: float  # of one image
    fixed_bytes: int  # however many images there are: models and container
    psnr_db: float | None  # None: without loss
    ssim: float
    encoded_a_second: float | None  # images, on this machine
    decoded_a_second: float | None
    accuracy: float | None = None  # of a classifier trained on what comes back, in percent
    accuracy_std: float | None = None
    accuracies: tuple[float, ...] = ()  # of each classifier; formats have theirs in one order
    # what its encoder is told
    options: Mapping[str, Setting] = field(default_factory=dict, compare=False)
    read_together: float = 1  # images that are decoded where one is asked for

    def bytes_an_image(self, images: int) -> float:
        """All told, where ``images`` are kept."""
        return self.image_bytes + self.fixed_bytes / max(1, images)

    @property
    def name(self) -> str:
        return f"{self.family} {self.setting}".strip()

    @property
    def decoded_as(self) -> tuple[str, str]:
        """What its pixels depend on: the files of one memory differ in their models alone."""
        return WHOLE if self.family.startswith(WHOLE) else self.family, self.setting

    @property
    def quality(self) -> float:
        """What its encoder is told of quality, 0 to 100."""
        told = self.options["quality"]
        assert isinstance(told, int | float), "each lossy choice has a quality"
        return told

    def to_json(self, images: int) -> Json:
        size = self.bytes_an_image(images)
        return {**vars(self), "options": dict(self.options), "bytes_an_image": size}


@dataclass(frozen=True)
class Learned:
    """The classifiers behind accuracies: for each group of classes as many as there are seeds."""

    groups: list[list[str]]  # the names of the classes of each
    seeds: int
    epochs: int
    width: int
    tested: int  # images, of all groups together
    chance: float  # percent that are right where the class of most test images is always said

    @property
    def guessed_at_most(self) -> float:
        """What classifiers that only guess come to at most, in percent."""
        return most_by_guessing(self.chance, self.tested)

    def in_words(self) -> str:
        """What an accuracy is of, what its deviation is over, and what chance would give."""
        count, classes = len(self.groups), len(self.groups[0])
        each = f"{counted(classes, 'class')}, {counted(self.seeds, 'seed')}"
        of = each if count == 1 else f"{count} random groups of {each} each"
        deviation = ", with their standard deviation" if count * self.seeds > 1 else ""
        return (
            f"accuracy: of classifiers of {of}{deviation}; width {self.width}, "
            f"{counted(self.epochs, 'epoch')}; chance is {self.chance:.1f} %"
        )


@dataclass(frozen=True)
class Comparison:
    """All choices for a source of ``images`` images, measured on ``sample`` of them."""

    images: int
    sample: int
    image_size: tuple[int, int]
    choices: list[Choice]
    measured_classes: int = 0  # that the sample is of, and that sheets hold whole
    learned: Learned | None = None  # how accuracies were measured, if they were

    @property
    def memory(self) -> Choice:
        """The memory that holds all its models, of its own quality or the default one."""
        return self.of(WHOLE)[0]

    def of(self, family: str) -> list[Choice]:
        return [choice for choice in self.choices if choice.family == family]

    def rivals(self) -> list[str]:
        """The families of lossy files."""
        return [name for name in peers.LOSSY if self.of(name)]

    def to_json(self) -> Json:
        choices = [choice.to_json(self.images) for choice in self.choices]
        made_by = {**versions(), **peers.libraries()}
        machine = {"threads": torch.get_num_threads(), "versions": made_by}
        learned = None if self.learned is None else vars(self.learned)
        return {**vars(self), "choices": choices, "learned": learned, **machine}
