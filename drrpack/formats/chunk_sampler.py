"""`ChunkSampler`: shuffled items in an order that reads each stored chunk once an epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import DistributedSampler

from drrpack.core.errors import OptionError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.indices import whole_number

Piece = NDArray[np.int64]  # (pieces, 2): the first item of a part of a chunk, and how many


class ChunkSampler(DistributedSampler[int]):
    """A shuffle for a memory whose codes do not fit into RAM; a sampler for `DataLoader`.

    The chunks of the dataset are shuffled and divided into windows of ``window`` chunks; the items
    of a window are shuffled together. So a window's chunks are decoded side by side and once an
    epoch, and only they need to be in memory. Every item comes exactly once an epoch.

    A batch is a random sample of its window, not of the dataset: a window of 10 chunks holds at
    most 10 classes. With a window of all chunks, which is the default where ``codes_bytes`` has
    room for all, the order is a plain random one. (MosaicML Streaming's py1br shuffles by blocks,
    too. FFCV's QUASI_RANDOM and WebDataset's buffer exchange what they draw from bit by bit; but
    chunks are decoded several times as fast side by side as one after the other.)

    It is a `DistributedSampler`, so Lightning keeps it. Replicas read different chunks, except that
    two of them may share one at their border. All get equally many items: up to
    ``num_replicas`` - 1 items come twice, or are left out with ``drop_last``.

    Args:
        dataset: a `DRRDataset`.
        window: how many chunks are shuffled together; by default as many as ``codes_bytes`` of the
            dataset has room for.
        seed: with the epoch it determines the order, the same in all processes.
        num_replicas, rank: how many processes share an epoch, and which one this is; those of
            `torch.distributed` where that is initialised, else 1 and 0.
        drop_last: whether to leave out items rather than repeat some, as in `DistributedSampler`.

    Raises:
        OptionError: the window is no whole number above 0, or the dataset is another one.
    """

    def __init__(
        self,
        dataset: DRRDataset,
        *,
        window: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if not isinstance(dataset, DRRDataset):
            raise OptionError(
                f"`dataset`: found {type(dataset).__name__}, expected a DRRDataset: choose classes "
                "with its argument `classes`",
                option="dataset",
            )
        if window is not None and (whole_number(window) is None or window < 1):
            raise OptionError(f"`window={window!r}`: say a whole number above 0", option="window")
        together = distributed.is_available() and distributed.is_initialized()
        super().__init__(
            dataset,
            num_replicas or (distributed.get_world_size() if together else 1),
            rank if rank is not None else (distributed.get_rank() if together else 0),
            seed=seed,
            drop_last=drop_last,
        )
        self.window, self._memory = window, dataset

    def __iter__(self) -> Iterator[int]:
        """The items of this replica in the order of the epoch that `set_epoch` has set."""
        random = np.random.default_rng([self.seed, self.epoch])
        pieces = self._own(random.permutation(_pieces(self._memory)))
        window = self.window or self._memory.chunks_at_once
        windows = -(-len(pieces) // window)  # of nearly equal sizes
        for some in np.array_split(pieces, windows) if windows else []:
            items = [np.arange(first, first + count) for first, count in some]
            yield from random.permutation(np.concatenate(items, dtype=np.int64)).tolist()

    def _own(self, pieces: Piece) -> Piece:
        """The part of this replica, of all chunks in a row; the row begins anew where it ends."""
        items = len(self._memory)
        pieces = np.tile(pieces, (-(-self.total_size // max(1, items)), 1))
        ends = np.cumsum(pieces[:, 1])
        starts = ends - pieces[:, 1]
        low = np.maximum(starts, self.rank * self.num_samples)
        high = np.minimum(ends, (self.rank + 1) * self.num_samples)
        parts = np.stack([pieces[:, 0] + low - starts, high - low], axis=1)
        own: Piece = parts[low < high]
        return own


def _pieces(memory: DRRDataset) -> Piece:
    """The items of each stored chunk that has any."""
    starts = memory.chunk_starts
    pieces = np.stack([starts[:-1], np.diff(starts)], axis=1)
    filled: Piece = pieces[pieces[:, 1] > 0]
    return filled
