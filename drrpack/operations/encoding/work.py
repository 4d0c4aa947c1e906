"""The codes and streams of a source: made part by part, by one process or by several."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from hashlib import sha256

import PIL

from drrpack.core.codec import ClassStreams, Codec
from drrpack.core.codes import Codes
from drrpack.core.errors import MessageError
from drrpack.core.groups import groups
from drrpack.core.layouts import lengthened, suited
from drrpack.core.lazily import Lazily
from drrpack.core.progress import Notice, Step
from drrpack.formats import memory
from drrpack.formats.container import Chunk
from drrpack.formats.hdf5.build import section_digest
from drrpack.formats.layout import Stored, dump_json
from drrpack.formats.sources.source import Source
from drrpack.operations.encoding.kept import (
    Kept,
    codes_of,
    codes_to_arrays,
    found,
    streams_of,
    streams_to_arrays,
)
from drrpack.operations.encoding.pieces import Part, Piece, divide, loaded_at_once
from drrpack.trainers.ranks import Ranks, shares
from drrpack.trainers.versions import versions

TOGETHER_PIXELS = 1 << 26  # of the images whose streams are made side by side, which is faster


@dataclass
class Work:
    """Codes and streams of all training images of ``source``.

    Each process makes those of its share of the parts; all are ``kept`` where each process finds
    them. What an earlier run has made of the same source, by the same codec, is not made again.
    """

    source: Source
    kept: Kept
    ranks: Ranks
    report: Callable[[Step | Notice], None]
    _key: str = field(default="", init=False)  # of the codes

    @cached_property
    def parts(self) -> list[Part]:
        return divide(self.source)

    @cached_property
    def pieces(self) -> list[Piece]:
        """The streams of the file, in its order."""
        return [piece for part in self.parts for piece in part]

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """For each piece its part, and its position there."""
        return [(n, place) for n, part in enumerate(self.parts) for place in range(len(part))]

    @cached_property
    def _mine(self) -> list[int]:
        sizes = [sum(map(len, part)) for part in self.parts]
        return shares(sizes, self.ranks.size)[self.ranks.rank]

    def encode(self, codecs: Sequence[Codec]) -> Sequence[Codes]:
        """The codes of every piece, by codecs of one VQ-VAE and the prices of one of them.

        They are read again whenever one is asked for.
        """
        self._key = self._key_of(codecs) if self.kept.lasts else ""
        total, done, earlier = self._images(self._mine), 0, 0
        for number in self._mine:
            if self.kept.get("codes", number, self._key) is None:
                made = list[Codes]()
                for piece in self.parts[number]:
                    of_piece = list[Codes]()
                    for rows in loaded_at_once(piece, self.source.image_size):
                        pixels = self.source.load(piece.class_index, rows=rows)
                        of_piece.append(codecs[0].encode(pixels))
                        done += len(of_piece[-1])
                        self.report(Step("codes", done, total))
                    made.append(Codes.concat(of_piece))
                self.kept.put("codes", number, self._key, codes_to_arrays(made))
            else:
                earlier += self._images([number])
                done += self._images([number])
                self.report(Step("codes", done, total))
        if earlier:
            said = f"{earlier} of {total} images were encoded by an earlier run, and are taken over"
            self.report(Notice(said, warning=False))
        self.ranks.of_all(None)
        return Lazily(len(self.pieces), self._codes)

    def by_class(self, codes: Sequence[Codes]) -> Sequence[Codes]:
        """The ``codes`` of all pieces, by the class of the source."""
        of_class: list[list[int]] = [[] for _ in self.source.classes]
        for place, piece in enumerate(self.pieces):
            of_class[piece.class_index].append(place)
        return Lazily(len(of_class), lambda n: Codes.concat([codes[p] for p in of_class[n]]))

    def compress(self, codec: Codec, codes: Sequence[Codes]) -> tuple[Codec, list[Chunk]]:
        """The codec with the layout that suits all ``codes``, and the chunks of the file, which the
        first process alone needs.

        Raises:
            DrrError: the streams do not decode to the codes.
        """
        layouts = self.ranks.from_first(lambda: suited(codec, codes).layouts)
        return lengthened(replace(codec, layouts=layouts), self.streams)

    def streams(self, codec: Codec) -> list[Chunk]:
        """The chunks of the file, which the first process alone needs, in the layout that ``codec``
        has.

        Raises:
            MessageError: the starts of streams are too short, perhaps those of another process.
            DrrError: the streams do not decode to the codes.
        """
        key = f"{self._key} {_digest(codec)}" if self.kept.lasts else str(codec.layouts)
        if not all(self.ranks.of_all(self._compress_mine(codec, key))):
            raise MessageError("the plain images have too few bits for the group after them")
        return [*self._chunks(key)] if self.ranks.first else []

    def _compress_mine(self, codec: Codec, key: str) -> bool:
        """Make the streams of this process's parts; False where their starts are too short."""
        total = self._images(self._mine)
        missing = [n for n in self._mine if self.kept.get("streams", n, key) is None]
        done = total - self._images(missing)
        self.report(Step("streams", done, total))
        for numbers in self._together(missing):
            codes = [self._part_codes(number) for number in numbers]
            try:
                made = iter(codec.compress([piece for part in codes for piece in part]))
            except MessageError:
                return False
            for number in numbers:
                streams = [next(made) for _ in self.parts[number]]
                self.kept.put("streams", number, key, streams_to_arrays(streams))
            done += self._images(numbers)
            self.report(Step("streams", done, total))
        return True

    def _together(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Parts whose streams are made side by side."""
        height, width = self.source.image_size
        pixels = [self._images([number]) * height * width for number in numbers]
        for group in groups(pixels, TOGETHER_PIXELS):
            yield [numbers[place] for place in group]

    def _chunks(self, key: str) -> Iterator[Chunk]:
        """The chunks of the file, whose streams stay where they are kept."""

        @lru_cache(maxsize=1)
        def streams(number: int) -> list[ClassStreams]:
            return streams_of(found(self.kept, "streams", number, key))

        def data(number: int, place: int, level: str) -> bytes:
            made = memory.chunk(0, streams(number)[place])
            return bytes(made.top if level == "top" else made.bottom)

        for piece, (number, place) in zip(self.pieces, self._places, strict=True):
            one = streams(number)[place]
            top, bottom = (
                Stored(words.nbytes, partial(data, number, place, level))
                for level, words in (("top", one.top), ("bottom", one.bottom))
            )
            yield Chunk(piece.class_index, one.images, top, bottom, one.codes_digest)

    def _codes(self, piece: int) -> Codes:
        number, place = self._places[piece]
        return self._part_codes(number)[place]

    @cached_property
    def _part_codes(self) -> Callable[[int], list[Codes]]:
        """The codes of a part; the last one asked for stays in memory."""
        return lru_cache(maxsize=1)(lambda n: codes_of(found(self.kept, "codes", n, self._key)))

    def _images(self, numbers: Sequence[int]) -> int:
        return sum(len(piece) for number in numbers for piece in self.parts[number])

    def _key_of(self, codecs: Sequence[Codec]) -> str:
        """What decides the codes of a source, beside where a part of it lies."""
        what = {
            "source": self.source.digest(),
            "reading": self.source.reading.to_json(),
            "size": self.source.image_size,
            "parts": [[(p.class_index, p.start, p.stop) for p in part] for part in self.parts],
            "codecs": [_digest(codec) for codec in codecs],
            "versions": {**versions(), "pillow": PIL.__version__},  # read and encode pictures
            "quality": codecs[0].encoder.quality,
            "device": codecs[0].device.type,
        }
        return sha256(json.dumps(what).encode()).hexdigest()


def _digest(codec: Codec) -> str:
    """Of both models, the layout of streams included."""
    models = memory.sections(codec)
    each = (section_digest(model.version, dump_json(model.config), model.data) for model in models)
    return sha256("".join(each).encode()).hexdigest()
