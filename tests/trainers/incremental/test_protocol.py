"""Splits, labels, averages, resuming after a kill, and what a run refuses."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from protocol_data import ORDER, SMALL, DigitsData, run, without_times
from torch import Tensor

from drrpack.core.errors import (
    CorruptError,
    MethodError,
    OptionError,
    OutputError,
    SourceError,
)
from drrpack.trainers.incremental import protocol, rundir
from drrpack.trainers.incremental.methods import METHODS, Method, MethodOptions, PhaseContext
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.run_plan import check_order, split_phases
from drrpack.trainers.incremental.run_progress import RunProgress
from drrpack.trainers.learning.classifier import Classifier

pytestmark = pytest.mark.usefixtures("one_thread")


class Fixed:
    """A classifier that tells the classes of the newest phase right, and half of the others."""

    def __init__(self, context: PhaseContext) -> None:
        images, labels = context.tensors(*context.data.test(context.seen), context.seen, "test")
        self.images, self.labels = images, labels
        self.old = len(context.seen) - len(context.new)

    def predict(self, images: Tensor) -> Tensor:
        assert torch.equal(images, self.images)
        wrong = (self.labels < self.old) & (torch.arange(len(images)) % 2 == 0)
        return torch.where(wrong, self.labels + 1, self.labels)

    def state_dict(self) -> dict[str, Any]:
        return {}


class Stub(Method):
    """A method with a history that trains nothing and writes down what it was given."""

    name = "stub"
    needs = frozenset({"replayed", "raw_new"})
    calls: list[tuple[PhaseContext, int]]
    stop_at = -1

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.phases_done = 0
        Stub.calls = []

    def train_phase(self, context: PhaseContext) -> Classifier:
        if context.phase == Stub.stop_at:
            raise KeyboardInterrupt
        Stub.calls.append((context, self.phases_done))
        self.phases_done += 1
        return Fixed(context)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        return {"exemplars": 10 * len(context.seen)}

    def state_dict(self) -> dict[str, Any]:
        return {"phases_done": self.phases_done}

    def load_state_dict(self, state: dict[str, Any], context: PhaseContext) -> None:
        self.phases_done = state["phases_done"]


@pytest.fixture
def stub() -> Iterator[None]:
    METHODS["stub"], Stub.stop_at = Stub, -1
    yield
    del METHODS["stub"]


def accuracies(result: Result) -> list[list[float]]:
    return [phase.group_accuracy for phase in result.phases]


def test_split() -> None:
    assert split_phases(ORDER, 4, 3) == [(3, 1, 4, 0), (5, 9), (2, 6), (8, 7)]
    assert split_phases(ORDER, 10, 0) == [tuple(ORDER)]
    assert split_phases(ORDER, 6, 0) == [(3, 1, 4, 0, 5, 9)]
    assert [len(group) for group in split_phases(range(100), 50, 25)] == [50] + 25 * [2]
    with pytest.raises(OptionError, match=r"leave 6, .* 4 equal phases.* `phases`: 1, 2, 3, 6"):
        split_phases(ORDER, 4, 4)
    with pytest.raises(OptionError, match=r"what works as `phases`: 0"):
        split_phases(ORDER, 10, 2)
    with pytest.raises(OptionError, match="1 to 10 classes, not 11"):
        split_phases(ORDER, 11, 1)


def test_order() -> None:
    assert check_order(None, 3) == (0, 1, 2)
    with pytest.raises(OptionError, match=r"unknown: \[7\], missing: \[2\]"):
        check_order([0, 1, 7], 3)
    with pytest.raises(OptionError, match=r"more than once: \[1\]"):
        check_order([0, 1, 1, 2], 3)


def test_accuracies_of_a_stub(stub: None, tmp_path: Path) -> None:
    result = run(DigitsData(), "stub", out=tmp_path / "run", **SMALL)
    # new classes 100 %, old ones 50 %: 4 classes; 4 old and 2 new; 6 and 2; 8 and 2
    assert [phase.accuracy for phase in result.phases] == pytest.approx(
        [100, 400 / 6, 500 / 8, 600 / 10]
    )
    assert accuracies(result)[-1] == [50, 50, 50, 100]
    assert result.average_accuracy == pytest.approx((400 / 6 + 500 / 8 + 60) / 3)
    assert result.average_accuracy_with_base == pytest.approx((100 + 400 / 6 + 62.5 + 60) / 4)
    assert result.last_accuracy == 60
    assert result.forgetting == 50
    assert result.memory_bytes == {"exemplars": 100, "total": 100}
    assert [phase.memory_bytes for phase in result.phases] == [40, 60, 80, 100]


def test_what_a_method_is_given(stub: None, tmp_path: Path) -> None:
    data = DigitsData(5)
    run(data, "stub", out=tmp_path / "run", **SMALL)
    context, _ = Stub.calls[2]
    assert (context.phase, context.seen, context.new) == (2, (3, 1, 4, 0, 5, 9, 2, 6), (2, 6))
    images, labels = context.replayed(context.seen)
    assert labels.tolist() == [position for position in range(8) for _ in range(5)]
    assert np.array_equal(images.numpy(), data.replayed(context.seen)[0])
    assert context.raw([6])[1].tolist() == 5 * [7]
    with pytest.raises(MethodError, match=r"found needs = 'raw_new', 'replayed', .*'raw_seen'"):
        context.raw([3, 6])
    assert len({call.seed for call, _ in Stub.calls}) == 4


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("train_phase", None, "found None as the answer of train_phase, expected a classifier"),
        ("memory_bytes", None, "found None as the answer of memory_bytes"),
        ("memory_bytes", 7, "found 7 as the answer of memory_bytes"),
        ("memory_bytes", {"payload": 1.5}, r"found \{'payload': 1.5\} as the answer"),
        ("memory_bytes", {"payload": -1}, r"found \{'payload': -1\} as the answer"),
    ],
)
def test_answers_that_are_none(
    stub: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, answer: Any, words: str
) -> None:
    monkeypatch.setattr(Stub, name, lambda self, context: answer)
    with pytest.raises(MethodError, match=f"the method 'stub': {words}"):
        run(DigitsData(5), "stub", out=tmp_path / "run", **SMALL)


@pytest.mark.parametrize("loss", [0.5, {}, {"a": 1.0}, torch.zeros(3), None])
def test_losses_that_are_none(
    stub: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: Any
) -> None:
    def train_phase(self: Stub, context: PhaseContext) -> Classifier:
        return context.train(*context.replayed(context.new), loss=lambda network, batch: loss)

    monkeypatch.setattr(Stub, "train_phase", train_phase)
    with pytest.raises(MethodError, match=r"as a loss; expected a tensor of one number"):
        run(DigitsData(5), "stub", out=tmp_path / "run", **SMALL)


def test_a_method_with_a_history_goes_on(stub: None, tmp_path: Path) -> None:
    whole = run(DigitsData(), "stub", out=tmp_path / "whole", **SMALL)
    Stub.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run(DigitsData(), "stub", out=tmp_path / "cut", **SMALL)
    Stub.stop_at = -1
    resumed = run(DigitsData(), "stub", out=tmp_path / "cut", resume=True, **SMALL)
    assert [(call.phase, before) for call, before in Stub.calls] == [(2, 2), (3, 3)]
    assert accuracies(resumed) == accuracies(whole)


def test_result_json(tmp_path: Path) -> None:
    seen: list[RunProgress] = []
    out = tmp_path / "run"
    result = run(DigitsData(10), "ub", out=out, report=seen.append, **(SMALL | {"phases": 1}))
    written = json.loads((out / "result.json").read_text())
    assert written == result.to_json()
    assert set(written) == {
        *("method", "recipe", "seed", "class_order", "phases", "average_accuracy"),
        *("average_accuracy_with_base", "last_accuracy", "forgetting", "memory_bytes", "config"),
        *("versions", "wall_seconds", "device", "epochs", "width", "complete", "confusion"),
    }
    assert (result.method, result.recipe, result.seed) == ("ub", "fast", 0)
    assert (result.epochs, result.width, result.device) == (1, 4, "cpu")
    assert result.class_order == ORDER
    assert result.complete is True
    assert [len(phase.losses) for phase in result.phases] == [1, 1]
    assert [phase.classes_seen for phase in result.phases] == [4, 10]
    size = 10 * 10 * 16 * 16 * 3
    assert result.memory_bytes == {"raw_images": size, "total": size}
    assert np.array(result.confusion).sum(1).tolist() == 10 * [20]
    last = result.phases[-1]
    right = np.diag(result.confusion)
    assert last.class_accuracy == pytest.approx((right * 5.0).tolist())
    assert last.accuracy == pytest.approx(right.sum() / 2)
    assert len(result.config.recipe_changes) == 2
    assert set(result.versions) == {"python", "torch", "numpy", "drrpack"}
    tested = [at for at in seen if at.accuracy is not None]
    assert [at.accuracy for at in tested] == [phase.accuracy for phase in result.phases]
    assert [at.fraction for at in tested] == pytest.approx([4 / 14, 1])
    assert any(at.loss is not None and at.seconds_left is not None for at in seen)


def test_both_views_of_the_test_images(tmp_path: Path) -> None:
    options = {**SMALL, "phases": 2}
    raw = run(DigitsData(10), "drr", out=tmp_path / "raw", **options)
    both = run(DigitsData(10), "drr", out=tmp_path / "both", test_view="both", **options)
    plain = raw.to_json()
    assert "through_codec" not in plain and "accuracy_through_codec" not in plain["phases"][0]
    assert both.average_accuracy == raw.average_accuracy
    written = both.to_json()
    seen = [phase["accuracy_through_codec"] for phase in written["phases"]]
    assert written["through_codec"] == {
        "average_accuracy": pytest.approx((seen[1] + seen[2]) / 2),
        "average_accuracy_with_base": pytest.approx(sum(seen) / 3),
        "last_accuracy": seen[2],
    }
    with pytest.raises(OptionError, match="raw, both, not 'codec'"):
        run(DigitsData(10), "drr", out=tmp_path / "x", test_view="codec", **SMALL)


def test_it_learns_and_forgets_nothing(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    options = {**SMALL, "phases": 1, "epochs": 12, "base": 5, "width": 8}
    result = run(DigitsData(100), "drr", out=tmp_path, **options)
    assert result.last_accuracy > 80
    assert result.memory_bytes == {"payload": 5000, "models": 70000, "total": 75000}
    assert torch.equal(state, torch.get_rng_state()), "the global random state was touched"


def killed(out: Path, method: str, moment: str) -> int:
    """How a process ends that carries out a run and is killed at some moment of phase 2."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    torch_save, write_json = torch.save, rundir.write_json

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def report(at: RunProgress) -> None:
        if moment == "training" and at.phase == 2 and at.accuracy is None:
            die()

    def save_half(finished: dict[str, Any], file: IO[bytes]) -> None:
        torch_save(finished, file)
        whole = bool(finished["weights"])  # the weights of earlier phases are dropped
        if len(list((out / "phases").glob("*.pt"))) == 2 and whole == (moment == "saving"):
            file.truncate(1000)
            die()

    def write_or_die(path: Path, content: dict[str, Any]) -> None:
        if path.name == "result.json" and len(content["phases"]) == 3:
            die()
        write_json(path, content)

    try:
        if moment in ("saving", "dropping"):
            torch.save = save_half
        if moment == "result":
            protocol.write_json = write_or_die  # type: ignore[assignment]
        run(DigitsData(), method, out=out, report=report, **SMALL)
    finally:
        os._exit(1)


