"""What a phase offers a method: trainings in stages, features, teachers; and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from protocol_data import ORDER, SMALL, DigitsData, run
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.errors import MethodError, OptionError
from drrpack.trainers.incremental.exemplars import herd
from drrpack.trainers.incremental.grouping import differing, grouped
from drrpack.trainers.incremental.methods import (
    Batch,
    Classifier,
    Exemplars,
    FixedTotal,
    Method,
    MethodOptions,
    PhaseContext,
    State,
    get_method,
)
from drrpack.trainers.incremental.phase_budget import PhaseBudget
from drrpack.trainers.incremental.phase_data import NEEDS, Need
from drrpack.trainers.incremental.phase_images import PhaseImages
from drrpack.trainers.incremental.results import read_result
from drrpack.trainers.incremental.run_progress import RunProgress
from drrpack.trainers.learning.heads import CosineHead
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18

pytestmark = pytest.mark.usefixtures("one_thread")


def context_of(*needs: Need) -> PhaseContext:
    return PhaseContext(
        phase=1, seen=tuple(ORDER[:6]), new=tuple(ORDER[4:6]), data=DigitsData(8),
        needs=frozenset(needs), recipe=get_recipe("fast", 1, 2), seed=3,
        device=torch.device("cpu"), classes=10,
    )  # fmt: skip


ASKS: dict[Need, Any] = {
    "replayed": lambda context: context.replayed(context.seen),
    "exemplars": lambda context: context.exemplars(ORDER[0]),
    "raw_new": lambda context: context.raw(context.new),
    "raw_seen": lambda context: context.raw(context.seen),
    "ranked": lambda context: context.ranking(ORDER[0]),
}


@pytest.mark.parametrize("need", NEEDS)
def test_what_was_not_declared_is_refused(need: Need) -> None:
    others = [other for other in NEEDS if other not in (need, "raw_seen")]
    with pytest.raises(MethodError) as caught:
        ASKS[need](context_of(*others))
    found, expected = str(caught.value).split("expected")
    assert repr(need) in expected and repr(need) not in found
    ASKS[need](context_of(need))


def test_all_raw_images_hold_the_new_ones() -> None:
    context = context_of("raw_seen")
    context.raw(context.new)
    with pytest.raises(MethodError, match="found needs = nothing"):
        context_of().raw(context.new)


def test_each_part_works_alone() -> None:
    """A method that is given the images alone, or the budget alone, finds the same."""
    context = context_of("replayed", "ranked")
    phase = {"phase": 1, "seen": context.seen, "new": context.new, "seed": 3, "classes": 10}
    images = PhaseImages(**phase, data=DigitsData(8), needs=frozenset({"replayed"}))
    for one, other in zip(
        images.replayed(images.old, 3), context.replayed(context.old, 3), strict=True
    ):
        assert torch.equal(one, other) and len(one) == 4 * 3
    assert images.count(images.seen, 3) == 6 * 3
    with pytest.raises(MethodError, match="'ranked'"):
        images.ranking(ORDER[0])
    assert PhaseBudget(**phase, budget_bytes=1000).room({"models": 500}, 10.0) == 5
    assert PhaseBudget(**phase).room({"models": 500}, 10.0) is None


def test_a_second_training_has_a_stage_of_its_own() -> None:
    context = context_of("replayed")
    images, labels = context.replayed(context.seen)
    seen: list[list[int]] = []

    def loss(network: ResNet18, batch: Batch) -> Tensor:
        seen.append(batch.indices.tolist())
        return F.cross_entropy(network(batch.images), batch.labels)

    first = context.train(images, labels, loss=loss)
    context.train(images, labels, network=first.network, loss=loss, stage="balanced", epochs=2)
    assert [log.stage for log in context.logs] == ["", "balanced"]
    assert [len(log.losses) for log in context.logs] == [1, 2]
    assert seen[0] != seen[1] and sorted(seen[0]) == sorted(seen[1])
    with pytest.raises(MethodError, match="twice in phase 1 as stage 'balanced'"):
        context.train(images, labels, stage="balanced")


def test_a_network_of_the_method_s_own() -> None:
    context = context_of("replayed")
    images, labels = context.replayed(context.seen)
    start = context.build(lambda: ResNet18(context.classes, 2, head=CosineHead, last_relu=False))
    made = context.train(images, labels, network=start).network
    assert isinstance(made.head, CosineHead) and made.seen == 6
    features = context.features(made, images)
    assert features.shape == (48, 16) and (features < 0).any()
    torch.testing.assert_close(context.features(context.snapshot(made), images), features)
    plain, again = context.new_network(), context.new_network()
    assert torch.equal(plain.stem.weight, again.stem.weight)


class Full(Method):
    """All that the interface has, in one method: herding, a nearest mean, distillation, stages."""

    name = "full"
    needs = frozenset({"raw_new"})

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.exemplars, self.teacher = Exemplars(), None

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        old_images, old_labels = self.exemplars.labelled()
        teacher, old = self.teacher, len(self.exemplars.kept)

        def loss(network: ResNet18, batch: Batch) -> dict[str, Tensor]:
            logits = network(batch.images)
            terms = {"cross_entropy": F.cross_entropy(logits, batch.labels)}
            if teacher is not None:
                wanted = teacher(batch.images)[:, :old].softmax(1)
                terms["distillation"] = F.cross_entropy(logits[:, :old], wanted)
            return terms

        both = torch.cat([old_images, images]), torch.cat([old_labels, labels])
        network = context.train(*both, loss=loss, network=teacher).network
        ranked = []
        for label in context.new:
            of_class = context.raw([label])[0]
            order = herd(context.features(network, of_class).double().numpy(), len(of_class))
            ranked.append(of_class[torch.from_numpy(order)])
        self.exemplars.add(ranked, FixedTotal(20))
        head = context.train(
            *self.exemplars.labelled(), network=network, stage="balanced",
            parameters=lambda copied: copied.head.parameters(),
        )  # fmt: skip
        self.teacher = context.snapshot(head.network)
        return context.nearest_mean(network, *self.exemplars.labelled())

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        return {"raw_exemplars": self.exemplars.nbytes}

    def state_dict(self) -> State:
        return {"teacher": self.teacher.state_dict(), **self.exemplars.state_dict()}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        network = context.new_network()
        network.load_state_dict(state["teacher"])
        network.open_head(len(context.seen))
        self.teacher = context.snapshot(network)
        self.exemplars.load_state_dict(state)


def test_a_method_that_uses_all_of_it(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(at: RunProgress) -> None:
        if at.phase == 2 and at.stage == "balanced":
            raise Stopped

    told: list[RunProgress] = []
    settings = SMALL | {"width": 2}
    whole = run(DigitsData(8), Full, out=tmp_path / "whole", report=told.append, **settings)
    last = whole.phases[-1]
    assert set(last.loss_terms) == {"cross_entropy", "distillation", "balanced"}
    assert last.loss_terms["balanced"] == last.losses[1:]
    assert set(whole.phases[0].loss_terms) == {"cross_entropy", "balanced"}
    assert len(last.losses) == 2, "both trainings"
    assert {at.stage for at in told} == {"", "balanced"}
    assert any(set(at.terms) == {"cross_entropy", "distillation"} for at in told)
    shares = [at.fraction for at in told]
    assert shares == sorted(shares) and shares[-1] == 1
    written = json.loads((tmp_path / "whole" / "settings.json").read_text())
    assert written["method_from"] == f"{Full.__module__}:Full"

    with pytest.raises(Stopped):
        run(DigitsData(8), Full, out=tmp_path / "cut", report=stop, **settings)
    resumed = run(DigitsData(8), Full, out=tmp_path / "cut", resume=True, **settings)
    for one, two in zip(resumed.phases, whole.phases, strict=True):
        assert (one.accuracy, one.losses) == (two.accuracy, two.losses)
        assert one.loss_terms == two.loss_terms and one.memory_bytes == two.memory_bytes


def test_a_state_that_no_checkpoint_gives_back(tmp_path: Path) -> None:
    class Arrays(Full):
        name = "arrays"

        def state_dict(self) -> State:
            return {"means": [np.zeros(3)]}

    with pytest.raises(MethodError, match=r"state_dict\['means'\]\[0\] is a numpy.ndarray"):
        run(DigitsData(8), Arrays, out=tmp_path, **(SMALL | {"width": 2}))


# --- what decides a checkpoint -------------------------------------------------------------------

# the names that checkpoints of these settings had before methods had options
BEFORE = {
    "drr": ["drr-0004-f51fcaa85cdc6f94.pt", "drr-0010-fdd31886bcb3c043.pt"],
    "er": ["er-0004-1f73fe5b3ec99078.pt", "er-0010-114e58c633efab3b.pt"],
    "ib-drr": ["ib-drr-0004-b2db990bc7fc2b0f.pt", "ib-drr-0010-ffa26af2bf99ffa7.pt"],
}


@pytest.mark.parametrize("name", BEFORE)
def test_runs_of_before_go_on(name: str, tmp_path: Path) -> None:
    run(DigitsData(8), name, out=tmp_path, **(SMALL | {"phases": 2}))
    found = sorted(path.name for path in (tmp_path / "phases").iterdir())
    assert found[::2] == BEFORE[name]
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert "options" not in settings and "method_from" not in settings


def test_no_run_goes_on_with_a_method_that_works_otherwise_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SMALL | {"phases": 1, "width": 2}

    def files(out: str) -> set[str]:
        return {path.name for path in (tmp_path / out / "phases").iterdir()}

    run(DigitsData(8), "er", out=tmp_path / "run", **settings)
    monkeypatch.setattr(get_method("er"), "revision", 1)
    with pytest.raises(OptionError, match="with other settings: revision was None and is now 1"):
        run(DigitsData(8), "er", out=tmp_path / "run", resume=True, **settings)
    run(DigitsData(8), "er", out=tmp_path / "again", **settings)
    before, now = (read_result(tmp_path / name / "result.json") for name in ("run", "again"))
    assert (before.config.revision, now.config.revision) == (0, 1)
    first, second = grouped([before, now])
    assert "revision 1" in second.name(differing([first, second])), "one is no other seed of both"
    assert files("run").isdisjoint(files("again")), "no checkpoint is shared"


def test_other_options_share_no_checkpoint(tmp_path: Path) -> None:
    shared, settings = tmp_path / "phases", SMALL | {"phases": 1, "width": 2}

    def weigh(weight: float | str, out: str) -> Any:
        more = {"options": {"similarity_weight": weight}, **settings}
        return run(DigitsData(8), "ib-drr", out=tmp_path / out, checkpoints=shared, **more)

    plain = run(DigitsData(8), "ib-drr", out=tmp_path / "plain", **settings)
    same, heavy = weigh(0.005, "same"), weigh("5", "heavy")
    assert [p.losses for p in same.phases] == [p.losses for p in plain.phases]
    assert [p.losses for p in heavy.phases] != [p.losses for p in plain.phases]
    assert same.config.options == {} and heavy.config.options == {"similarity_weight": 5.0}
    names = [
        {path.name for path in (tmp_path / out / "phases").iterdir()}
        for out in ("plain", "same", "heavy")
    ]
    assert names[0] == names[1] and names[0].isdisjoint(names[2])
