"""What makes each published rival that method, against arithmetic of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from protocol_data import ORDER, SMALL, DigitsData, run, small_settings
from torch.nn import functional as F

from drrpack.core.arrays import Labelled
from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.estimate import work_left
from drrpack.trainers.incremental.methods import PhaseContext, get_method
from drrpack.trainers.incremental.methods.expanding import ExpandingMethod
from drrpack.trainers.incremental.methods.foster import (
    FOSTER,
    Boosted,
    FOSTEROptions,
    class_weights,
)
from drrpack.trainers.incremental.methods.gfr import GFR, VIEWS, GFROptions, views
from drrpack.trainers.incremental.methods.icarl import ICaRL, binary_loss
from drrpack.trainers.incremental.methods.lucir import (
    LUCIR,
    LUCIROptions,
    cosine_head,
    imprinted,
    margin_ranking,
)
from drrpack.trainers.incremental.methods.lwf import LwF, LwFOptions, distillation, sum_over_tasks
from drrpack.trainers.incremental.methods.mnemonics import (
    Mnemonics,
    MnemonicsOptions,
    optimised,
    stepped,
)
from drrpack.trainers.incremental.options import make_options
from drrpack.trainers.incremental.protocol import check_runs
from drrpack.trainers.incremental.run_plan import plan_run
from drrpack.trainers.learning import training
from drrpack.trainers.learning.expanding import ExpandingResNet, auxiliary_loss
from drrpack.trainers.learning.nearest_mean import NearestMean
from drrpack.trainers.learning.recipes import Recipe, get_recipe, stretched
from drrpack.trainers.learning.resnet import ResNet18

pytestmark = pytest.mark.usefixtures("one_thread")


RECIPE = replace(get_recipe("fast", width=4), batch_size=16, peak_lr=0.05)


class Watched(DigitsData):
    """Digits that write down of which classes raw training images are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.asked: list[int] = []

    def raw(self, classes: Sequence[int]) -> Labelled:
        self.asked += classes
        return super().raw(classes)


def contexts(name: str, data: DigitsData, epochs: int = 4, **options: Any) -> list[PhaseContext]:
    """A base of four classes, and a phase of two."""
    return [
        PhaseContext(
            phase=phase, seen=tuple(ORDER[: 4 + 2 * phase]),
            new=tuple(ORDER[:4] if phase == 0 else ORDER[4:6]), data=data,
            needs=get_method(name).needs, recipe=stretched(RECIPE, epochs), seed=3 + phase,
            device=torch.device("cpu"), classes=10, **options,
        )
        for phase in (0, 1)
    ]  # fmt: skip


# --- LwF -----------------------------------------------------------------------------------------


