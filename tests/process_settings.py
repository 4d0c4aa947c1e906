"""What a program may have set before it calls the library, each as a context.

Threads are not among them: `small_models.convolutions_run` sets their number.
"""

from __future__ import annotations

import decimal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
        assert torch.get_float32_matmul_precision() == precision, "it is the user's"
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def operator_precision(precision: str) -> Iterator[None]:
    """The newer settings, one for each operator; nothing to set before PyTorch 2.9."""
    backend: Any = torch.backends.mkldnn
    places = [getattr(backend, name, None) for name in ("matmul", "conv")]
    found = [place for place in places if hasattr(place, "fp32_precision")]
    before = [place.fp32_precision for place in found]
    for place in found:
        place.fp32_precision = precision
    try:
        yield
        assert all(place.fp32_precision == precision for place in found), "it is the user's"
    finally:
        for place, value in zip(found, before, strict=True):
            place.fp32_precision = value


@contextmanager
def strict_warnings() -> Iterator[None]:
    """Every warning an error, also those that PyTorch gives once."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        torch.set_warn_always(before)


class Halves(TorchFunctionMode):
    """Makes half-precision tensors where nothing is said, as a device context makes them there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.tensor}
        given = {**(kwargs or {})}
        if func in made and given.get("dtype") is None:
            given["dtype"] = torch.float16
        return func(*args, **given)


@contextmanager
def track_order() -> Iterator[None]:
    config = h5py.get_config()
    before, config.track_order = config.track_order, True
    try:
        yield
    finally:
        config.track_order = before


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "float16 by default": lambda: default_dtype(torch.float16),
    "float64 by default": lambda: default_dtype(torch.float64),
    "meta by default": lambda: default_device("meta"),
    "inside a device": lambda: torch.device("meta"),
    "inside a mode": Halves,
    "deterministic algorithms": deterministic,
    "medium products": lambda: matmul_precision("medium"),
    "bfloat16 products": lambda: operator_precision("bf16"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "numpy raises": lambda: np.errstate(all="raise"),
    "five digits": lambda: decimal.localcontext(
        decimal.Context(prec=5, rounding=decimal.ROUND_UP, traps=[])
    ),
    "warnings are errors": strict_warnings,
    "h5py tracks order": track_order,
}


@contextmanager
def everything() -> Iterator[None]:
    """All of it at once, but one of each kind."""
    left_out = (
        *("float16 by default", "float64 by default", "inside a device", "inside a mode"),
        *("bfloat16 products", "all of them"),
    )
    with ExitStack() as stack:
        for name, change in SETTINGS.items():
            if name not in left_out:
                stack.enter_context(change())
        yield


SETTINGS["all of them"] = everything

# for pytest.mark.parametrize: each by itself is slow
ALL_AND_EACH = [
    name if name == "all of them" else pytest.param(name, marks=pytest.mark.slow)
    for name in SETTINGS
]