# and how many phases result.json has then: with phase 1 saved, the weights of phase 0 are dropped
MOMENTS = {"dropping": 1, "training": 2, "saving": 2, "result": 2}


@pytest.mark.parametrize("method", ["drr", "ib-drr", "er"])
def test_killed_and_resumed_like_undisturbed(method: str, tmp_path: Path) -> None:
    whole = run(DigitsData(), method, out=tmp_path / "whole", **SMALL)
    for moment, phases in MOMENTS.items():
        cut = tmp_path / moment
        assert killed(cut, method, moment) == -signal.SIGKILL
        partial = json.loads((cut / "result.json").read_text())
        assert partial["complete"] is False and len(partial["phases"]) == phases
        resumed = run(DigitsData(), method, out=cut, resume=True, **SMALL)
        assert without_times(resumed) == without_times(whole)
        written = json.loads((cut / "result.json").read_text())
        assert written == resumed.to_json()
        assert written["phases"][:phases] == partial["phases"]  # seconds and all: not trained again
        checkpoints = sorted((cut / "phases").glob("*.pt"))
        weights = [torch.load(path)["weights"] for path in checkpoints]
        assert [bool(one) for one in weights] == [False, False, False, True]
    other = run(DigitsData(), method, out=tmp_path / "seed", seed=1, **SMALL)
    assert accuracies(other) != accuracies(whole)