def test_distillation_by_hand() -> None:
    rng = np.random.default_rng(0)
    logits, wanted = rng.normal(0, 3, (2, 5, 4))

    def soft(rows: Any) -> Any:  # the paper's equation 4: probabilities to the power 1 / T
        p = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        return p**0.5 / (p**0.5).sum(1, keepdims=True)

    expected = -(soft(wanted) * np.log(soft(logits))).sum(1).mean()
    found = distillation(torch.from_numpy(logits), torch.from_numpy(wanted), 2.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_distillation_pulls_nowhere_from_the_teacher_itself() -> None:
    wanted = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    logits = wanted.clone().requires_grad_()
    distillation(logits, wanted, 2.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-7


def test_each_earlier_phase_has_a_distillation_of_its_own() -> None:
    """Two tasks of two classes each: their softmaxes know nothing of one another."""
    wanted = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    logits = wanted.clone()
    logits[:, 2:4] += 7.0  # one task against the other: no answer within a task changes
    tasks = [slice(0, 2), slice(2, 4)]
    floor = float(sum_over_tasks(wanted, wanted, tasks, 2.0))
    assert float(sum_over_tasks(logits, wanted, tasks, 2.0)) == pytest.approx(floor, abs=1e-6)
    assert float(distillation(logits[:, :4], wanted[:, :4], 2.0)) > floor / 2 + 0.1
    entropy = [
        -(p * p.log()).sum(1).mean() for p in (F.softmax(wanted[:, t] / 2, 1) for t in tasks)
    ]
    assert floor == pytest.approx(float(entropy[0] + entropy[1]), rel=1e-5)


def test_lwf_knows_its_phases_after_a_checkpoint() -> None:
    method, again = LwF(LwFOptions()), LwF(LwFOptions())
    base, second = contexts("lwf", DigitsData(8))
    method.train_phase(base)
    again.load_state_dict(method.state_dict(), base)
    for one in (method, again):
        one.train_phase(replace(second, logs=[]))
        assert one.tasks == [slice(0, 4), slice(4, 6)]
    assert method.network is not None and again.network is not None
    for name, tensor in method.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def moved(weight: float) -> float:
    """How far a phase of LwF moves the old classes' answers on images of the new ones."""
    data, method = Watched(30), LwF(LwFOptions(weight=weight))
    base, second = contexts("lwf", data)
    method.train_phase(base)
    old = method.network
    assert old is not None
    data.asked.clear()
    method.train_phase(second)
    assert set(data.asked) == set(second.new), "it reads no image of old classes"
    assert method.network is not None
    x = torch.from_numpy(data.raw(second.new)[0]).permute(0, 3, 1, 2) / 64 - 2
    with torch.no_grad():
        before, after = (F.softmax(n.eval()(x)[:, :4], 1) for n in (old, method.network))
    return float((before - after).abs().sum(1).mean())


def test_lwf_keeps_old_answers() -> None:
    assert moved(weight=1.0) < 0.5 * moved(weight=0.0)


# --- iCaRL ---------------------------------------------------------------------------------------


def test_the_binary_loss_by_hand() -> None:
    rng = np.random.default_rng(1)
    logits, wanted = rng.normal(0, 2, (3, 5)), rng.normal(0, 2, (3, 2))
    labels = [0, 4, 2]
    targets = np.zeros((3, 5))
    for row, label in enumerate(labels):
        targets[row, label] = 1
    targets[:, :2] = 1 / (1 + np.exp(-wanted))
    p = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    found = binary_loss(torch.from_numpy(logits), torch.tensor(labels), torch.from_numpy(wanted))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_icarls_rate_is_for_batches_of_128(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def rate(recipe: Recipe, *_: Any) -> float:
        rates.append(recipe.peak_lr)
        return 0.0

    monkeypatch.setattr(training, "learning_rate", rate)
    for batch_size in (128, 256):
        base, _ = contexts("icarl", Watched(30), epochs=1, exemplars_per_class=5)
        ICaRL().train_phase(replace(base, recipe=replace(base.recipe, batch_size=batch_size)))
    assert set(rates) == {2.0, 4.0}


def test_icarl_herds_by_its_own_features_and_answers_by_nearest_means() -> None:
    data, method = Watched(30), ICaRL()
    base, second = contexts("icarl", data, exemplars_per_class=5)
    method.train_phase(base)
    data.asked.clear()
    classifier = method.train_phase(second)
    assert set(data.asked) == set(second.new), "old images come from the exemplars alone"
    assert isinstance(classifier, NearestMean) and [len(k) for k in method.exemplars.kept] == 6 * [
        5
    ]

    network = method.network
    assert isinstance(network, ResNet18)

    def unit(images: Any) -> Any:
        x = torch.as_tensor(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            features = network.eval().features((x - 0.5) / 0.25).double().numpy()
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    pool = data.raw([second.new[0]])[0]
    features, chosen = unit(pool), []  # algorithm 4, one by one
    assert features.min() < 0 < features.max(), "not cut at zero"
    for count in range(1, 6):
        gap = [
            np.linalg.norm(features.mean(0) - features[[*chosen, row]].sum(0) / count)
            if row not in chosen else np.inf
            for row in range(len(pool))
        ]  # fmt: skip
        chosen.append(int(np.argmin(gap)))
    np.testing.assert_array_equal(method.exemplars.kept[4].numpy(), pool[chosen])

    means = []
    for images in method.exemplars.kept:
        mean = (unit(images.numpy()) + unit(images.numpy()[:, :, ::-1])).mean(0)
        means.append(mean / np.linalg.norm(mean))
    seen, _ = data.test(second.seen)
    distances = np.linalg.norm(unit(seen)[:, None] - np.stack(means), axis=2)
    told = classifier.predict(torch.from_numpy(seen)).numpy()
    assert (told == distances.argmin(1)).mean() > 0.99  # but for ties within rounding


# --- LUCIR ---------------------------------------------------------------------------------------


def test_the_margin_by_hand() -> None:
    found = torch.tensor(
        [
            [0.9, 0.1, 0.3, 0.5, 0.2],  # of class 0; the nearest new ones are at 0.5 and 0.3
            [0.2, 0.4, 0.3, 0.1, 0.6],  # of class 1; 0.6 and 0.3
            [0.8, 0.1, 0.9, 0.0, 0.0],  # of class 2, which is new and does not count
        ]
    )
    labels = torch.tensor([0, 1, 2])
    wanted = np.mean([0.5 - 0.4, 0.0, 0.5 + 0.2, 0.5 - 0.1])
    assert float(margin_ranking(found, labels, 2, margin=0.5, nearest=2)) == pytest.approx(wanted)
    theirs = F.margin_ranking_loss(
        torch.tensor([0.9, 0.9, 0.4, 0.4]), torch.tensor([0.5, 0.3, 0.6, 0.3]), torch.ones(4),
        margin=0.5,
    )  # fmt: skip
    assert float(theirs) == pytest.approx(wanted)


@cache
def phases_of_lucir(
    epochs: int = 4, **options: Any
) -> tuple[LUCIR, ResNet18, ResNet18, PhaseContext]:
    """A method after two phases, its network after each, and the second phase's context.

    Tests share what the same options give, and change none of it.
    """
    method = LUCIR(LUCIROptions(**options))
    base, second = contexts("lucir", Watched(30), epochs, exemplars_per_class=5)
    method.train_phase(base)
    first = method.network
    method.train_phase(second)
    assert first is not None and method.network is not None
    return method, first, method.network, second


def test_lucir_keeps_the_vectors_of_old_classes() -> None:
    _, first, second, context = phases_of_lucir()
    before, after = (cosine_head(n).weight.detach() for n in (first, second))
    assert torch.equal(before[:4], after[:4]), "their lengths, too"
    assert float(F.cosine_similarity(before[4:6], after[4:6]).max()) < 0.99
    assert {log.stage for log in context.logs} == {""}
    assert set(context.logs[0].terms) == {"cross_entropy", "less_forget", "margin"}


def test_features_have_both_signs() -> None:
    _, first, _, context = phases_of_lucir()
    features = context.features(first, context.raw(context.new)[0])
    assert float(features.min()) < 0 < float(features.max())


def test_less_forget_keeps_directions() -> None:
    def turned(weight: float) -> float:
        _, first, second, context = phases_of_lucir(16, less_forget=weight)
        images = context.raw(context.new)[0]
        old, new = (context.features(network, images) for network in (first, second))
        return 1 - float(F.cosine_similarity(old, new).mean())

    assert turned(5.0) < 0.5 * turned(0.0)


def test_new_classes_start_as_the_mean_direction_of_their_features() -> None:
    _, first, _, context = phases_of_lucir()
    start = imprinted(context, first)
    weight = cosine_head(start).weight.detach()
    lengths = weight[:6].norm(dim=1)
    assert float(lengths[4]) == pytest.approx(float(lengths[:4].mean()), rel=1e-5)
    features = context.features(first, context.raw([context.new[1]])[0]).numpy()
    mean = (features / np.linalg.norm(features, axis=1, keepdims=True)).mean(0)
    np.testing.assert_allclose(
        weight[5].numpy() / np.linalg.norm(weight[5].numpy()),
        mean / np.linalg.norm(mean),
        atol=1e-5,
    )
    assert torch.equal(cosine_head(first).weight[:4], weight[:4]), "old ones as they were"


def test_balanced_fine_tuning_is_of_the_head_alone() -> None:
    method, _, second, context = phases_of_lucir(balanced_epochs=2)
    assert [log.stage for log in context.logs] == ["", "balanced"]
    _, _, plain, _ = phases_of_lucir()
    for name, one in second.state_dict().items():  # the moments of batch norms included
        assert torch.equal(one, plain.state_dict()[name]) == (not name.startswith("head")), name
    assert len(method.exemplars) == 6 * 5


# --- Mnemonics -----------------------------------------------------------------------------------


def test_a_step_of_the_head_by_numerical_differences() -> None:
    chance = np.random.default_rng(0)
    weight, features = chance.normal(0, 1, (3, 4)), chance.normal(0, 1, (5, 4))
    labels = [0, 2, 1, 1, 0]

    def loss(vectors: Any) -> float:
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, vectors)]
        logits = 2.0 * unit[0] @ unit[1].T
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return float(-log_p[range(5), labels].mean())

    expected = weight.copy()
    for place in np.ndindex(weight.shape):
        more, less = weight.copy(), weight.copy()
        more[place] += 1e-5
        less[place] -= 1e-5
        expected[place] -= 0.1 * (loss(more) - loss(less)) / 2e-5
    given = (torch.from_numpy(part) for part in (weight, features))
    found = stepped(*given, torch.tensor(labels), torch.tensor(2.0), 0.1)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-7)


def test_mnemonics_optimises_exemplars_of_the_new_classes() -> None:
    data = Watched(30)
    options = {"exemplar_epochs": 20, "exemplar_rate": 0.02, "balanced_epochs": 2}
    method = Mnemonics(MnemonicsOptions(**options))  # type: ignore[arg-type]
    base, second = contexts("mnemonics", data, exemplars_per_class=3)
    method.train_phase(base)
    first = [kept.clone() for kept in method.exemplars.kept]
    raw = data.raw(base.new)[0]
    assert not any((raw == image.numpy()).all((1, 2, 3)).any() for image in first[0])
    data.asked.clear()
    method.train_phase(second)
    assert set(data.asked) == set(second.new), "old images come from the exemplars alone"
    kept = method.exemplars.kept
    assert [len(images) for images in kept] == 6 * [3]
    assert all(torch.equal(one, other) for one, other in zip(first, kept, strict=False))
    assert [log.stage for log in second.logs] == ["", "balanced"]


@pytest.mark.parametrize("transfer", [True, False])
def test_kernels_of_mnemonics_keep_their_direction(transfer: bool) -> None:
    data = Watched(30)
    method = Mnemonics(MnemonicsOptions(weight_transfer=transfer))
    base, second = contexts("mnemonics", data, exemplars_per_class=3)
    method.train_phase(base)
    assert method.network is not None
    before = method.network.state_dict()
    method.train_phase(second)
    after = method.network.state_dict()
    assert after.keys() == before.keys()
    kernels = [name for name, weight in after.items() if weight.ndim == 4 and weight.shape[2] == 3]
    for name in kernels:
        alike = F.cosine_similarity(after[name].flatten(2), before[name].flatten(2), dim=2)
        assert bool((alike.abs() > 1 - 1e-5).all()) == transfer, name
    assert len(kernels) > 16


def test_a_head_learns_more_from_optimised_exemplars() -> None:
    data = Watched(30)
    base, _ = contexts("mnemonics", data, exemplars_per_class=3)
    method = LUCIR(LUCIROptions())
    method.train_phase(base)
    network = method.network
    assert network is not None
    herded, labels = method.exemplars.labelled()
    options = MnemonicsOptions(exemplar_epochs=20, exemplar_rate=0.02)
    better = optimised(base, network, herded, labels, 0, options)
    assert better.shape == herded.shape and better.dtype == torch.uint8
    images, wanted = base.raw(base.new)
    features = base.features(network, images)
    head = cosine_head(network)

    def loss(exemplars: Any) -> float:
        own = base.features(network, exemplars)
        start = head.weight[:4].detach()
        vectors = stepped(start, own, labels, head.scale.detach(), options.inner_rate)
        unit = F.normalize(features) @ F.normalize(vectors.detach()).T
        return float(F.cross_entropy(head.scale.detach() * unit, wanted))

    assert loss(better) < loss(herded)


# --- DER and MEMO --------------------------------------------------------------------------------


def phases_of(name: str) -> tuple[ExpandingMethod, ExpandingResNet, ExpandingResNet, Any]:
    """A method after two phases, its network after each, and both contexts."""
    method = get_method(name)()
    assert isinstance(method, ExpandingMethod)
    both = contexts(name, Watched(30), exemplars_per_class=5)
    method.train_phase(both[0])
    first = method.network
    method.train_phase(both[1])
    assert first is not None and method.network is not None
    return method, first, method.network, both


def test_the_auxiliary_labels_by_hand() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 4, 5, 2])  # of four old classes and two new ones
    expected = F.cross_entropy(logits, torch.tensor([0, 0, 1, 2, 0]))
    assert float(auxiliary_loss(logits, labels, 4)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ["der", "memo"])
