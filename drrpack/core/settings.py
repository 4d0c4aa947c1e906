"""Isolation from process settings: results depend on arguments alone, and settings do not change.

A program may set a default dtype or device for its own networks, run its loop under autocast, or
seed the random state of its shuffles. These settings must not affect results here, and drrpack must
not change them. A setting of a thread is reset to the default of PyTorch or numpy while drrpack
computes. The default dtype belongs to the whole process, so other threads would see a change:
drrpack does not touch it, and gives a dtype wherever it makes a tensor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def own_settings(device: str = "cpu") -> Iterator[None]:
    """Within it this thread has the settings that PyTorch and numpy come with, and no autocast on
    CPUs, CUDA and the type of ``device``."""
    with ExitStack() as stack:
        if _default_device() != "cpu":  # the mode costs each call some microseconds
            stack.enter_context(torch.device("cpu"))
        for kind in {"cpu", "cuda", device}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def _default_device() -> str:
    try:
        return torch.get_default_device().type
    except AttributeError:  # PyTorch 2.6, after ``torch.set_default_device(None)``
        return "cpu"


class Shared:
    """A setting of the whole process, changed while anybody is inside: threads overlap."""

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        self._change, self._guard = change, threading.Lock()
        self._inside, self._changed = 0, ExitStack()

    def __enter__(self) -> None:
        with self._guard:
            if not self._inside:
                self._changed.enter_context(self._change())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._inside -= 1
            if not self._inside:
                self._changed.close()


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of float32 numbers in float32, where they have been allowed less: for all of them by
    one name, or since PyTorch 2.9 for each operator. cuDNN's convolutions are allowed less (TF32)
    unless somebody has said otherwise."""
    with ExitStack() as stack:
        try:
            before = torch.get_float32_matmul_precision()
        except RuntimeError:  # the process uses the newer settings, and may not ask for the older
            before = "highest"
        if before != "highest":
            stack.callback(torch.set_float32_matmul_precision, before)
            torch.set_float32_matmul_precision("highest")
        for place in _operators():
            if place.fp32_precision not in ("ieee", "none"):
                stack.callback(setattr, place, "fp32_precision", place.fp32_precision)
                place.fp32_precision = "ieee"
        if _cudnn_may_use_tf32():
            stack.callback(setattr, torch.backends.cudnn, "allow_tf32", True)
            torch.backends.cudnn.allow_tf32 = False
        yield


def _cudnn_may_use_tf32() -> bool | None:
    """None where the process uses the newer setting, and may not ask for the older."""
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


class _Operator(Protocol):
    """Products of one kind, as PyTorch 2.9 and later set their precision."""

    fp32_precision: str


def _operators() -> list[_Operator]:
    onednn, cuda = torch.backends.mkldnn, torch.backends.cuda
    found: list[_Operator] = [cuda.matmul]
    found += [getattr(onednn, name) for name in ("matmul", "conv") if hasattr(onednn, name)]
    if _cudnn_may_use_tf32() is None:
        found.append(getattr(torch.backends.cudnn, "conv"))  # noqa: B009, unknown to older types
    return [operator for operator in found if hasattr(operator, "fp32_precision")]


without_nnpack = Shared(lambda: torch.backends.nnpack.flags(enabled=False))
full_precision = Shared(_full_precision)


@contextmanager
def float_arithmetic() -> Iterator[None]:
    """For ordinary floats: `own_settings`, and products in full precision."""
    with own_settings(), full_precision:
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it networks draw their weights from ``seed``; the random state is put back then."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds GPUs as well
        yield


def skeleton(make: Callable[[], Network]) -> Network:
    """A network whose tensors have shapes and no memory yet, so that no weight is drawn."""
    with torch.device("meta"):
        return make()


def unfilled(make: Callable[[], Network]) -> Network:
    """A network on the CPU whose weights are still to be filled in: none is drawn."""
    return skeleton(make).to_empty(device="cpu")
