"""The images of a phase, as far as a method has declared to need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drrpack.core.errors import MethodError, SourceError
from drrpack.trainers.incremental.phase import Phase
from drrpack.trainers.incremental.phase_data import Need, PhaseData


@dataclass(frozen=True, kw_only=True)
class PhaseImages(Phase):
    """Images as tensors. Labels are positions in ``seen``, from 0."""

    data: PhaseData  # the protocol's; a method asks the phase for images
    needs: frozenset[Need]  # that the method has declared

    @property
    def memory_bytes(self) -> Mapping[str, int]:
        """The memory's bytes by part, models included."""
        return self.data.memory_bytes

    @property
    def counts(self) -> Sequence[int]:
        """How many training images each class has, also those of later phases."""
        return self.data.counts

    def replayed(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Reconstructions of ``classes``, or of their best ``each``: (N, H, W, 3) uint8, (N,) int64
        labels. Needs 'replayed'."""
        self._check_declared("replayed")
        images, labels = self.data.replayed(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "reconstructed")

    def raw(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Raw training images of ``classes``, or of their best ``each``, as `replayed` has them.
        Needs 'raw_new' for classes of this phase, 'raw_seen' for others."""
        if set(classes) <= set(self.new):
            self._check_declared("raw_new", "raw_seen")
        else:
            self._check_declared("raw_seen")
        images, labels = self.data.raw(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "raw training")

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], Tensor]:
        """Raw exemplars that the memory keeps of a class: positions in it (n,), images
        (n, H, W, 3) uint8. Needs 'exemplars'."""
        self._check_declared("exemplars")
        positions, images = self.data.exemplars(label)
        return positions, torch.from_numpy(np.require(images, requirements=["C", "W"]))

    def ranking(self, label: int) -> npt.NDArray[np.int64]:
        """Positions (n,) of all images of a class, the best exemplars first by what the codec knows
        of them. Needs 'ranked'."""
        self._check_declared("ranked")
        return self.data.ranking(label)

    def count(self, classes: Sequence[int], each: int | None = None) -> int:
        """How many training images ``classes`` have, at most ``each`` of a class."""
        counts = self.counts
        return sum(counts[c] if each is None else min(each, counts[c]) for c in classes)

    def best(self, classes: Sequence[int], each: int | None) -> npt.NDArray[np.int64]:
        """Rows of the best ``each`` images of each class, in images that stand class by class."""
        rows, start, counts = [], 0, self.counts
        for label in classes:
            count = counts[label]
            chosen = np.arange(count)
            if each is not None and each < count:
                chosen = np.sort(self.data.ranking(label)[:each])
            rows.append(start + chosen)
            start += count
        return np.concatenate(rows)

    def tensors(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        classes: Sequence[int],
        what: str,
    ) -> tuple[Tensor, Tensor]:
        """Checked tensors of arrays, the labels turned into positions in ``seen``."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            found = f"{images.dtype} {images.shape}"
            raise SourceError(f"the {what} images are {found}, not uint8 (N, H, W, 3)")
        if labels.shape != (len(images),) or set(np.unique(labels).tolist()) != set(classes):
            missing = sorted(set(classes) - set(np.unique(labels).tolist()))
            names = ", ".join(self.data.classes[index] for index in missing[:5])
            found = f"no image of: {names}" if missing else "labels that are not those asked for"
            raise SourceError(f"the {what} images of {len(classes)} classes have {found}")
        position = np.full(max(self.seen) + 1, -1, np.int64)
        position[list(self.seen)] = np.arange(len(self.seen))
        writable = np.require(images, requirements=["C", "W"])  # as PyTorch wants it
        return torch.from_numpy(writable), torch.from_numpy(position[labels])

    def _check_declared(self, *any_of: Need) -> None:
        if not self.needs.intersection(any_of):
            wanted = " or ".join(map(repr, any_of))
            found = ", ".join(map(repr, sorted(self.needs))) or "nothing"
            raise MethodError(
                f"the method asks for images that it did not declare: found needs = {found}, "
                f"expected {wanted} among them; add it to the class's `needs`, so that a run "
                "without such images is refused before it trains"
            )