def test_other_phases_share_models(tmp_path: Path) -> None:
    shared = tmp_path / "models"
    options = {**SMALL, "checkpoints": shared}
    three = run(DigitsData(10), "drr", out=tmp_path / "three", **options)
    assert len(list(shared.iterdir())) == 4
    six = run(DigitsData(10), "drr", out=tmp_path / "six", **(options | {"phases": 6}))
    assert len(list(shared.iterdir())) == 7  # 5, 7 and 9 classes are new
    by_classes = {phase.classes_seen: phase.seconds for phase in six.phases}
    assert all(by_classes[phase.classes_seen] == phase.seconds for phase in three.phases)


def test_refusals(stub: None, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(DigitsData(), "stub", out=out, **SMALL)
    with pytest.raises(OutputError, match="already holds a run"):
        run(DigitsData(), "stub", out=out, **SMALL)
    with pytest.raises(OptionError, match="seed was 0 and is now 1"):
        run(DigitsData(), "stub", out=out, resume=True, seed=1, **SMALL)
    with pytest.raises(
        OptionError, match=r"with other settings: method was 'stub' and is now 'der'\. Give"
    ):
        run(DigitsData(), "der", out=out, resume=True, seed=1, **SMALL)
    with pytest.raises(OptionError, match=r"recipe\.epochs was 1 and is now 2"):
        run(DigitsData(), "stub", out=out, resume=True, **(SMALL | {"epochs": 2}))
    written = (out / "settings.json").read_bytes()
    for damaged in (written[:40], b"[1]", b"\xff"):
        (out / "settings.json").write_bytes(damaged)
        with pytest.raises(CorruptError, match=r"settings\.json can't be read .*a new folder"):
            run(DigitsData(), "stub", out=out, resume=True, **SMALL)
    (out / "settings.json").write_bytes(written)
    newest = max((out / "phases").iterdir())
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(CorruptError, match="delete it and resume"):
        run(DigitsData(), "stub", out=out, resume=True, **SMALL)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"no run \(notes.txt\)"):
        run(DigitsData(), "stub", out=tmp_path / "other", resume=True, **SMALL)
    with pytest.raises(
        OptionError, match="no method is called 'none'; there are: der, drr, drr-soft, er, "
    ):
        run(DigitsData(), "none", out=tmp_path / "new", **SMALL)


