"""What policies keep: against a naive second implementation, and against probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drrpack.core.errors import MethodError, OptionError
from drrpack.formats.replay.content import Content
from drrpack.formats.replay.policies import POLICIES, Arrival, Policy, policy_of

ROW, CLASS = 4, 24  # bytes of an image here, and of a class
Grid = NDArray[np.float64]
Kept = dict[int, list[int]]  # the numbers of the images of each label, the oldest first


class Stream:
    """A content whose rows are the numbers of the images, shown one by one."""

    def __init__(self, policy: str | Policy, budget: int, seed: int = 0) -> None:
        self.policy, self.budget = policy_of(policy), budget
        self.random = np.random.default_rng(seed)
        self.content, self.shown = Content(ROW), 0

    def show(self, label: int) -> None:
        row = np.frombuffer(self.shown.to_bytes(ROW, "big"), np.uint8)
        self.shown += 1
        self.content.offer(label, row, self.policy, self.budget, self.random)

    @property
    def kept(self) -> Kept:
        content = self.content
        return {
            label: [int.from_bytes(row.tobytes(), "big") for row in rows]
            for label, rows in zip(content.labels, content.rows, strict=True)
        }


def capacity(budget: int, labels: Collection[int]) -> int:
    return (budget - CLASS * len(set(labels))) // ROW


def naive_ring(labels: Sequence[int], budget: int) -> Kept:
    """The newest of each class, and in the end an equal share of what fits."""
    kept: Kept = {}
    for number, label in enumerate(labels):
        kept.setdefault(label, []).append(number)
        share = capacity(budget, kept) // len(kept)
        kept = {each: numbers[-share:] for each, numbers in kept.items()}
    return kept


LABELS = st.lists(st.integers(0, 5), min_size=150, max_size=150)
ROOM = 6 * CLASS + 6 * ROW  # one image of each of six classes


@settings(max_examples=35, deadline=None)
@given(labels=LABELS, room=st.integers(0, 200), name=st.sampled_from(sorted(POLICIES)))
def test_a_stream_against_a_dictionary(labels: list[int], room: int, name: str) -> None:
    """5,250 images in all; two more tests make it 15,750."""
    stream, budget = Stream(name, ROOM + room, seed=room), ROOM + room
    for number, label in enumerate(labels):
        before = stream.kept
        stream.show(label)
        kept = stream.kept
        so_far = labels[: number + 1]
        images = sum(map(len, kept.values()))
        assert stream.content.bytes == CLASS * len(set(so_far)) + ROW * images <= budget
        assert all(labels[image] == each for each, ids in kept.items() for image in ids)
        assert all(ids == sorted(ids) for ids in kept.values()), "not from old to new"
        old = {image for ids in before.values() for image in ids}
        assert {image for ids in kept.values() for image in ids} <= old | {number}
        assert dict(zip(stream.content.labels, stream.content.seen, strict=True)) == Counter(so_far)
        assert list(kept) == list(dict.fromkeys(so_far)), "classes in the order of the stream"
        if name != "ring":
            assert images == min(len(old) + 1, capacity(budget, so_far))


@settings(max_examples=35, deadline=None)
@given(labels=LABELS, room=st.integers(0, 200))
def test_ring_against_lists(labels: list[int], room: int) -> None:
    stream = Stream("ring", ROOM + room)
    for label in labels:
        stream.show(label)
    assert stream.kept == naive_ring(labels, ROOM + room)


@settings(max_examples=50, deadline=None)
@given(
    order=st.permutations(range(10)), more=st.lists(st.integers(0, 9), max_size=30),
    fitting=st.integers(1, 9),
)  # fmt: skip
def test_a_ring_of_more_classes_than_images(
    order: list[int], more: list[int], fitting: int
) -> None:
    """It is full all the same, with one image each of as many classes as that."""
    stream = Stream("ring", 10 * CLASS + fitting * ROW)
    for label in [*order, *more]:
        stream.show(label)
    sizes = [len(ids) for ids in stream.kept.values()]
    assert len(sizes) == 10 and max(sizes) == 1 and sum(sizes) == fitting


@settings(max_examples=35, deadline=None)
@given(order=st.permutations([0] * 50 + [1] * 50 + [2] * 50), room=st.integers(0, 60))
def test_class_balance_in_any_order(order: list[int], room: int) -> None:
    stream = Stream("class-balanced", ROOM + room, seed=room)
    for label in order:
        stream.show(label)
    sizes = [len(ids) for ids in stream.kept.values()]
    assert max(sizes) - min(sizes) <= 1 and sum(sizes) == capacity(ROOM + room, order)


def test_balance_of_a_class_that_comes_late_and_of_a_rare_one() -> None:
    stream = Stream("class-balanced", 3 * CLASS + 30 * ROW)
    for label in [0] * 500 + [1] * 4 + [2] * 500:
        stream.show(label)
    assert {label: len(ids) for label, ids in stream.kept.items()} == {0: 13, 1: 4, 2: 13}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_copy_stays_as_it_was(name: str) -> None:
    stream = Stream(name, 3 * CLASS + 5 * ROW)
    for label in (0, 1, 1, 0):
        stream.show(label)
    copy, kept = stream.content.copy(), stream.kept
    for label in (1, 2, 0, 1, 2):
        stream.show(label)
    stream.content, now = copy, stream.kept
    assert stream.kept == kept != now
    assert (copy.labels, copy.seen, copy.bytes) == ([0, 1], [2, 2], 2 * CLASS + 4 * ROW)


# --- probabilities: fixed seeds, and margins of five standard deviations ---

TRIALS = 1200


def trials(policy: str, labels: Sequence[int], budget: int) -> Grid:
    """Which images of a stream were kept in the end: (trials, images)."""
    found = np.zeros((TRIALS, len(labels)))
    for trial in range(TRIALS):
        stream = Stream(policy, budget, seed=trial)
        for label in labels:
            stream.show(label)
        found[trial, [image for ids in stream.kept.values() for image in ids]] = 1
    return found


def check_uniform(kept: Grid, share: float) -> None:
    """Each image is kept as often as any other, and the kept ones are neither old nor new."""
    deviation = (share * (1 - share) / len(kept)) ** 0.5
    np.testing.assert_allclose(kept.mean(0), share, atol=5 * deviation)
    images = kept.shape[1]
    places = (kept * np.arange(images)).sum(1) / kept.sum(1)  # of a trial's images, the mean
    middle, deviation = (images - 1) / 2, float(places.std()) / len(kept) ** 0.5
    assert places.mean() == pytest.approx(middle, abs=5 * deviation)


@pytest.mark.parametrize(
    "labels", [[0] * 40, [0] * 20 + [1] * 10 + [2] * 10, [0, 1, 2, 3] * 10], ids=["1", "3", "4"]
)
def test_a_reservoir_is_uniform(labels: list[int]) -> None:
    """Also where classes that come late take room from the images."""
    fitting = 10
    kept = trials("reservoir", labels, CLASS * len(set(labels)) + ROW * fitting)
    assert (kept.sum(1) == fitting).all()
    check_uniform(kept, fitting / len(labels))


def test_a_class_is_uniform_where_classes_are_balanced() -> None:
    """With an odd image, so that a class which has lost images is often the smaller one."""
    labels = np.array([0] * 24 + [1] * 16 + [0, 1] * 8)
    kept = trials("class-balanced", labels.tolist(), 2 * CLASS + ROW * 13)
    assert (kept.sum(1) == 13).all()
    for label in (0, 1):
        mine = kept[:, labels == label]
        assert set(mine.sum(1)) <= {6, 7}
        check_uniform(mine, float(mine.mean()))


class Answers:
    """A generator that answers the first question with a given number, and then with the least."""

    def __init__(self, first: int) -> None:
        self.answers, self.below = [first], list[int]()

    def integers(self, high: int) -> int:
        self.below.append(int(high))
        return self.answers.pop() if self.answers else 0

    def choice(self, places: int, count: int, replace: bool) -> list[int]:
        return list(range(count))


@pytest.mark.parametrize("name", ["reservoir", "class-balanced"])
@pytest.mark.parametrize(("fitting", "seen"), [(1, 2), (3, 4), (3, 7), (5, 50)])
def test_the_chance_of_a_new_image(name: str, fitting: int, seen: int) -> None:
    """Exactly ``fitting`` of ``seen``, which so many trials as above could not tell."""
    arrival = Arrival(np.array([fitting + 1]), np.array([seen]), 0, fitting)
    kept = 0
    for first in range(seen):
        random = Answers(first)
        kept += arrival.newest not in policy_of(name).leaving(arrival, random)  # type: ignore[arg-type]
        assert random.below[0] == seen, "all numbers below are as likely"
    assert kept == fitting


# --- policies of users ---


class Newest:
    """A FIFO over all classes, which a user might write."""

    name = "newest"

    def __init__(self) -> None:
        self.arrivals = list[Arrival]()

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> Collection[int]:
        self.arrivals.append(arrival)
        return range(arrival.excess)


def test_a_policy_of_ones_own() -> None:
    policy = Newest()
    stream = Stream(policy, CLASS + 3 * ROW)
    for _ in range(5):
        stream.show(7)
    assert stream.kept == {7: [2, 3, 4]}
    last = policy.arrivals[-1]
    assert (last.images.tolist(), last.seen.tolist(), last.capacity) == ([4], [5], 3)
    assert (last.excess, last.newest, last.of_class(0)) == (1, 3, range(4))


@pytest.mark.parametrize("answer", [[], [0, 0], [4], [-1], ["x"], None, 3], ids=repr)
def test_a_policy_that_breaks_a_rule(answer: object) -> None:
    class Broken:
        name = "broken"

        def leaving(self, arrival: Arrival, random: np.random.Generator) -> object:
            return answer if arrival.excess else []

    stream = Stream(Broken(), CLASS + 3 * ROW)  # type: ignore[arg-type]
    for _ in range(3):
        stream.show(0)
    with pytest.raises(MethodError, match=r"Broken.*mend its `leaving`"):
        stream.show(0)
    assert stream.kept == {0: [0, 1, 2]} and stream.content.seen == [3]


@pytest.mark.parametrize("given", ["fifo", 3, None, Newest], ids=repr)
def test_what_is_no_policy(given: object) -> None:
    with pytest.raises(OptionError, match="expected one of 'reservoir', 'class-balanced', 'ring'"):
        policy_of(given)  # type: ignore[arg-type]


def test_no_room_for_a_new_class() -> None:
    stream = Stream("reservoir", CLASS + 6 * ROW)
    stream.show(0)
    with pytest.raises(OptionError, match="expected 52 at least: an image takes 4"):
        stream.show(1)
    assert stream.kept == {0: [0]} and stream.content.seen == [1]
