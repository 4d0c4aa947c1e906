"""DRR with soft labels: what is kept of a teacher's answers, and what they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, small_settings
from test_methods import context_of
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.methods import PhaseContext, get_method
from drrpack.trainers.incremental.methods.drr_soft import SoftDRR, SoftOptions
from drrpack.trainers.incremental.run_progress import RunProgress
from drrpack.trainers.learning.classifier import NetworkClassifier
from drrpack.trainers.learning.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")


def cross_entropy(method: str, out: Path, **options: Any) -> list[float | None]:
    """The mean loss of the hard labels in the last phase, and the accuracies of all phases."""
    result = run(DigitsData(8), method, out=out, **(SMALL | {"phases": 2, "epochs": 2} | options))
    last = result.phases[-1]
    losses = last.loss_terms["cross_entropy"] if last.loss_terms else last.losses
    return [*losses, *(phase.accuracy for phase in result.phases)]


def test_without_weight_it_is_drr(tmp_path: Path) -> None:
    plain = cross_entropy("drr", tmp_path / "drr")
    assert cross_entropy("drr-soft", tmp_path / "0", options={"weight": 0.0}) == plain
    assert cross_entropy("drr-soft", tmp_path / "half", options={"weight": 0.5}) != plain


def test_answers_are_those_of_a_classifier_of_raw_images() -> None:
    data = DigitsData(8)
    method, context = SoftDRR(SoftOptions(kept=2)), context_of("drr-soft", seen=4, new=4, data=data)
    method.train_phase(context)
    (answers,) = method.answers

    twin = context_of("drr-soft", seen=4, new=4, data=data)
    images, labels = twin.raw(twin.new)
    teacher = twin.train(images, labels, stage="teacher").network.eval()
    with torch.inference_mode():
        chances = F.softmax(teacher((images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)[:, :4], 1)
    order = chances.argsort(1, descending=True)[:, :2]
    assert answers.classes.tolist() == order.tolist()
    kept, wanted = answers.steps.double() / 255, chances.double().gather(1, order)
    assert torch.allclose(kept, wanted / wanted[:, :1], atol=0.501 / 255)


def test_later_phases_tell_new_classes_from_each_other_alone() -> None:
    method, context = SoftDRR(SoftOptions(kept=5)), context_of("drr-soft", seen=6, new=2)
    answers = method._taught(context, None)
    assert len(answers.classes) == 2 * 8, "of the new classes alone"
    assert set(answers.classes[:, :2].flatten().tolist()) == {4, 5}, "of six classes the last two"
    assert not answers.steps[:, 2:].any(), "there are but two classes to tell apart"
    assert answers.steps[:, 0].tolist() == 16 * [255]


class Undecided(Network):
    """Finds all of its classes about as likely, whatever it is shown: the second a little more."""

    feature_size = 1

    def features(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), 1)

    def classify(self, features: Tensor) -> Tensor:
        logits = features.new_zeros(len(features), 1000)
        logits[:, 1], logits[:, 0] = 0.2, 0.1
        return logits


def test_an_undecided_teacher_of_many_classes_leaves_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of 1,000 classes has less than half of 1/255."""
    data, order = DigitsData(1), tuple(range(1000))
    context = replace(context_of("drr-soft", data=data), seen=order, new=order, classes=1000)
    images = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    monkeypatch.setattr(PhaseContext, "raw", lambda *_: (images, torch.zeros(2).long()))
    monkeypatch.setattr(
        PhaseContext, "train", lambda *_, **__: NetworkClassifier(Undecided(), torch.device("cpu"))
    )
    answers = SoftDRR(SoftOptions(kept=3))._taught(context, None)
    assert answers.classes[:, :2].tolist() == [[1, 0], [1, 0]]
    wanted = 255 * torch.tensor([0.0, -0.1, -0.2]).exp()
    assert answers.steps.tolist() == 2 * [wanted.round().int().tolist()] == 2 * [[255, 231, 209]]


def test_progress_never_runs_backwards(tmp_path: Path) -> None:
    """The teacher is trained before the network: its phase has not begun then."""
    told: list[RunProgress] = []
    small = SMALL | {"phases": 1, "epochs": 2, "width": 2}
    run(DigitsData(4), "drr-soft", out=tmp_path, report=told.append, **small)
    done = [at.fraction for at in told]
    assert done == sorted(done) and done[-1] == 1.0
    assert {at.fraction for at in told if at.stage == "teacher"} == {0.0, 4 / (4 + 10)}


def test_a_class_and_a_probability_are_a_byte_each(tmp_path: Path) -> None:
    result = run(DigitsData(8), "drr-soft", out=tmp_path, **(SMALL | {"phases": 2}))
    kept = [phase.memory_bytes - 75_000 for phase in result.phases]
    assert kept == [4 * 8 * 6, 7 * 8 * 6, 10 * 8 * 6]
    assert result.memory_bytes["soft_labels"] == 10 * 8 * 6
    assert result.memory_bytes["total"] == 75_000 + 10 * 8 * 6


def test_a_budget_pays_for_codes_and_soft_labels(tmp_path: Path) -> None:
    # 5,000 bytes of payload are 62.5 of an image, and 6 are its soft label: 3 images of each class
    budget = 70_000 + 10 * 3 * 69
    result = run(
        DigitsData(8), "drr-soft", out=tmp_path, **(SMALL | {"phases": 2, "budget_bytes": budget})
    )
    assert result.memory_bytes["soft_labels"] == 10 * 3 * 6
    assert 70_000 + 10 * 3 * 68 <= result.memory_bytes["total"] <= budget


def test_options_out_of_range_are_refused() -> None:
    assert get_method("drr-soft") is SoftDRR
    for name, value, told in (
        ("weight", 1.5, "found weight=1.5, expected 1 or less"),
        ("temperature", 0.0, "expected more than 0"),
        ("kept", 0, "found kept=0, expected 1 or more"),
    ):
        with pytest.raises(OptionError, match=told):
            small_settings("drr-soft", options={name: value})
