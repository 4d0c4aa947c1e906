"""The device that networks run on: one rule for every operation."""

from __future__ import annotations

import torch

from drrpack.core.errors import OptionError


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device called ``name``: ``cpu``, ``cuda``, or ``auto`` for a GPU if there is one.

    A device with a number, such as ``cuda:1``, is taken as it is.

    Raises:
        OptionError: there is no such device, or PyTorch finds no CUDA device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    asked = f"`device={str(name)!r}`"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")  # on which nothing can be computed either
    if device.type not in ("cpu", "cuda"):
        raise OptionError(f"{asked}: say auto, cpu or cuda", option="device")
    if device.type == "cuda" and not torch.cuda.is_available():
        found = "PyTorch finds no CUDA device here; say `device='cpu'`"
        raise OptionError(f"{asked}: {found}", option="device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"PyTorch finds {torch.cuda.device_count()} CUDA devices here, counted from 0"
        raise OptionError(f"{asked}: {found}; say `device='cuda'`", option="device")
    return device


def device_name(device: torch.device) -> str:
    """``cpu``, or a GPU by its name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def wait_for(device: torch.device) -> None:
    """Return when all that was asked of a device is done; a CPU does it at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
