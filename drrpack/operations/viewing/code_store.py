"""The codes of a file, class by class: decoded when somebody asks, and kept up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.errors import DrrError
from drrpack.formats.account import stored_top_shape
from drrpack.formats.container import Reader
from drrpack.formats.layout import AnyPath
from drrpack.formats.memory import load_codec, read_codes
from drrpack.formats.recently_used import RecentlyUsed

KEPT_BYTES = 256 * 2**20  # 1,600,000 images of 32x32
CLASSES_AT_ONCE = 4  # decoded side by side in the background: more are faster, and are seen later


class CodeStore:
    """Codes of the classes of an open file. An image of 32x32 takes 160 bytes in memory.

    Classes stay until they take more than `KEPT_BYTES` together; then those that were used longest
    ago go. Threads may share it. `of` decodes what is asked for now, `fetch` what will be of use
    later, in a thread with a codec of its own, so that nobody who looks at a picture waits for it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._codes = RecentlyUsed[Codes](KEPT_BYTES)
        self._codes_lock = threading.Lock()
        self._codec_lock = threading.RLock()
        self._queue = OrderedDict[int, None]()  # classes to decode in the background, in order
        self._queue_lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._error: DrrError | None = None
        self._closed = False

    @cached_property
    def codec(self) -> Codec:
        """The file's codec, on the CPU; hold `using` while it computes."""
        return load_codec(self._reader, torch.device("cpu"))

    @property
    def using(self) -> threading.RLock:
        """The lock that one holds while one computes with ``codec``."""
        return self._codec_lock

    def of(self, number: int) -> Codes:
        """The codes of a class, decoded now if need be; raises CorruptError."""
        found = self._find(number)
        if found is None:
            with self.using:
                found = self._find(number)
                if found is None:
                    found = read_codes(self._reader, self.codec, [number])[number]
                    self._keep({number: found})
        return found

    def _find(self, number: int) -> Codes | None:
        with self._codes_lock:
            return self._codes.get(number)

    def _keep(self, found: Mapping[int, Codes]) -> None:
        with self._codes_lock:
            for number, codes in found.items():
                self._codes.put(number, codes)

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """What the codes of each class take in memory, (classes,): bytes."""
        rows, columns = stored_top_shape(self._reader)
        return self._reader.images_per_class * (2 * 5 * rows * columns)

    def together(self, numbers: Sequence[int], first: int) -> list[int]:
        """As many of some classes as are kept at the same time, in their order; ``first``, which is
        one of them, in any case."""
        wanted = np.array(numbers, np.int64)
        others = np.where(wanted == first, 0, self._sizes[wanted])
        fitting = np.cumsum(others) <= KEPT_BYTES - self._sizes[first]
        return [int(number) for number in wanted[fitting | (wanted == first)]]

    def pixels(self, codes: Codes) -> Pixels:
        """The images of some codes, uint8 (n, H, W, 3)."""
        with self.using:
            return self.codec.decode(codes, self._reader.image_size)

    def has(self, number: int) -> bool:
        """Whether the codes of a class are here."""
        return number in self._codes

    def fetch(self, numbers: Iterable[int]) -> None:
        """Decode these classes in the background, before all that was asked for earlier.

        Raises:
            DrrError: an earlier class could not be decoded there.
        """
        if self._error is not None:
            raise self._error
        missing = {number: None for number in numbers if number not in self._codes}
        with self._queue_lock:
            self._queue = OrderedDict(missing | self._queue)
            if self._queue and self._worker is None and not self._closed:
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()

    def close(self) -> None:
        """Decode nothing more in the background."""
        self._closed = True

    def _work(self) -> None:
        codec: Codec | None = None
        while batch := self._next_batch():
            try:
                codec = codec or load_codec(self._reader, torch.device("cpu"))
                self._keep(read_codes(self._reader, codec, batch))
            except Exception as error:  # the thread must end by `_next_batch`, or none follows it
                if not self._closed:  # else what it read from is gone
                    self._error = _told(error, self._reader.path)

    def _next_batch(self) -> list[int]:
        """Classes to decode next; none when the thread should end, and then it counts as ended."""
        with self._queue_lock:
            batch = list[int]()
            while self._queue and len(batch) < CLASSES_AT_ONCE:
                number, _ = self._queue.popitem(last=False)
                batch += [] if number in self._codes else [number]
            if self._closed or self._error is not None or not batch:
                self._queue.clear()
                self._worker, batch = None, []
            return batch


def _told(error: Exception, path: AnyPath) -> DrrError:
    if isinstance(error, DrrError):
        return error
    return DrrError(
        f"{path}: decoding stopped ({type(error).__name__}: {error}); start `drrpack view` again, "
        "with more memory free if that was short"
    )