def test_what_an_earlier_phase_trained_stays_as_it_was(name: str) -> None:
    method, first, second, (base, context) = phases_of(name)
    old, new = first.state_dict(), second.state_dict()
    for key, value in old.items():
        if key.startswith(("trunk.", "branches.")):  # running moments of batch norms as well
            assert torch.equal(value, new[key]), key
    images = context.raw(context.new)[0]
    before, after = (context.features(network, images) for network in (first, second))
    assert (before.shape[1], after.shape[1]) == (32, 64)
    torch.testing.assert_close(before, after[:, :32])
    assert not torch.equal(new["branches.0.0.conv1.weight"], new["branches.1.0.conv1.weight"])

    added = sum(ResNet18(1, 4).blocks[6:].state_dict()[k].nbytes for k in _deep())
    if name == "der":
        added = sum(v.nbytes for k, v in ResNet18(1, 4).state_dict().items() if "head" not in k)
    grown = method.memory_bytes(context)["networks"] - method.memory_bytes(base)["networks"]
    heads = 4 * (32 * 10 - 2 * 33)  # 32 more features for ten classes; auxiliary: 5 outputs to 3
    assert grown == added + heads


def _deep() -> list[str]:
    return list(ResNet18(1, 4).blocks[6:].state_dict())


def test_the_head_of_der_is_trained_anew_on_a_balance_of_classes() -> None:
    method, _, _, (_, context) = phases_of("der")
    assert [log.stage for log in context.logs] == ["", "head"]
    assert len(context.logs[1].losses) == 30
    assert [len(kept) for kept in method.exemplars.kept] == 6 * [5]


