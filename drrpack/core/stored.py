"""Reading any stored model: its sizes within limits, and its arrays one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from drrpack.core.errors import CorruptError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Sizes = TypeVar("Sizes", bound=DataclassInstance)

# Of the numbers in a config: no honest model comes near, a hostile one stops here. Depths count
# layers, and thousands of layers take seconds to build even where they hold nothing.
SIZE_LIMIT = 4096
DEPTH_LIMIT = 64
# Weights that are all alike take next to no bytes, so bytes bound nothing. The paper's VQ-VAE has
# 1.4 million.
WEIGHTS_MAX = 1 << 23
MOST, MAY_BE_ZERO = "most", "may be zero"  # in the metadata of a config's fields

T = TypeVar("T")
Number = TypeVar("Number", bound=np.generic)


def depth(default: int, *, may_be_zero: bool = False) -> Any:
    """A field of a config that counts layers, or bits: at most `DEPTH_LIMIT` in a file."""
    return field(default=default, metadata={MOST: DEPTH_LIMIT, MAY_BE_ZERO: may_be_zero})


def size_or_none(default: int) -> Any:
    """A field of a config that may be 0 in a file; all others are positive."""
    return field(default=default, metadata={MAY_BE_ZERO: True})


def check_count(network: nn.Module) -> None:
    """Refuse a model that is out of all proportion, before there is room for its weights."""
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    if count > WEIGHTS_MAX:
        raise CorruptError(
            f"a model's config asks for {count} weights, expected {WEIGHTS_MAX} at most"
        )


def wrong_size(data: bytes, wanted: int) -> CorruptError:
    """The error for weights that are not as many as their config asks for."""
    return CorruptError(
        f"a model section has {len(data)} bytes of weights; its config asks for {wanted}"
    )


class Blob:
    """Reads arrays one after the other, of which there must be enough."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def integers(self, dtype: str, shape: tuple[int, ...]) -> NDArray[np.integer]:
        """The next integers of a type such as ``<i4``, as an array of ``shape``."""
        kind: np.dtype[np.integer] = np.dtype(dtype)
        return self._read(kind, shape)

    def halves(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The next half-precision numbers, as an array of ``shape``."""
        return self._read(np.dtype(np.float16).newbyteorder("<"), shape).astype(np.float32)

    def _read(self, dtype: np.dtype[Number], shape: tuple[int, ...]) -> NDArray[Number]:
        count = int(np.prod(shape))
        array = np.frombuffer(self.data, dtype, count, self.offset).reshape(shape)
        self.offset += array.nbytes
        return array


def parse(make: Callable[[], T]) -> T:
    """What ``make`` makes of a config. Raises CorruptError where a value is missing or none."""
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"a model's config is not valid: {error!r}") from error


def sizes_from(kind: type[Sizes], config: Mapping[str, object]) -> Sizes:
    """The dataclass ``kind`` from JSON. Raises CorruptError where a number is beyond its limits."""
    values = parse(lambda: {each.name: config[each.name] for each in fields(kind)})
    for each in fields(kind):
        value, most = values[each.name], each.metadata.get(MOST, SIZE_LIMIT)
        types = (int, float) if isinstance(each.default, float) else (int,)
        number = value if isinstance(value, types) and not isinstance(value, bool) else math.nan
        if not (0 < number <= most or (each.metadata.get(MAY_BE_ZERO) and number == 0)):
            raise CorruptError(f"a model's config says {each.name} = {value!r}, which is not valid")
    return parse(lambda: kind(**values))
