"""`ReplayBuffer`: a memory of a stream of images, which keeps codes within a budget of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError, SourceError
from drrpack.core.settings import own_settings
from drrpack.core.wording import sides
from drrpack.formats import shipped
from drrpack.formats.container import Reader, check_output, write
from drrpack.formats.files.publish import replacing
from drrpack.formats.indices import whole_number
from drrpack.formats.layout import AnyPath
from drrpack.formats.replay.codecs import PackedCodec, codec_for, opened, stored_bytes
from drrpack.formats.replay.content import Content, capacity_of
from drrpack.formats.replay.held_images import HeldImages
from drrpack.formats.replay.incoming import checked_images, checked_labels
from drrpack.formats.replay.packing import CodePacking
from drrpack.formats.replay.policies import POLICIES, Policy, policy_of
from drrpack.formats.replay.saved import content_of, memory_of, names_for
from drrpack.formats.replay.saved_record import (
    KEY,
    Record,
    Settings,
    record_of,
    state_of,
    to_json,
)


class ReplayBuffer(HeldImages):
    """A memory of a stream of labelled images, for online learning.

    It keeps the codes of images, bit-packed (90 bytes for an image of 32x32 and codebooks of 512),
    and decodes those that are drawn: the same pixels as a ``.drr`` file of the same codes has.

    It is also a map-style dataset of ``(image, label)``, for a `DataLoader`; items are those of the
    moment at which they are asked for, class by class. Threads may share a buffer. A copy in a
    worker process does not see what is added later.

    Args:
        codec: the ``.drr`` file whose codec to use, which must have its encoder, or the open file;
            None for a codec that comes with drrpack.
        family: which of those: ``"small"`` (the default), meant for images of up to 48 pixels a
            side, ``"medium"`` for up to 128, or ``"large"`` for larger ones; a code of each stands
            for four times the pixels of the one before.
        budget_bytes: what `bytes` may come to.
        policy: ``"reservoir"``, ``"class-balanced"``, ``"ring"``, or a `Policy` of your own; see
            `drrpack.formats.replay.policies`.
        quality: rate/distortion trade-off, 0 to 100, as in `drrpack.encode`; by default that of
            ``codec``, or 75.
        count_models: let the codec count in the budget, too.
        seed: of what is kept and of what is drawn. The two do not affect each other, nor the random
            state of the process.
        device: where the codec runs.

    Raises:
        OptionError: an argument can't be used.
        FormatError: ``codec`` can't be read.
    """

    def __init__(
        self,
        codec: AnyPath | Reader | None = None,
        budget_bytes: int | None = None,
        policy: str | Policy = "reservoir",
        *,
        family: str | None = None,
        quality: int | None = None,
        count_models: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.policy = policy_of(policy)
        self.device = choose_device(device)
        with opened(codec, family) as reader:
            super().__init__(codec_for(reader, self.device, quality))
            self._path, self._fit = reader.path, shipped.fit_of(reader)
        self.model_bytes = stored_bytes(self._codec)
        self.count_models = bool(count_models)
        self.budget_bytes = self._checked_budget(budget_bytes)
        self._keeping, self._drawing = _generators(seed)
        self._names = dict[int, str]()

    def _checked_budget(self, budget_bytes: object) -> int:
        number = whole_number(budget_bytes)
        least = self.model_bytes if self.count_models else 0
        if number is None or number <= least:
            models = f" that exceeds the {least} bytes of the models" if least else " from 1"
            raise OptionError(
                f"`budget_bytes={budget_bytes!r}`: expected a number of bytes{models}",
                option="budget_bytes",
            )
        return number

    def add(self, images: object, labels: object) -> None:
        """Encode a batch of the stream, and let the policy decide which images are kept.

        Args:
            images: (N, H, W, 3) or (N, 3, H, W) uint8, a tensor of floats from 0 to 1, or a list of
                what a dataset may have as images. The first one that is offered fixes the size.
            labels: (N,) whole numbers from 0.

        Raises:
            SourceError: images or labels are not that, or have another size; nothing is added.
            OptionError: not one image fits into the budget. Images before it are in the buffer.
        """
        pixels = checked_images(images)
        numbers = checked_labels(labels, len(pixels))
        if not numbers:
            return
        size = pixels.shape[1], pixels.shape[2]
        rows = self._packing(size).pack(self._codec.encode(pixels))
        with self._lock:
            packing = self._packing(size)  # another thread may have fixed the size meanwhile
            content = Content(packing.row_bytes) if self._size is None else self._content
            for label, row in zip(numbers, rows, strict=True):
                content.offer(label, row, self.policy, self._room, self._keeping)
                self._size, self._content = size, content

    def sample(self, n: int, *, replacement: bool = False) -> tuple[Tensor, Tensor]:
        """Draw images uniformly: (n, 3, H, W) uint8, and their labels (n,) int64.

        Args:
            replacement: draw each image independently, so that one may come several times.

        Raises:
            OptionError: the buffer is empty, or has fewer images and ``replacement`` is not set.
        """
        count = whole_number(n)
        with self._lock:
            have = len(self)
            if count is None or count < 0 or (count > have and not (replacement and have)):
                fix = "draw fewer, or say `replacement=True`" if have else "add images first"
                raise OptionError(
                    f"`n={n!r}`: expected a whole number from 0 to {have}, as many images as the "
                    f"buffer has; {fix}",
                    option="n",
                )
            drawn = self._drawing.choice(max(1, have), count, replace=replacement)
            rows, labels = self._at(drawn)
        return self._decoded(rows), torch.from_numpy(labels)

    @property
    def _room(self) -> int:
        """The bytes that images may take."""
        return self.budget_bytes - (self.model_bytes if self.count_models else 0)

    def _packing(self, size: tuple[int, int]) -> CodePacking:
        """How codes of images of this size (H, W) are packed.

        Raises:
            SourceError: the buffer has images of another size. OptionError: none has room in it.
        """
        packing = self._packing_of(size)
        with self._lock:
            if self._size is None:
                capacity_of(self._room, 1, packing.row_bytes)
            elif self._size != size:
                raise SourceError(
                    f"images: found {sides(size)} pixels; expected {sides(self._size)}, the size "
                    "of the first images: resize them, or give them a buffer of their own"
                )
        return packing

    def __repr__(self) -> str:
        size = "" if self._size is None else f" of {sides(self._size)}"
        return (
            f"ReplayBuffer({len(self)} images{size}, {len(self.counts)} classes, {self.bytes} of "
            f"{self._room} bytes, {self.policy.name})"
        )

    def save(
        self, path: AnyPath, class_names: Sequence[str] | None = None, *, force: bool = False
    ) -> int:
        """Write the images as a ``.drr`` file, all of it or nothing; returns the file's bytes.

        The streams are decoded again and compared with the codes, and the file is read back before
        it takes its place. The buffer stays as it is.

        Args:
            class_names: a name for each number from 0 to the largest label; by default those of the
                file that was loaded, and the numbers themselves.
            force: replace a file that is there.

        Raises:
            OptionError: the buffer is empty, or ``class_names`` can't be used.
            OutputError: it can't be written there.
            DrrError: the streams do not decode.
        """
        with self._lock:
            content, record, size = self._content.copy(), self._settings(), self._size
            random = state_of(self._keeping), state_of(self._drawing)
        if size is None or not len(content):
            raise OptionError(f"{path}: the buffer is empty; add images before it is saved")
        with own_settings(), replacing(Path(path)):
            check_output(path, overwrite=force)
            names = names_for(content, self._names, class_names)
            made = memory_of(content, self._codec, self._packing_of(size), size, names)
            about = {"fit": self._fit, KEY: to_json(record, content, names, random)}
            return write(path, replace(made, metadata={**made.metadata, **about}), overwrite=force)

    def _settings(self) -> Settings:
        return Settings(self.policy.name, self.budget_bytes, self.count_models)

    @classmethod
    def load(
        cls,
        path: AnyPath,
        budget_bytes: int | None = None,
        policy: str | Policy | None = None,
        *,
        count_models: bool | None = None,
        seed: int | None = None,
        device: str | torch.device = "cpu",
    ) -> ReplayBuffer:
        """Go on from a ``.drr`` file: one that was saved, or any other with its encoder.

        By default policy, budget and random states are those of the saved buffer, which then goes
        on as if it had never been saved. Of another file, labels are the numbers of its classes,
        and its images count as a stream that was seen once. Under a smaller budget the policy
        chooses among the images of the file.

        Raises:
            OptionError: the file records no budget and none is given, or an argument can't be used.
            FormatError: the file can't be read.
        """
        with own_settings(), Reader(path) as reader:
            saved = record_of(reader)
            known = Settings("reservoir", None, False) if saved is None else saved.settings
            _check_known(reader.path, known, budget_bytes, policy)
            made = cls(
                reader,
                known.budget_bytes if budget_bytes is None else budget_bytes,
                known.policy if policy is None else policy,
                count_models=known.count_models if count_models is None else count_models,
                seed=0 if seed is None else seed,
                device=device,
            )
            made._take(reader, saved)
            if saved is not None and seed is None:
                made._keeping, made._drawing = saved.random
        return made

    def _take(self, reader: Reader, saved: Record | None) -> None:
        """Hold the images of a file, or those of them that the policy keeps."""
        packing = self._packing(reader.image_size)
        found = content_of(reader, self._codec, packing, saved)
        self._names = dict(zip(found.labels, reader.classes, strict=False))
        self._size, self._content = reader.image_size, found
        if found.bytes > self._room:
            self._content = found.offered(self.policy, self._room, self._keeping)

    def __getstate__(self) -> dict[str, object]:
        """A codec's networks are packed as in a file, and made anew in the other process."""
        with self._lock:
            state = {**self.__dict__, "_content": self._content.copy()}
        return {**state, "_codec": PackedCodec.of(self._codec, self._path)}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        packed = state["_codec"]
        assert isinstance(packed, PackedCodec)
        self._codec = packed.on(self.device)


def _check_known(
    path: AnyPath, saved: Settings, budget_bytes: int | None, policy: str | Policy | None
) -> None:
    """Raise OptionError for what neither the file records nor the caller says."""
    if budget_bytes is None and saved.budget_bytes is None:
        raise OptionError(
            f"{path}: found no budget, as it was not saved from a buffer; expected one: give "
            "`budget_bytes`",
            option="budget_bytes",
        )
    if policy is None and saved.policy not in POLICIES:
        raise OptionError(
            f"{path}: found the policy {saved.policy!r}, which is not one of drrpack's; expected "
            "an object: give it as `policy`",
            option="policy",
        )


def _generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """One for what is kept and one for what is drawn; raises OptionError for no seed."""
    number = whole_number(seed)
    if number is None or number < 0:
        raise OptionError(f"`seed={seed!r}`: expected a whole number from 0", option="seed")
    keeping, drawing = map(np.random.PCG64, np.random.SeedSequence(number).spawn(2))
    return np.random.Generator(keeping), np.random.Generator(drawing)
