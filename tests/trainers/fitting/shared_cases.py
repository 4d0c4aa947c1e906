"""Small fits, which `test_share.py` carries out by one process, and by two that torchrun starts.

Arguments of the program: a folder for results and checkpoints.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small_models import CONTEXT, SMALL_VQVAE

from drrpack.core.codes import Codes
from drrpack.core.settings import float_arithmetic, seeded
from drrpack.core.vqvae import VQVAE
from drrpack.trainers.fitting import loop
from drrpack.trainers.fitting.decoder import DecoderFit
from drrpack.trainers.fitting.features import FeatureFit
from drrpack.trainers.fitting.level import TUNING, LevelFit
from drrpack.trainers.fitting.loop import Budget, NetworkTask, fit
from drrpack.trainers.fitting.presets import PAPER
from drrpack.trainers.fitting.vqvae import VQVAEFit
from drrpack.trainers.ranks import Ranks, ranks, sharing

CPU = torch.device("cpu")
BATCH = 15  # shares of 7 and 8
CHANCE = torch.Generator().manual_seed(0)
IMAGES = torch.randint(256, (45, 16, 16, 3), generator=CHANCE).byte()
TOP, BOTTOM = (torch.randint(32, (45, n, n), generator=CHANCE) for n in (2, 4))
CODES = Codes(TOP.numpy().astype("uint16"), BOTTOM.numpy().astype("uint16"))


def vqvae() -> VQVAE:
    network = VQVAE(SMALL_VQVAE)
    for quantiser in (network.top, network.bottom):
        quantiser.codebook.normal_(generator=torch.Generator().manual_seed(1))
        quantiser.start_averages()
    return network


def task(name: str) -> tuple[NetworkTask, torch.Tensor]:
    """A task and what its batches are rows of."""
    with seeded(4):
        if name == "features":
            return FeatureFit(IMAGES, TOP[:, 0, 0] % 3, CPU, 4), torch.arange(45)
        if name == "decoder":
            return DecoderFit(vqvae(), IMAGES, CODES, CPU), torch.arange(45)
        if name == "level":
            network = CONTEXT.network().levels["bottom"]
            flat = torch.from_numpy(CODES.flat.astype("int64"))
            return LevelFit("level", network, CODES.top_shape, CPU, TUNING), flat
        if name == "codebooks by gradients":
            return VQVAEFit(vqvae(), CPU, fitted=True, preset=PAPER), IMAGES
        return VQVAEFit(vqvae(), CPU, fitted=name == "fitted vqvae"), IMAGES


# Each with its budget in epochs of three steps; at the high rate of features rounding grows fast.
TASKS = {
    "features": 1, "decoder": 2, "level": 2, "codebooks by gradients": 2, "vqvae": 2,
    "fitted vqvae": 2,
}  # fmt: skip


@float_arithmetic()
def fitted(name: str, processes: Ranks, budget: Budget, path: Path | None = None) -> dict[str, Any]:
    """The state of a task after its fit, and the log."""
    one, data = task(name)
    log = fit(
        one, data, budget, batch_size=BATCH, seed=2, fingerprint=name, checkpoint=path,
        processes=processes,
    )  # fmt: skip
    del log["seconds"]
    return {"state": one.state_dict(), "log": log}


def slow_clock(processes: Ranks) -> Callable[[], float]:
    """Time that runs ten times as fast for the second process."""
    start = time.monotonic()
    return lambda: start + (time.monotonic() - start) * (1 + 9 * processes.rank)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with sharing():
        ours = ranks()
        found = {name: fitted(name, ours, Budget(epochs=e)) for name, e in TASKS.items()}
        fitted("level", ours, Budget(epochs=1), folder / "level.pt")
        loop.time = type("Clock", (), {"monotonic": staticmethod(slow_clock(ours))})  # type: ignore[attr-defined, assignment]
        found["minutes"] = fitted("features", ours, Budget(minutes=0.02))["log"]
        torch.save(found, folder / f"{ours.rank}.pt")
