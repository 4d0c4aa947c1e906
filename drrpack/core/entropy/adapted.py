"""The adapted context model: another context model, and a small correction for the codes at hand.

Images unlike those that a context model was fitted on use other codes, and put them elsewhere. Six
kilobytes tell the model: an offset for the logit of each code, and the layer that turns what the
network has seen into the vector of a code. The model below stays as it is, so a file may leave it
out if it comes with drrpack.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from drrpack.core import packing
from drrpack.core.codes import LEVELS, Levels
from drrpack.core.entropy.context import ContextLevel, ContextModel, ContextNetwork
from drrpack.core.entropy.model import register
from drrpack.core.errors import CorruptError
from drrpack.core.freezing import freeze
from drrpack.core.frequencies import Tables, coarse, from_coarse
from drrpack.core.int_layer import Arrays
from drrpack.core.section import Json, Section
from drrpack.core.settings import own_settings

BASE, SIZE = "base", "correction_bytes"  # keys of the config
OFFSET_MAX = 127  # sixteenths of a bit


@dataclass(frozen=True)
class Correction:
    """Of one level.

    ``offset`` (codebook_size,) is added to the logits, in sixteenths of a bit, and ``leave`` to the
    integers of the likelihood's last layer: zeros take no bytes.
    """

    offset: NDArray[np.int64]
    leave: Arrays


Corrections = Levels[Correction]
Steps = NDArray[np.int64]


@register
@dataclass(frozen=True)
class AdaptedModel(ContextModel):
    """Codes by their neighbours, with a correction.

    ``base`` is the section of the model below, and ``network`` is that model with the correction in
    its layers. ``tables`` are those of the `coarse` frequencies ``steps``.
    """

    kind: ClassVar[str] = "adapted"
    versions: ClassVar[tuple[str, ...]] = ("3.0",)

    base: Section
    corrections: Corrections
    steps: Levels[Steps]

    @classmethod
    def of(cls, base: Section, corrections: Corrections, tables: Tables) -> Self:
        """The model of a stored context model, a correction, and tables, which become coarse.

        Raises:
            CorruptError, ExactnessError: as `unpack`.
        """
        below = ContextModel.unpack(base.version, base.config, base.data)
        steps = Levels(*(coarse(tables[level]) for level in LEVELS))
        return cls._of(below, base, corrections, steps)

    @classmethod
    def _of(
        cls, below: ContextModel, base: Section, corrections: Corrections, steps: Levels[Steps]
    ) -> Self:
        tables = Levels(*(from_coarse(steps[level]) for level in LEVELS))
        return cls(corrected(below.network, corrections), tables, base, corrections, steps)

    def with_tables(self, tables: Tables) -> Self:
        """The same networks with the tables of other codes, which become coarse."""
        return self.of(self.base, self.corrections, tables)

    @own_settings()
    def pack(self) -> tuple[Json, bytes]:
        """What the model below is, and how long the correction; both, one after the other."""
        data = _packed(self.steps, self.corrections)
        base: Json = {"version": self.base.version, "config": self.base.config}
        return {BASE: base, SIZE: len(data)}, self.base.data + data

    @classmethod
    @own_settings()
    def unpack(cls, version: str, config: Json, data: bytes) -> Self:
        """The inverse of `pack`.

        Raises:
            CorruptError: the config is not one of ours, or the weights are of another network.
            ExactnessError: the weights break the bound under which sums are exact.
        """
        base, correction = divide(Section(version, config, data))
        below = ContextModel.unpack(base.version, base.config, base.data)
        return cls._of(below, base, *_unpacked(below.network, correction))


def divide(section: Section) -> tuple[Section, bytes]:
    """The section of the model below an adapted one, and the bytes of its correction.

    Raises:
        CorruptError: the config does not say where one ends and the other begins.
    """
    base, size = section.config.get(BASE), section.config.get(SIZE)
    if type(size) is not int or not 0 < size <= len(section.data):
        raise CorruptError(f"a model's config says {SIZE} = {size!r}, which is not valid")
    if not isinstance(base, dict):
        raise CorruptError(f"a model's config says {BASE} = {base!r}, expected a JSON object")
    version, config = base.get("version"), base.get("config")
    if version not in ContextModel.versions or not isinstance(config, dict):
        raise CorruptError(
            f"a model's config says {BASE} = {base!r}, expected a context model of a version of "
            f"{', '.join(ContextModel.versions)}"
        )
    return Section(version, config, section.data[:-size]), section.data[-size:]


def corrected(network: ContextNetwork, corrections: Corrections) -> ContextNetwork:
    """A copy of a frozen network with the correction in its layers.

    Raises:
        ExactnessError: sums would no longer be exact.
    """
    network = deepcopy(network)
    for name in LEVELS:
        level, correction = network.levels[name], corrections[name]
        leave = level.likelihood.leave
        leave.load_arrays(_sum(leave.arrays(), correction.leave))
        output = level.output.arrays()
        shift = output["shift"].astype(np.int64)
        bias = output["bias"].astype(np.int64) + (correction.offset << shift)
        level.output.load_arrays({**output, "bias": bias})
    freeze(network)
    return network


def _sum(one: Arrays, other: Arrays) -> Arrays:
    return {key: one[key].astype(np.int64) + other[key] for key in one}


def _packed(steps: Levels[Steps], corrections: Corrections) -> bytes:
    arrays = list[NDArray[np.integer]]()
    for name in LEVELS:
        leave = corrections[name].leave
        bias = leave["bias"].astype(np.int64)
        arrays += [steps[name], corrections[name].offset, leave["weight"]]
        arrays += [bias >> 8, bias & 255, leave["shift"]]
    return packing.pack(arrays)


def _unpacked(network: ContextNetwork, data: bytes) -> tuple[Corrections, Levels[Steps]]:
    shapes = [shape for name in LEVELS for shape in _shapes(network.levels[name])]
    arrays = packing.unpack(data, shapes)
    half = len(arrays) // 2
    both = [_of_level(arrays[:half]), _of_level(arrays[half:])]
    return Levels(*(correction for correction, _ in both)), Levels(*(steps for _, steps in both))


def _shapes(level: ContextLevel) -> list[tuple[int, ...]]:
    codes, leave = (level.output.bias.numel(),), level.likelihood.leave
    outputs = (leave.bias.numel(),)
    return [codes, codes, tuple(leave.weight.shape), outputs, outputs, outputs]


def _of_level(arrays: Sequence[Steps]) -> tuple[Correction, Steps]:
    steps, offset, weight, high, low, shift = arrays
    return Correction(offset, {"weight": weight, "bias": high * 256 + low, "shift": shift}), steps
