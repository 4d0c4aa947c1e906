"""Reconstructions of a memory by class, kept once they are decoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codes import Codes
from drrpack.formats.dataset import DRRDataset
from drrpack.trainers.incremental.exemplars import choose


class Reconstructions:
    """The images of each class of a dataset, decoded, and their order by what the codec knows.

    Classes are labels of the dataset. Labels mean the same in whatever dataset replaces it.
    """

    def __init__(self, dataset: DRRDataset) -> None:
        self.replace(dataset)

    def replace(self, dataset: DRRDataset) -> None:
        """Take the images of another dataset from now on, and forget those of before."""
        self.dataset = dataset
        self._decoded: dict[int, Pixels] = {}
        self._rankings: dict[int, NDArray[np.int64]] = {}
        self._where: dict[int, NDArray[np.int64]] = {}  # the images of each class, see `_rows`

    def of(self, label: int) -> Pixels:
        """All images of a class: (n, H, W, 3) uint8."""
        if label not in self._decoded:
            self.dataset.preload()  # all classes side by side, which is many times faster
            self._decoded[label] = self.dataset.pixels(self._rows(label))
        return self._decoded[label]

    def ranking(self, label: int) -> NDArray[np.int64]:
        """Positions (n,) of all images of a class, in the order of herding on the mean vectors of
        their codes: the best exemplars first."""
        if label not in self._rankings:
            self.dataset.preload()  # as above
            where = self._rows(label)
            top, bottom = self.dataset.codes(where)
            codes = Codes.of(top.numpy(), bottom.numpy())
            vqvae = self.dataset.codec.vqvae
            self._rankings[label] = choose("herding", codes, vqvae, len(where), seed=0)
        return self._rankings[label]

    def _rows(self, label: int) -> NDArray[np.int64]:
        """Where the images of a class are among those of the dataset."""
        if not self._where:
            targets = np.asarray(self.dataset.targets)
            ends = np.bincount(targets, minlength=len(self.dataset.classes)).cumsum()[:-1]
            self._where = dict(enumerate(np.split(targets.argsort(kind="stable"), ends)))
        return self._where[label]
