"""The codes of a file, class by class: decoded when somebody first asks for them, then kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property

import torch

from drrpack.core.codec import Codec, Pixels
from drrpack.core.codes import Codes
from drrpack.core.errors import DrrError
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes

CLASSES_AT_ONCE = 4  # decoded side by side in the background: more are faster, and are seen later


class CodeStore:
    """Codes of the classes of an open file. An image of 32x32 takes 160 bytes in memory.

    Threads may share it. `of` decodes what is asked for now, `fetch` what will be of use later, in
    a thread with a codec of its own, so that nobody who looks at a picture waits for it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._codes: dict[int, Codes] = {}
        self._codec_lock = threading.RLock()
        self._queue: dict[int, None] = {}  # classes to decode in the background, in order
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
        if number not in self._codes:
            with self.using:
                if number not in self._codes:
                    self._codes |= read_codes(self._reader, self.codec, [number])
        return self._codes[number]

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
            CorruptError: an earlier class could not be decoded there.
        """
        if self._error is not None:
            raise self._error
        missing = {number: None for number in numbers if number not in self._codes}
        with self._queue_lock:
            self._queue = missing | self._queue
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
                self._codes |= read_codes(self._reader, codec, batch)
            except DrrError as error:
                self._error = error
            except ValueError:  # the file was closed
                self._closed = True

    def _next_batch(self) -> list[int]:
        """Classes to decode next; none when the thread should end, and then it counts as ended."""
        with self._queue_lock:
            self._queue = {n: None for n in self._queue if n not in self._codes}
            batch = list(self._queue)[:CLASSES_AT_ONCE]
            if self._closed or self._error is not None or not batch:
                self._queue, self._worker, batch = {}, None, []
            return batch
