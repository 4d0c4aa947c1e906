"""A ``.drr`` file as a memory of labelled images: the container and the codec together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch

from drrpack.core.ans import Words
from drrpack.core.codec import ClassStreams, Codec, assemble, first_difference
from drrpack.core.codes import Codes
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.errors import CorruptError, DrrError, ExactnessError, VersionError
from drrpack.core.section import Section, major_of
from drrpack.core.weights import pack_vqvae, unpack_vqvae
from drrpack.formats import shipped
from drrpack.formats.container import Chunk, Reader
from drrpack.formats.encoder import decoder_alone, of_quality, with_encoder
from drrpack.formats.layout import check_expansion, dump_json

__all__ = ["chunk", "decoder_alone", "load_codec", "read_chunks", "read_codes", "sections"]

Place: TypeAlias = tuple[Reader, int]  # a chunk: its file, and its row in the file's index

VQVAE_VERSIONS = ("1.0", "2.0", "3.0", "4.0")


def sections(codec: Codec) -> tuple[Section, Section]:
    """The two model sections of a file: VQ-VAE and entropy model."""
    return pack_vqvae(codec.vqvae, codec.pixels.bits), entropy_section(codec)


def entropy_section(codec: Codec) -> Section:
    """The second of these alone; to pack the VQ-VAE takes most of the time."""
    return pack_entropy(codec.entropy, codec.layouts)


def model_bytes(model: Section) -> int:
    """What a model takes in a file, its config included."""
    return len(model.data) + len(dump_json(model.config))


def chunk(class_index: int, made: ClassStreams) -> Chunk:
    """The streams of one class as they stand in the file."""
    streams = _to_bytes(made.top), _to_bytes(made.bottom)
    return Chunk(class_index, made.images, *streams, made.codes_digest)


def _to_bytes(words: Words) -> bytes:
    return words.astype("<u4").tobytes()


def _to_words(data: bytes) -> Words:
    if len(data) % 4:
        raise CorruptError(f"a stream has {len(data)} bytes, expected a multiple of 4")
    return np.frombuffer(data, dtype="<u4").astype(np.uint32)


def load_codec(
    reader: Reader,
    device: torch.device,
    carrier: torch.dtype | None = None,
    *,
    encoder: bool = False,
) -> Codec:
    """The codec of an open file, on ``device``.

    It encodes as the images of the file were encoded: by their quality. With ``encoder`` a file
    that holds the decoder alone gets the encoder of the shipped codec that it was made with, where
    that is so.

    Raises:
        VersionError: a section's version is unknown. CorruptError: a section is damaged.
        OptionError: an encoder is asked for, and there is none.
    """
    stored_vqvae, stored_entropy = reader.models()
    vqvae = _known_vqvae(reader, stored_vqvae)
    entropy_model = shipped.whole(stored_entropy, reader.path)
    try:
        if encoder and vqvae.config.get("encoder") is False:
            vqvae = with_encoder(reader, vqvae)
        network, bits = unpack_vqvae(vqvae)
        codec = assemble(network, bits, *unpack_entropy(entropy_model), device, carrier)
    except VersionError as error:
        raise VersionError(f"{reader.path}: {error}") from error
    except (CorruptError, ExactnessError) as error:
        raise CorruptError(f"{reader.path}: {error}; take the file from a backup") from error
    return of_quality(codec, reader, look=encoder)


def _known_vqvae(reader: Reader, stored: Section) -> Section:
    """The section of the VQ-VAE, if this program knows its version."""
    section = shipped.whole(stored, reader.path)
    if section.major not in {major_of(known) for known in VQVAE_VERSIONS}:
        raise VersionError(
            f"{reader.path}: its VQ-VAE has version {section.version}, this program reads "
            f"{', '.join(VQVAE_VERSIONS)}; update drrpack"
        )
    return section


def read_codes(reader: Reader, codec: Codec, classes: Iterable[int]) -> dict[int, Codes]:
    """The codes of the classes with these numbers, decoded side by side.

    Raises:
        CorruptError: a stream is damaged; the message names the file and the class.
    """
    wanted = list(classes)
    rows = [int(r) for c in wanted for r in np.flatnonzero(reader.index["class"] == c)]
    decoded = read_chunks(codec, [(reader, row) for row in rows])
    parts = {c: [Codes.empty(codec.top_shape(reader.image_size))] for c in wanted}
    for row, codes in zip(rows, decoded, strict=True):
        parts[int(reader.index["class"][row])].append(codes)
    return {c: Codes.concat(chunks) for c, chunks in parts.items()}


def read_chunks(codec: Codec, places: Sequence[Place]) -> list[Codes]:
    """The codes of some chunks, decoded side by side.

    Args:
        codec: that of all their files, whose images have one size.
        places: the file of each chunk, and its row in the file's index.

    Raises:
        CorruptError: a stream is damaged; the message names the file and the class.
    """
    if not places:
        return []
    top_shape = codec.top_shape(places[0][0].image_size)
    _check_expansion(places, top_shape)
    made = [*_streams_of(places)]
    try:
        decoded = codec.decompress(made, top_shape)
    except DrrError as error:
        files = ", ".join(dict.fromkeys(str(reader.path) for reader, _ in places))
        names = list(dict.fromkeys(_class_of(place) for place in places))
        shown = ", ".join(names[:3]) + ("…" if len(names) > 3 else "")
        raise CorruptError(f"{files}: class {shown}: {error}") from error
    wrong = first_difference(made, decoded)
    if wrong is not None:
        raise CorruptError(
            f"{places[wrong][0].path}: class {_class_of(places[wrong])} decodes to other codes "
            "than were encoded: streams or models are damaged, or this machine does not compute "
            "exactly; try another machine, or take the file from a backup"
        )
    return decoded


def _check_expansion(places: Sequence[Place], top_shape: tuple[int, int]) -> None:
    """Refuse chunks that would take far more memory than honest streams of their size."""
    rows = [reader.index[row] for reader, row in places]
    packed = sum(int(row["top_bytes"]) + int(row["bottom_bytes"]) for row in rows)
    codes_an_image = 5 * top_shape[0] * top_shape[1]  # the bottom has four times as many
    unpacked = 8 * codes_an_image * sum(int(row["images"]) for row in rows)
    classes = {(id(reader), int(reader.index["class"][row])) for reader, row in places}
    check_expansion(places[0][0].path, f"streams of {len(classes)} classes", packed, unpacked)


def _class_of(place: Place) -> str:
    reader, row = place
    return reader.classes[int(reader.index["class"][row])]


def _streams_of(places: Sequence[Place]) -> Iterator[ClassStreams]:
    """The streams of each place; those of a file are fetched together."""
    rows: dict[int, tuple[Reader, list[int]]] = {}
    for reader, row in places:
        rows.setdefault(id(reader), (reader, []))[1].append(row)
    found = {key: reader.streams(of_file) for key, (reader, of_file) in rows.items()}
    for reader, row in places:
        yield _streams(reader, row, found[id(reader)])


def _streams(reader: Reader, row: int, found: Iterator[tuple[bytes, bytes]]) -> ClassStreams:
    """The next of ``found``, which are the streams of ``row``."""
    try:
        top, bottom = map(_to_words, next(found))
    except CorruptError as error:
        name = reader.classes[int(reader.index["class"][row])]
        raise CorruptError(f"{reader.path}: class {name}: {error}") from error
    images, digest = (int(reader.index[name][row]) for name in ("images", "codes_digest"))
    return ClassStreams(images, top, bottom, digest)