def test_the_vectors_of_memo_have_one_length() -> None:
    _, _, second, (_, context) = phases_of("memo")
    lengths = second.head.weight.detach().norm(dim=1)
    assert float(lengths[:4].mean()) == pytest.approx(float(lengths[4:6].mean()), rel=1e-5)
    assert [log.stage for log in context.logs] == [""]
    assert len(second.trunk) == 1 and len(second.branches) == 2


# --- FOSTER --------------------------------------------------------------------------------------


def test_class_weights_by_hand() -> None:
    few, many = (1 - 0.9) / (1 - 0.9**2), (1 - 0.9) / (1 - 0.9**50)
    wanted = [2 * few / (few + many), 2 * many / (few + many)]
    assert class_weights([2, 50], 0.9).tolist() == pytest.approx(wanted, rel=1e-6)
    assert class_weights([7, 7, 7], 0.97).tolist() == pytest.approx(3 * [1.0])


def test_the_balanced_distillation_by_hand() -> None:
    rng = np.random.default_rng(2)
    logits, wanted = rng.normal(0, 3, (2, 4, 3))
    weights = np.array([1.5, 0.5, 1.0])
    q = np.exp(wanted / 2) / np.exp(wanted / 2).sum(1, keepdims=True) * weights
    q /= q.sum(1, keepdims=True)
    p = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    found = distillation(
        torch.from_numpy(logits), torch.from_numpy(wanted), 2.0, torch.from_numpy(weights)
    )
    assert float(found) == pytest.approx(-(q * np.log(p)).sum(1).mean(), rel=1e-5)


