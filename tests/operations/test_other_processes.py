"""What the processes of a run beside the first one say: nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice
from drrpack.operations import encode as encoding
from drrpack.operations import train as training
from drrpack.operations.encode import encode
from drrpack.operations.train import train
from drrpack.trainers.ranks import Ranks

T = TypeVar("T")


class Second(Ranks):
    """Of two processes, whose other one finds what this one does."""

    def from_first(self, make: Callable[[], T]) -> T:
        return make()

    def of_all(self, mine: T) -> list[T]:
        return [mine, mine]


@pytest.fixture(autouse=True)
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (encoding, training):
        monkeypatch.setattr(module, "ranks", lambda: Second(1, 2))


def test_training_warns_of_nothing(context_drr: Path, tmp_path: Path) -> None:
    told: list[Any] = []
    # a class is called 4, of which the first process warns
    with pytest.raises(OptionError, match="the base must have"):
        train(context_drr, tmp_path / "run", classes="4", base=3, device="cpu", report=told.append)
    assert told == []


def test_encoding_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def warn(found: object, report: Callable[[object], None], *_: object) -> None:
        report(Notice("a picture is odd"))

    monkeypatch.setattr(encoding, "plan_encode", lambda *_: SimpleNamespace(source=None))
    for name in ("tell_of", "tell_of_labels", "tell_of_few_raw", "carry_out"):
        monkeypatch.setattr(encoding, name, warn)
    monkeypatch.setattr(encoding, "stats", lambda path: path)
    assert encode(tmp_path, tmp_path / "m.drr", report=told.append) == tmp_path / "m.drr"
    assert told == []
