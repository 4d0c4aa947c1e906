"""The training pictures of a source: each class is loaded once and encoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codec import Codec, Pixels
from drrpack.core.codes import Codes
from drrpack.core.progress import Step
from drrpack.formats.container import RawRecord
from drrpack.formats.sources.source import Source
from drrpack.trainers.incremental import exemplars


class Pictures:
    """Loads each class of a source once, and drops its pixels after they have been taken."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._kept: dict[int, Pixels] = {}

    def together(self, numbers: Sequence[int]) -> Pixels:
        """These classes as one array (N, H, W, 3); what is taken later are views."""
        parts = [self.source.load(number) for number in numbers]
        images = np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts])
        self._kept = dict(zip(numbers, np.split(images, ends[:-1]), strict=True))
        return images

    def take(self, number: int) -> Pixels:
        """The pictures of a class (n, H, W, 3); each class can be taken once."""
        kept = self._kept.pop(number, None)
        return self.source.load(number) if kept is None else kept


@dataclass(frozen=True)
class RawChoice:
    """How many raw exemplars of each class a file keeps, and how they are chosen."""

    per_class: int
    select: exemplars.Selection
    seed: int
    numbers: Mapping[int, int]  # class of the source to class of the file; others keep none


@dataclass
class Encoded:
    """The results of one pass over the pictures, class by class."""

    codes: list[Codes] = field(default_factory=list)
    raw: list[RawRecord] = field(default_factory=list)
    held_out: list[Pixels] = field(default_factory=list)  # raw images to measure PSNR on


def encode_pictures(
    pictures: Pictures,
    codec: Codec,
    choice: RawChoice,
    held_out: Mapping[int, NDArray[np.int64]],
    report: Callable[[Step], None],
) -> Encoded:
    """Encode all classes, and keep of the pixels what is needed later: raw exemplars, and of some
    classes the rows that are ``held_out``."""
    made, done, total = Encoded(), 0, sum(pictures.source.images_per_class)
    for number in range(len(pictures.source.classes)):
        images = pictures.take(number)
        codes = codec.encode(images)
        made.codes.append(codes)
        made.raw += _raw(choice, number, images, codes, codec)
        if number in held_out:
            made.held_out.append(images[held_out[number]])
        done += len(codes)
        report(Step("codes", done, total))
    return made


def _raw(
    choice: RawChoice, number: int, images: Pixels, codes: Codes, codec: Codec
) -> list[RawRecord]:
    if number not in choice.numbers:
        return []
    return exemplars.records(
        choice.select, choice.per_class, choice.numbers[number],
        images, codes, codec.vqvae, choice.seed,
    )  # fmt: skip