def test_data_that_is_not_as_promised(tmp_path: Path) -> None:
    data = DigitsData(0)
    with pytest.raises(SourceError, match="no image of: digit 0, digit 1"):
        run(data, "drr", out=tmp_path / "empty", **SMALL)
    data = DigitsData()
    data.images = data.images / np.float32(255)
    with pytest.raises(SourceError, match="float32"):
        run(data, "ub", out=tmp_path / "float", **SMALL)


def test_base_alone(stub: None, tmp_path: Path) -> None:
    result = run(DigitsData(), "stub", out=tmp_path, **(SMALL | {"phases": 0, "base": 10}))
    assert result.average_accuracy is None and result.forgetting is None
    assert result.last_accuracy == result.average_accuracy_with_base == 100


def checkpoints_of(out: Path) -> list[Path]:
    """Of a run, in the order of its phases."""
    return sorted((out / "phases").glob("*.pt"))


@pytest.mark.parametrize("method", ["stub", "er"])
def test_the_newest_phase_is_trained_again_where_its_checkpoint_is_damaged(
    stub: None, tmp_path: Path, method: str
) -> None:
    whole = run(DigitsData(), method, out=tmp_path, **SMALL)
    for _ in range(2):
        newest = checkpoints_of(tmp_path)[-1]
        newest.write_bytes(newest.read_bytes()[:100])
        with pytest.raises(CorruptError, match="delete it and resume"):
            run(DigitsData(), method, out=tmp_path, resume=True, **SMALL)
        newest.unlink()
        resumed = run(DigitsData(), method, out=tmp_path, resume=True, **SMALL)
        assert without_times(resumed) == without_times(whole)
    states = [torch.load(path)["state"] for path in checkpoints_of(tmp_path)]
    assert [bool(state) for state in states] == [False, False, True, True]


@pytest.mark.parametrize("earlier", [False, True], ids=["now", "of an earlier version"])
def test_no_phase_is_trained_from_a_state_that_was_dropped(
    stub: None, tmp_path: Path, earlier: bool
) -> None:
    whole = run(DigitsData(), "stub", out=tmp_path, **SMALL)
    paths = checkpoints_of(tmp_path)
    for path in paths[:3] if earlier else ():  # which kept the state of the newest phase alone
        torch.save({"record": torch.load(path)["record"], "weights": {}, "state": {}}, path)
    lost = 3 if earlier else 2
    paths[lost].unlink()
    Stub.calls = []
    with pytest.raises(CorruptError, match="no longer holds what stub goes on from") as caught:
        run(DigitsData(), "stub", out=tmp_path, resume=True, **SMALL)
    assert Stub.calls == [], "before anything trains"
    wanted = [path for path in paths if path.name in str(caught.value)]
    assert wanted == paths[: lost + 1]
    for path in paths[:lost]:
        path.unlink()
    resumed = run(DigitsData(), "stub", out=tmp_path, resume=True, **SMALL)
    assert [(call.phase, before) for call, before in Stub.calls] == [
        (phase, phase) for phase in range(lost + 1)
    ]
    assert accuracies(resumed) == accuracies(whole)


def test_a_method_that_keeps_no_state_trains_any_phase_again(tmp_path: Path) -> None:
    whole = run(DigitsData(), "ib-drr", out=tmp_path, **SMALL)
    for path in checkpoints_of(tmp_path)[:3]:  # as an earlier version left it
        torch.save({"record": torch.load(path)["record"], "weights": {}, "state": {}}, path)
    checkpoints_of(tmp_path)[2].unlink()
    resumed = run(DigitsData(), "ib-drr", out=tmp_path, resume=True, **SMALL)
    assert without_times(resumed) == without_times(whole)
