"""Buffers of exemplars: how many stay, which, and what they take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drrpack.core.errors import OptionError
from drrpack.formats import raw
from drrpack.trainers.incremental.buffer import (
    BytesPerClass,
    Exemplars,
    FixedPerClass,
    FixedTotal,
    packed_bytes,
)


def ranked(label: int, count: int) -> Tensor:
    """Images whose first pixel tells class and rank."""
    drawn = torch.Generator().manual_seed(label)
    images = torch.randint(256, (count, 8, 8, 3), generator=drawn).byte()
    images[:, 0, 0, 0] = label
    images[:, 0, 0, 1] = torch.arange(count)
    return images


def held(buffer: Exemplars) -> list[list[tuple[int, int]]]:
    return [[tuple(image[0, 0, :2].tolist()) for image in kept] for kept in buffer.kept]


def test_a_fixed_number_of_each_class() -> None:
    buffer = Exemplars()
    buffer.add([ranked(0, 9), ranked(1, 3)], FixedPerClass(4))
    buffer.add([ranked(2, 9)], FixedPerClass(4))
    assert held(buffer) == [[(c, r) for r in range(n)] for c, n in enumerate((4, 3, 4))]
    images, labels = buffer.labelled()
    assert labels.tolist() == images[:, 0, 0, 0].tolist() == [0] * 4 + [1] * 3 + [2] * 4
    new = ranked(3, 2)
    both, of_both = buffer.before(new, torch.tensor([3, 3]), times=2)
    assert torch.equal(both, torch.cat([images, images, new]))
    assert of_both.tolist() == [*2 * labels.tolist(), 3, 3]
    assert len(buffer) == 11


def test_a_total_that_the_classes_so_far_share() -> None:
    buffer, policy = Exemplars(), FixedTotal(12)
    for number, classes in enumerate([[0, 1], [2], [3, 4]]):
        buffer.add([ranked(label, 9) for label in classes], policy)
        each = (6, 4, 2)[number]
        assert held(buffer) == [
            [(label, rank) for rank in range(each)] for label in range(len(buffer.kept))
        ], "old classes become fewer, and their best remain"
        kept = [packed_bytes(ranked(label, 9)[:each]) for label in range(len(buffer.kept))]
        assert len(buffer) <= 12 and buffer.kept_bytes == kept
    with pytest.raises(OptionError, match="2 exemplars leaves none for some of the 6 classes"):
        buffer.add([ranked(5, 9)], FixedTotal(2))


def test_bytes_are_those_of_a_memory_s_own_raw_exemplars() -> None:
    buffer = Exemplars()
    buffer.add([ranked(0, 5), ranked(1, 5)], FixedPerClass(3))
    wanted = [
        sum(len(r.data) for r in raw.pack(c, range(3), ranked(c, 5)[:3].numpy())) for c in (0, 1)
    ]
    assert buffer.kept_bytes == wanted and buffer.nbytes == sum(wanted)


@pytest.mark.parametrize("sample", [1, 20])
def test_a_share_of_bytes_is_filled_and_kept(sample: int) -> None:
    size = packed_bytes(ranked(0, 7)[:4]) + 10
    buffer, policy = Exemplars(), BytesPerClass(size, sample)
    buffer.add([ranked(0, 7)], policy)
    assert buffer.nbytes <= size and len(buffer) >= 3
    before = held(buffer)
    buffer.add([ranked(1, 7)], policy)
    assert held(buffer)[:1] == before, "more classes leave the old ones what they have"
    smallest = Exemplars()
    smallest.add([ranked(0, 7)], BytesPerClass(1, sample))
    assert len(smallest) == 1


def test_other_images_in_the_place_of_exemplars() -> None:
    buffer = Exemplars()
    buffer.add([ranked(0, 5), ranked(1, 5)], FixedPerClass(3))
    made = ranked(7, 2)
    buffer.replace(0, made)
    made.zero_()
    assert held(buffer)[0] == [(7, 0), (7, 1)] and held(buffer)[1][0] == (1, 0)
    assert buffer.kept_bytes[0] == packed_bytes(ranked(7, 2))


def test_the_state_gives_it_back() -> None:
    buffer, again = Exemplars(), Exemplars()
    buffer.add([ranked(0, 5), ranked(1, 5)], FixedTotal(7))
    again.load_state_dict(buffer.state_dict())
    assert held(again) == held(buffer) and again.nbytes == buffer.nbytes
    again.add([ranked(2, 5)], FixedTotal(7))
    assert len(buffer) == 6, "one does not move the other"
    assert [len(kept) for kept in again.kept] == [2, 2, 2]


def test_an_empty_buffer_adds_nothing_to_new_images() -> None:
    new = ranked(0, 2)
    images, labels = Exemplars().before(new, torch.tensor([1, 1]), times=0)
    assert torch.equal(images, new) and labels.tolist() == [1, 1]
    images, labels = Exemplars().labelled()
    assert torch.equal(torch.cat([images, new]), new)
    assert torch.cat([labels, torch.tensor([1])]).tolist() == [1]
