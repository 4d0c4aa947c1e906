"""Freeze all integer layers of a network for coding, or thaw them for further fitting.

To freeze is to fix the integers of such a layer (`drrpack.core.int_layer`); VQ-VAEs, whose weights
are floats, are rounded to what is stored (`drrpack.core.vqvae.as_stored`).
"""

from __future__ import annotations

import torch
from torch import nn

from drrpack.core import int8
from drrpack.core.int_layer import IntLayer, IntProduct


def int_layers(network: nn.Module) -> dict[str, IntLayer]:
    """All integer layers of a network by their dotted names, in order."""
    return {name: m for name, m in network.named_modules() if isinstance(m, IntLayer)}


def freeze(network: nn.Module, carrier: torch.dtype = torch.float32) -> None:
    """Freeze every integer layer of one's own network, on its device, in ``carrier`` (float32 or
    float64)."""
    for layer in int_layers(network).values():
        layer.freeze(carrier)
    network.eval().requires_grad_(False)


def thaw(network: nn.Module) -> None:
    """The inverse of `freeze`, so that a stored network can be fitted further; the integers that
    fitting starts with are those that were stored."""
    for layer in int_layers(network).values():
        layer.thaw()
    network.float().train().requires_grad_(True)


def use_int8(network: nn.Module, least: int = 0, in_bytes: bool = False) -> None:
    """Let all layers of a frozen network multiply integers of eight bits, where this machine can,
    and float32 on the CPU carries them; the rest is as in `IntProduct.use_int8`."""
    layers = [layer for layer in int_layers(network).values() if isinstance(layer, IntProduct)]
    carriers = [layer.frozen[0] for layer in layers if layer.frozen is not None]
    narrow = all(one.device.type == "cpu" and one.dtype == torch.float32 for one in carriers)
    if narrow and int8.available():
        for layer in layers:
            layer.use_int8(least, in_bytes)