def test_foster_boosts_what_it_leaves_as_it_is_and_compresses_it_to_one_network() -> None:
    data, method = (
        Watched(30),
        FOSTER(FOSTEROptions(compression_balance=0.0, compression_epochs=30)),
    )
    base, second = contexts("foster", data, epochs=16, exemplars_per_class=5)
    method.train_phase(base)
    first, size = method.network, method.memory_bytes(base)["old_network"]
    assert first is not None
    before = {name: value.clone() for name, value in first.state_dict().items()}
    data.asked.clear()
    grown: list[Boosted] = []
    keep = method._boosted
    method._boosted = lambda *given: grown.append(keep(*given)) or grown[0]  # type: ignore[method-assign, func-returns-value]
    method.train_phase(second)
    assert set(data.asked) == set(second.new), "old images come from the exemplars alone"
    boosted = grown[0]
    for name, value in before.items():
        assert torch.equal(value, boosted.last.state_dict()[name]), name
    assert not torch.equal(before["stem.weight"], boosted.fresh.stem.weight)
    assert [log.stage for log in second.logs] == ["", "compression"]
    assert set(second.logs[0].terms) == {"cross_entropy", "own_features", "distillation"}
    assert isinstance(method.network, ResNet18), "what is kept and tested is one network"
    assert method.memory_bytes(second)["old_network"] == size

    x = torch.from_numpy(data.raw(second.seen)[0]).permute(0, 3, 1, 2).float() / 64 - 2
    with torch.no_grad():
        told, both, old = (n.eval()(x)[:, :6].argmax(1) for n in (method.network, boosted, first))
    assert (told == both).float().mean() > (told == old).float().mean()


