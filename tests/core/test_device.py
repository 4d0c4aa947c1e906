"""One rule for devices: what is taken, and what is refused with a way out."""

from __future__ import annotations

import pytest
import torch

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError


def with_gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("name", "gpus", "chosen"),
    [
        ("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"), (torch.device("cpu"), 0, "cpu"),
    ],
)  # fmt: skip
def test_devices(
    name: str | torch.device, gpus: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(gpus, monkeypatch)
    assert choose_device(name) == torch.device(chosen)


@pytest.mark.parametrize(
    ("name", "gpus", "words"),
    [
        ("abacus", 1, "`device='abacus'`: say auto, cpu or cuda"),
        ("meta", 1, "say auto, cpu or cuda"),
        ("", 1, "say auto, cpu or cuda"),
        ("cuda", 0, "finds no CUDA device here; say `device='cpu'`"),
        ("cuda:2", 2, "finds 2 CUDA devices here, counted from 0"),
    ],
)
def test_refusals(name: str, gpus: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(gpus, monkeypatch)
    with pytest.raises(OptionError, match=words) as caught:
        choose_device(name)
    assert caught.value.option == "device"
