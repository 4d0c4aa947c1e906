"""A memory in Avalanche's benchmarks and strategies."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from drrpack import OptionError

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("default")]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Avalanche imports
    pytest.importorskip("avalanche", reason='pip install "drrpack[avalanche]"')
    import avalanche.training.supervised as supervised
    from avalanche.training.plugins import ReplayPlugin

    from drrpack.integrations.avalanche import DRRStoragePolicy, avalanche_benchmark


@pytest.fixture(scope="module")
def benchmark(digits_drr: Path) -> Any:
    return avalanche_benchmark(digits_drr, 2, classes=[*"0123"])


def arguments() -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    return dict(
        model=model, optimizer=torch.optim.SGD(model.parameters(), 0.1), train_mb_size=20,
        criterion=torch.nn.CrossEntropyLoss(), eval_mb_size=20, evaluator=None,
    )  # fmt: skip


def test_experiences(benchmark: Any, digits_drr: Path) -> None:
    found = [exp.classes_in_this_experience for exp in benchmark.train_stream]
    assert [sorted(classes) for classes in found] == [[0, 1], [2, 3]]
    assert [len(exp.dataset) for exp in benchmark.train_stream] == [60, 60]
    assert [len(exp.dataset) for exp in benchmark.test_stream] == [16, 16]
    image, label, _ = benchmark.train_stream[1].dataset[0]
    assert image.dtype == torch.float32 and 0 < image.max() <= 1 and label in (2, 3)
    with pytest.raises(OptionError, match="found 4 classes, expected a multiple"):
        avalanche_benchmark(digits_drr, 3, classes=[*"0123"])


@pytest.mark.parametrize("name", ["Naive", "Replay", "DER"])
def test_strategies_train(benchmark: Any, digits_drr: Path, name: str) -> None:
    more: dict[str, Any] = {} if name == "Naive" else {"mem_size": 40}
    strategy = getattr(supervised, name)(**arguments(), **more)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    for experience in benchmark.test_stream:
        strategy.eval([experience])
    assert strategy.clock.train_exp_counter == 2


def test_what_was_dropped_does_not_come_back(digits_drr: Path) -> None:
    """Classes arrive in an order that is not that of their labels."""
    policy, held = DRRStoragePolicy(digits_drr, 20, classes=[*"0123"]), []
    for new in ([2, 3], [0, 1]):
        policy.post_adapt(None, SimpleNamespace(classes_in_this_experience=new))
        images = [item[0].numpy().tobytes() for item in policy.buffer if item[1] in (2, 3)]
        held.append(set(images))
    assert [len(images) for images in held] == [20, 10] and held[1] < held[0]


def test_a_file_as_replay_buffer(benchmark: Any, digits_drr: Path) -> None:
    policy = DRRStoragePolicy(digits_drr, 21, classes=[*"0123"])
    plugin = ReplayPlugin(mem_size=21, storage_policy=policy)
    strategy = supervised.Naive(**arguments(), plugins=[plugin])
    sizes = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        sizes.append(Counter(int(item[1]) for item in policy.buffer))
    assert sizes == [{0: 11, 1: 10}, {0: 6, 1: 5, 2: 5, 3: 5}]
    before = {tuple(item[0].flatten().tolist()) for item in policy.buffer if item[1] == 1}
    policy.resize(strategy, 12)
    kept = {tuple(item[0].flatten().tolist()) for item in policy.buffer if item[1] == 1}
    assert len(kept) == 3 and kept <= before
    policy.resize(strategy, 4)
    assert sorted(int(item[1]) for item in policy.buffer) == [0, 1, 2, 3]