# --- GFR -----------------------------------------------------------------------------------------


def test_gfr_reads_no_image_of_old_classes() -> None:
    data, method = Watched(30), GFR(GFROptions(gan_epochs=2, hidden=16, noise=4))
    base, second = (replace(one, last_phase=2) for one in contexts("gfr", data))
    method.train_phase(base)
    last = method.network
    data.asked.clear()
    method.train_phase(second)
    assert set(data.asked) == set(second.new)
    assert set(second.logs[0].terms) == {"cross_entropy", "drawn", "distillation"}
    assert last is not None and method.network is not None and method.gan is not None
    for (name, one), (_, other) in zip(
        last.named_buffers(), method.network.named_buffers(), strict=True
    ):
        assert torch.equal(one, other), f"{name}: batch norms stay as they were"
    parts = method.memory_bytes(second)
    weights = [sum(t.nbytes for t in part.state_dict().values()) for part in method.gan]
    assert parts["gan"] == sum(weights) and "raw_exemplars" not in parts


def test_drawn_features_keep_the_old_vectors_of_the_head_apart() -> None:
    """Of features that the last network made, the new head still tells the old classes."""
    data = Watched(30)
    options = GFROptions(
        learning_rate=8e-3, gan_epochs=400, gan_learning_rate=2e-3, hidden=64, noise=8
    )

    first = GFR(options)
    base, _ = (replace(one, last_phase=2) for one in contexts("gfr", data, epochs=12))
    first.train_phase(base)

    def told(drawn: bool) -> float:
        method = deepcopy(first)
        _, second = (replace(one, last_phase=2) for one in contexts("gfr", data, epochs=12))
        if not drawn:
            method.gan = None  # the next phase has but the cross-entropy of its own classes
        method.train_phase(second)
        images, labels = base.raw(base.new)
        return float((second.classifier(method.network).predict(images) == labels).float().mean())  # type: ignore[type-var]

    assert told(True) > told(False) + 0.2


def test_feature_distillation_holds_features() -> None:
    def moved(weight: float) -> float:
        data = Watched(30)
        method = GFR(GFROptions(distillation=weight, gan_epochs=2, hidden=16, noise=4))
        base, second = (replace(one, last_phase=2) for one in contexts("gfr", data))
        method.train_phase(base)
        before = method.network
        method.train_phase(second)
        images = second.raw(second.new)[0]
        assert before is not None and method.network is not None
        old, new = (second.features(n, images) for n in (before, method.network))
        return float((old - new).norm(dim=1).mean())

    assert moved(1.0) < 0.5 * moved(0.0)


