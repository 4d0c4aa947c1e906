"""The images as they were before coding: from the source of a file, or its raw exemplars."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drrpack.core.arrays import Pixels
from drrpack.core.errors import DrrError
from drrpack.core.progress import Notice
from drrpack.formats.container import Reader
from drrpack.formats.originals import Originals, open_originals
from drrpack.formats.raw import read_raw
from drrpack.formats.sources.opening import Given
from drrpack.operations.progress import Report
from drrpack.operations.viewing.recent import Recent

KEPT_BYTES = 256 * 2**20  # of originals in memory, and of raw exemplars

State = Literal["none", "checking", "ready", "failed"]


@dataclass(frozen=True)
class Original:
    """An image before coding, (H, W, 3) uint8, and where it is from."""

    pixels: Pixels
    origin: Literal["source", "raw exemplar"]


class OriginalImages:
    """Images before coding, where they are at hand.

    Checking a ``source`` reads all of its pictures. That happens in a thread, which reports how it
    ended; until then only raw exemplars are found.

    Attributes:
        state: "checking" until it is known whether the source holds the pictures of the file.
        told: the same for people, in a sentence.
    """

    def __init__(self, reader: Reader, source: Given | None, report: Report) -> None:
        self._reader, self._report = reader, report
        self._raw = Recent(lambda number: read_raw(reader, number), KEPT_BYTES)
        self._loaded = Recent(self._load, KEPT_BYTES)
        self._found: Originals | None = None
        self.state: State = "none"
        self.told = ""
        if source is not None:
            self.state = "checking"
            self.told = (
                "The source is being compared with the file; its pictures appear after that."
            )
            threading.Thread(target=self._open, args=(source,), daemon=True).start()

    def of(self, number: int, position: int) -> Original | None:
        """The image at a position of a class; None where it is not at hand.

        Raises:
            SourceError: a picture has changed since the source was checked. CorruptError: the raw
                exemplars are damaged.
        """
        if self.has_source(number):
            loaded = self._loaded(number)
            return Original(loaded[position], "source") if position < len(loaded) else None
        exemplars = self._raw(number)
        (places,) = np.nonzero(exemplars.positions == position)
        return Original(exemplars.images[places[0]], "raw exemplar") if len(places) else None

    def has(self, number: int, position: int) -> bool:
        """Whether the image is at hand; decodes no picture of the source."""
        return self.has_source(number) or position in self._raw(number).positions

    def exemplars(self, number: int) -> list[int]:
        """The positions of a class whose raw exemplars the file keeps."""
        return [int(position) for position in self._raw(number).positions]

    def has_source(self, number: int) -> bool:
        """Whether the source has been checked, and holds this class."""
        name = self._reader.classes[number]
        return self._found is not None and not self._found.missing([name])

    def _load(self, number: int) -> Pixels:
        assert self._found is not None, "asked for before the source was opened"
        return self._found.load(self._reader.classes[number])

    def _open(self, source: Given) -> None:
        try:
            found = open_originals(self._reader, source, "train")
        except (DrrError, OSError) as error:
            self.state, self.told = "failed", str(error)
            self._report(Notice(self.told))
            return
        self._found, self.state = found, "ready"
        self.told = f"Originals are from {found.roots}."
        self._report(Notice(f"originals from {found.roots}", warning=False))
