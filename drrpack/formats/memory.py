"""A ``.drr`` file as a memory of labelled images: the container and the codec together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from drrpack.core.ans import Words
from drrpack.core.codec import ClassStreams, Codec, assemble, first_difference
from drrpack.core.codes import Codes
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.errors import CorruptError, DrrError, ExactnessError, VersionError
from drrpack.core.section import Section
from drrpack.core.weights import pack_vqvae, unpack_vqvae
from drrpack.formats import shipped
from drrpack.formats.container import Chunk, Reader
from drrpack.formats.encoder import decoder_alone, of_quality, with_encoder
from drrpack.formats.layout import check_expansion

__all__ = ["chunk", "decoder_alone", "load_codec", "read_codes", "sections"]

VQVAE_VERSIONS = ("1.0", "2.0", "3.0")


def sections(codec: Codec) -> tuple[Section, Section]:
    """The two model sections of a file: VQ-VAE and entropy model."""
    vqvae = pack_vqvae(codec.vqvae, codec.pixels.bits)
    return vqvae, pack_entropy(codec.entropy, codec.layouts)


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
    if encoder and vqvae.config.get("encoder") is False:
        vqvae = with_encoder(reader, vqvae)
    try:
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
    if section.major not in {known.split(".")[0] for known in VQVAE_VERSIONS}:
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
    rows = np.array([r for c in wanted for r in np.flatnonzero(reader.index["class"] == c)], int)
    top_shape = codec.top_shape(reader.image_size)
    chosen = reader.index[rows]
    packed = int((chosen["top_bytes"].astype(np.int64) + chosen["bottom_bytes"]).sum())
    codes_an_image = 5 * top_shape[0] * top_shape[1]  # the bottom has four times as many
    unpacked = 8 * codes_an_image * int(chosen["images"].sum(dtype=np.int64))
    check_expansion(reader.path, f"streams of {len(wanted)} classes", packed, unpacked)
    found = reader.streams([*map(int, rows)])
    made = [_streams(reader, int(row), found) for row in rows]
    try:
        decoded = codec.decompress(made, top_shape)
    except DrrError as error:
        names = ", ".join(reader.classes[c] for c in wanted[:3]) + ("…" if len(wanted) > 3 else "")
        raise CorruptError(f"{reader.path}: class {names}: {error}") from error
    wrong = first_difference(made, decoded)
    if wrong is not None:
        name = reader.classes[int(chosen["class"][wrong])]
        raise CorruptError(
            f"{reader.path}: class {name} decodes to other codes than were encoded: streams or "
            "models are damaged, or this machine does not compute exactly; try another machine, or "
            "take the file from a backup"
        )
    parts: dict[int, list[Codes]] = {c: [Codes.empty(top_shape)] for c in wanted}
    for row, codes in zip(rows, decoded, strict=True):
        parts[int(reader.index["class"][row])].append(codes)
    return {c: Codes.concat(chunks) for c, chunks in parts.items()}


def _streams(reader: Reader, row: int, found: Iterator[tuple[bytes, bytes]]) -> ClassStreams:
    """The next of ``found``, which are the streams of ``row``."""
    try:
        top, bottom = map(_to_words, next(found))
    except CorruptError as error:
        name = reader.classes[int(reader.index["class"][row])]
        raise CorruptError(f"{reader.path}: class {name}: {error}") from error
    images, digest = (int(reader.index[name][row]) for name in ("images", "codes_digest"))
    return ClassStreams(images, top, bottom, digest)