def test_a_gan_sees_images_as_training_does() -> None:
    base, _ = contexts("gfr", Watched(30))
    network = base.new_network()
    images, labels = base.raw(base.new)
    found = views(base, network, images, labels)
    plain = base.features(network, images)
    assert found.shape == (VIEWS, *plain.shape)
    apart = torch.cdist(found.flatten(1), found.flatten(1))
    assert (apart + torch.eye(VIEWS) > 0).all(), "no view is another one"
    side, pad = 16, 2  # an eighth of it
    padded = np.pad(images.numpy(), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    places = range(2 * pad + 1)
    shifted = [padded[:, y : y + side, x : x + side] for y in places for x in places]
    every = np.stack([shown for one in shifted for shown in (one, one[:, :, ::-1])])
    may_be = base.features(network, torch.from_numpy(every.reshape(-1, side, side, 3)))
    may_be = may_be.reshape(len(every), len(images), -1)  # all that its own image can look like
    for view in found:
        assert float((may_be - view).abs().amax(2).amin(0).max()) < 1e-4
    assert torch.equal(found, views(base, network, images, labels))


def test_gfr_follows_the_batch_as_published_for_128() -> None:
    method = GFR()
    for size, rate in ((128, 1e-3), (256, 2e-3), (64, 5e-4)):
        base, _ = contexts("gfr", Watched(8))
        recipe = replace(base.recipe, batch_size=size)
        assert method._recipe(replace(base, recipe=recipe)).peak_lr == pytest.approx(rate)


def test_the_last_phase_needs_no_gan() -> None:
    method = GFR(GFROptions(gan_epochs=2, hidden=16, noise=4))
    base, second = contexts("gfr", Watched(30))
    method.train_phase(replace(base, last_phase=1))
    learned = method.gan
    method.train_phase(replace(second, last_phase=1))
    assert method.gan is learned and learned is not None


# --- what is looked at ---------------------------------------------------------------------------


class Unranked(DigitsData):
    """Its codes can't be read."""

    def ranking(self, label: int) -> Any:
        raise AssertionError("nobody asks for the order of images")

    replayed = ranking


@pytest.mark.parametrize("budget", [None, 5_000_000])
@pytest.mark.parametrize("name", ["icarl", "lucir", "mnemonics", "foster", "der", "memo"])
def test_no_codes_are_decoded_where_a_network_chooses(
    name: str, budget: int | None, tmp_path: Path
) -> None:
    """Exemplars are herded by the features of a network, so a run need not wait for the codec."""
    settings = small_settings(name, budget_bytes=budget)
    planned = plan_run(Unranked(8), settings, tmp_path)
    check_runs([planned])
    assert work_left([planned], 1) > 0


# --- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["er", "icarl", "lucir", "mnemonics", "der", "memo", "foster"])
def test_a_budget_holds_to_the_last_phase(name: str, tmp_path: Path) -> None:
    options = SMALL | {"phases": 3, "width": 2}
    free = run(DigitsData(8), name, out=tmp_path / "free", **options)
    budget = free.memory_bytes["total"] - free.memory_bytes["raw_exemplars"] // 2
    kept = run(DigitsData(8), name, out=tmp_path / "kept", budget_bytes=budget, **options)
    assert all(phase.memory_bytes <= budget for phase in kept.phases)
    assert kept.memory_bytes["raw_exemplars"] > 0
    least = free.memory_bytes["total"] - free.memory_bytes["raw_exemplars"]
    with pytest.raises(OptionError, match="is too little for one image a class"):
        run(DigitsData(8), name, out=tmp_path / "none", budget_bytes=least, **options)
    assert not list((tmp_path / "none").rglob("*.pt")), "it is said before any training"


@pytest.mark.parametrize("name", ["finetune", "lwf", "gfr"])
def test_a_budget_that_a_network_alone_exceeds(name: str, tmp_path: Path) -> None:
    options = SMALL | {"phases": 1, "width": 2}
    kept = run(DigitsData(8), name, out=tmp_path / "free", **options).memory_bytes["total"]
    run(DigitsData(8), name, out=tmp_path / "kept", budget_bytes=kept, **options)
    with pytest.raises(OptionError, match="is too little for what the method keeps") as caught:
        run(DigitsData(8), name, out=tmp_path / "none", budget_bytes=kept - 1, **options)
    least = float(re.search(r"at least ([\d.]+) MB", str(caught.value))[1])  # type: ignore[index]
    assert kept / 1e6 <= least < kept / 1e6 + 0.001, "the advice is enough"
    assert not list((tmp_path / "none").rglob("*.pt"))


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lwf", {"temperature": 0}, "found temperature=0.0, expected more than 0"),
        ("lwf", {"weight": -1}, "found weight=-1.0, expected 0 or more"),
        ("icarl", {"learning_rate": -1.0}, "found learning_rate=-1.0, expected more than 0"),
        ("lucir", {"margin_classes": 0}, "found margin_classes=0, expected 1 or more"),
        ("lucir", {"balanced_epochs": -1}, "found balanced_epochs=-1, expected 0 or more"),
        ("der", {"temperature": "0"}, "found temperature=0.0, expected more than 0"),
        ("foster", {"boosting_balance": 1.0}, "found boosting_balance=1.0, expected less than 1"),
        ("foster", {"compression_epochs": 0}, "found compression_epochs=0, expected 1 or more"),
        ("gfr", {"gan_epochs": 0}, "found gan_epochs=0, expected 1 or more"),
        ("mnemonics", {"inner_steps": 0}, "found inner_steps=0, expected 1 or more"),
        ("mnemonics", {"margin_classes": 0}, "found margin_classes=0, expected 1 or more"),
        ("memo", {"auxiliary": -0.1}, "found auxiliary=-0.1, expected 0 or more"),
    ],
)
def test_options_that_make_no_sense(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=f"{name}'s options: {words}"):
        make_options(get_method(name).Options, name, options)
