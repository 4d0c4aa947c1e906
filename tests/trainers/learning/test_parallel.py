"""One training by two processes: the training of one process, but for the rounding of sums."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import parallel_cases
import pytest
import torch
from torch import Tensor

from drrpack.trainers.learning.parallel import sharing_batches
from drrpack.trainers.ranks import ALONE, Ranks, rows_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[str]]:
    """What each of two processes found, and the error of each in the end."""
    out = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run",
            "--nproc-per-node=2", parallel_cases.__file__, out,
        ],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    found = [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    return found, [(out / f"{rank}.txt").read_text() for rank in (0, 1)]


def digest(weights: dict[str, Tensor]) -> str:
    every = hashlib.sha256()
    for value in weights.values():
        every.update(value.contiguous().numpy().tobytes())
    return every.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("case", parallel_cases.TRAININGS)
def test_the_weights_are_those_of_one_process(case: str, of_two: Any) -> None:
    (first, second), _ = of_two
    assert digest(first["weights"][case]) == digest(second["weights"][case])
    alone = parallel_cases.TRAININGS[case](ALONE)
    start = parallel_cases.new_network(lambda: parallel_cases.ResNet18(6, 4), 3).state_dict()
    moved = 0
    for name, wanted in alone.network.state_dict().items():
        torch.testing.assert_close(first["weights"][case][name], wanted, rtol=2e-3, atol=2e-4)
        moved += int(not torch.allclose(wanted.float(), start[name].float(), atol=2e-3))
    assert moved > 20, "what is compared has been trained"
    losses, terms = first["losses"][case]
    assert losses == pytest.approx(alone.log.losses, rel=1e-4)
    assert terms.keys() == alone.log.terms.keys()
    for name, values in terms.items():
        assert values == pytest.approx(alone.log.terms[name], rel=1e-3), name


@pytest.mark.slow
def test_batches_are_those_of_one_process(of_two: Any) -> None:
    (first, second), _ = of_two
    alone = parallel_cases.shares_seen(ALONE)
    assert [a + b for a, b in zip(first["shares"], second["shares"], strict=True)] == alone
    assert {len(share) for share in first["shares"]} == {7}
    assert sorted(index for batch in alone for index in batch) == list(range(45))


@pytest.mark.slow
def test_batch_norms_are_those_of_the_whole_batch(of_two: Any) -> None:
    (first, second), _ = of_two
    for name, wanted in parallel_cases.batch_norms(ALONE).items():
        ours, theirs = first["norms"][name], second["norms"][name]
        for key, value in wanted.items():
            if key in ("out", "gradient"):
                found = torch.cat([ours[key], theirs[key]])
            elif key.startswith("gradient of"):
                found = ours[key] + theirs[key]
            else:
                found = ours[key]
                assert torch.equal(found, theirs[key])
            torch.testing.assert_close(found, value, rtol=1e-4, atol=2e-4, msg=f"{name} {key}")


@pytest.mark.slow
def test_processes_that_have_different_images_are_refused(of_two: Any) -> None:
    _, errors = of_two
    for error in errors:
        assert error.startswith("MethodError: the processes would train on different images")


def test_a_share_is_never_empty() -> None:
    three = Ranks(1, 3)
    assert sharing_batches(three, 2, 16) is ALONE and sharing_batches(three, 17, 16) == three
    assert sharing_batches(Ranks(0, 9), 17, 16) is ALONE  # batches of 9 and of 8
    for count in (3, 7, 256):
        cuts = [rows_of(Ranks(rank, 3), count) for rank in range(3)]
        assert [row for cut in cuts for row in range(count)[cut]] == list(range(count))
        sizes = [cut.stop - cut.start for cut in cuts]
        assert max(sizes) - min(sizes) <= 1
