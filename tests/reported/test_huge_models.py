"""Reported: ztxz16/fastllm#713: sizes in a model's header were memory before they were checked.

Right: a file whose model claims far more weights than any has, or more than its bytes can hold, is
refused before there is room for them: what it takes is a few times its own size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import nn

from drrpack.core import packing, stored
from drrpack.core.codes import LEVELS
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapConfig
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.errors import CorruptError
from drrpack.core.section import Section
from drrpack.core.vqvae import VQVAE, VQVAEConfig
from drrpack.core.weights import unpack_vqvae

BITS = {"top": 8, "joined": 8, "residual": 8, "upsampled": 8}


class Allocations:
    """The largest tensor that torch is asked for, memory-less ones aside."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.largest = 0
        honest = torch.empty_like

        def counted(tensor: torch.Tensor, **options: object) -> torch.Tensor:
            if torch.device(str(options.get("device", tensor.device))).type != "meta":
                self.largest = max(self.largest, tensor.numel())
            return honest(tensor, **options)  # type: ignore[call-overload, no-any-return]

        patch.setattr(torch, "empty_like", counted)


def alike(make: Callable[[], nn.Module]) -> bytes:
    """As many bytes as a network must have that is packed, with every tensor's values alike."""
    with torch.device("meta"):
        count = sum(tensor.numel() for tensor in make().state_dict().values())
    tables = struct.pack("<hHH", 0, 1, 1 << 14) * 200
    return tables + bytes(4 * (count // packing.VALUES_A_BYTE_MAX // 4))


@pytest.mark.parametrize(
    "config",
    [
        PhasedBitSwapConfig(prediction_width=4096, embedding=4096, blocks=8),
        PhasedBitSwapConfig(codebook_size=4096, prediction_width=2048),  # small, with large tables
    ],
)
def test_entropy_models(monkeypatch: pytest.MonkeyPatch, config: PhasedBitSwapConfig) -> None:
    streams = {name: {"plain_images": 1, "group": 1, "lanes": 1} for name in LEVELS}
    made = Allocations(monkeypatch)
    model = Section("2.0", {**asdict(config), "streams": streams}, alike(config.network))
    with pytest.raises(CorruptError, match=r"asks for (tables of )?\d+ .* at most"):
        unpack_entropy(model)
    assert made.largest == 0


def test_vqvaes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = VQVAEConfig(channels=4096, residual_channels=4096)
    made = Allocations(monkeypatch)
    bits = {**BITS, "hidden": [8] * config.residual_blocks}
    whole = {**asdict(config), "activation_bits": bits, "encoder": True}
    with pytest.raises(CorruptError, match=r"asks for \d+ weights, expected \d+ at most"):
        unpack_vqvae(Section("2.0", whole, alike(lambda: VQVAE(config))))
    assert made.largest == 0


def test_the_papers_model_is_far_below() -> None:
    """128 channels, embeddings of 64, two codebooks of 512: 1.4 million numbers."""
    with torch.device("meta"):
        network = VQVAE(VQVAEConfig(embedding=64))
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    assert 5 * count < stored.WEIGHTS_MAX
