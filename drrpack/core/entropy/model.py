"""The interface of entropy models, and the registry of their kinds.

A new kind is one file: a class with the members of `EntropyModel`, under the decorator `register`.
Files name the kind in the config of their section, so no other module has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core import ans
from drrpack.core.codes import LevelName, Levels
from drrpack.core.errors import CorruptError, VersionError
from drrpack.core.frequencies import Tables
from drrpack.core.section import Json, Section, major_of


class LevelModel(Protocol):
    """What an entropy model knows of one level of codes."""

    @property
    def device(self) -> torch.device: ...

    def coder(
        self, shape: tuple[int, int, int, int], above: Tensor | None
    ) -> ans.Codec[NDArray[np.int64]]:
        """The codec of codes int64 of ``shape`` (streams, images, H, W).

        ``above`` is what is known: the codes (streams * images, H / 2, W / 2) int64 of the top
        level where these are the bottom's, else None. Both ends call it, and its codec, inside
        `drrpack.core.exact.exact_arithmetic`, and must get the same probabilities to the last bit.
        Every code keeps a probability of at least ``2**-20`` (`drrpack.core.probability`).

        Memory must be bounded for any ``shape`` that is not refused: files say how many images one
        call codes.

        Raises:
            DrrError: the model would keep too much of so many codes.
        """

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The bits that coding takes for codes (B, H, W) int64 on average: (B,) float32.

        It is what a fit minimises. Estimates draw from ``generator``.
        """


@dataclass(frozen=True)
class Round:
    """Places of a grid whose codes are chosen at once; see `Prices`."""

    part: Callable[[Tensor], Tensor]  # grids (..., H, W) to their places (..., h, w), a view
    bits: Callable[[Tensor], Tensor]  # codes (B, H, W) chosen so far to (B * h * w, codebook_size)


class Prices(Protocol):
    """What each code would cost; `drrpack.core.rdoq` chooses among near codes by that."""

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        """The places of grids of ``shape`` (H, W), in the order in which codes are chosen.

        ``above`` is as in `LevelModel.coder`.
        """


class EntropyModel(Protocol):
    """Codes to bits and back: what one kind of entropy model has to offer."""

    kind: ClassVar[str]  # what files and people call it
    versions: ClassVar[tuple[str, ...]]  # of its section: it reads all, and writes the last

    @property
    def codebook_size(self) -> int: ...

    @property
    def tables(self) -> Tables:
        """How often each code occurs: the images that start a stream are coded by that alone."""

    @property
    def levels(self) -> Levels[LevelModel]: ...

    @property
    def prices(self) -> Prices | None:
        """What codes are chosen by; None where the model can't tell what one code costs."""

    def on(self, device: torch.device, carrier: torch.dtype) -> Self:
        """The model to compute with on ``device``, its integers held in ``carrier`` (float32 or
        float64); this one does not change."""

    def with_tables(self, tables: Tables) -> Self:
        """The model with the tables of other codes."""

    def pack(self) -> tuple[Json, bytes]:
        """Config and weights of its section, for the last of ``versions``."""

    @classmethod
    def unpack(cls, version: str, config: Json, data: bytes) -> Self:
        """The inverse of `pack`, for any of ``versions``.

        Raises:
            CorruptError: the config is not one of ours, or the weights are not those of its model.
            ExactnessError: the weights break the bound under which sums are exact.
        """


KINDS: dict[tuple[str, str], type[EntropyModel]] = {}  # by kind and major version
Model = TypeVar("Model", bound=EntropyModel)


def register(model: type[Model]) -> type[Model]:
    """Make a kind of entropy model known. Raises ValueError where another one has its name."""
    for version in model.versions:
        known = KINDS.setdefault((model.kind, major_of(version)), model)
        if known is not model:
            raise ValueError(f"there are two entropy models {model.kind} {version}")
    return model


def kind_of(section: Section) -> str:
    """The kind of a stored entropy model, known or not.

    Sections name it from version 3.0 on; those before are Bit-Swap where they have latents, and
    the context model where they have none.

    Raises:
        CorruptError: the config's ``kind`` is no text.
    """
    if section.before(3):
        return "bitswap" if section.config.get("latents") else "context"
    kind = section.config.get("kind")
    if not isinstance(kind, str):
        raise CorruptError(f"an entropy model is of kind {kind!r}, expected its name")
    return kind


def find(section: Section) -> type[EntropyModel]:
    """The class that reads a stored entropy model.

    Raises:
        VersionError: no class reads this kind in this version.
    """
    kind = kind_of(section)
    if (kind, section.major) not in KINDS:
        known = ", ".join(sorted({f"{k} {v}" for k, m in KINDS for v in KINDS[k, m].versions}))
        raise VersionError(
            f"its entropy model is {kind} {section.version}, this program reads {known}; "
            "update drrpack"
        )
    return KINDS[kind, section.major]
