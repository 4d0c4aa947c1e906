"""The codec of a replay buffer: loaded from a file, and carried to another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from drrpack.core.codec import Codec, assemble
from drrpack.core.entropy.model import kind_of
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.errors import DrrError, OptionError
from drrpack.core.families import DEFAULT, get_family
from drrpack.core.pricing import with_quality
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.core.weights import unpack_vqvae
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.encoder import by_quality
from drrpack.formats.indices import whole_number
from drrpack.formats.layout import AnyPath
from drrpack.formats.memory import load_codec, model_bytes, sections


@contextmanager
def opened(codec: AnyPath | Reader | None, family: str | None) -> Iterator[Reader]:
    """The file of `path_of`; one that is open already, which stays so. Raises as `path_of`."""
    if isinstance(codec, Reader):
        yield codec
        return
    with Reader(path_of(codec, family)) as reader:
        yield reader


def path_of(codec: AnyPath | None, family: str | None) -> AnyPath:
    """The file ``codec``, or that of the codec of a family that comes with drrpack.

    Raises:
        DrrError: there is none. OptionError: both are given; the family is not known, or no codec
            of it is shipped.
    """
    if codec is None:
        return shipped_path(family or DEFAULT)
    if family is not None:
        raise OptionError(shipped.FAMILY_BESIDE_CODEC, option="family")
    return codec


def shipped_path(family: str = DEFAULT) -> AnyPath:
    """The file of the codec of a family that comes with drrpack and has a context model, which
    chooses codes. Raises as `path_of`."""
    for path in shipped.paths(get_family(family)):
        with Reader(path) as reader:
            if kind_of(shipped.whole(reader.entropy_model, path)) == "context":
                return path
    raise DrrError(f"{shipped.FOLDER}: found no codec with a context model; reinstall drrpack")


def codec_for(reader: Reader, device: torch.device, quality: int | None) -> Codec:
    """The codec of a file with its encoder, which chooses codes by ``quality``.

    None stands for the quality of the file. If it has none, that is 75 where a model can choose
    codes, and otherwise the nearest codes are taken.

    Raises:
        OptionError: a quality that is no number from 0 to 100 or that no model can serve, or a
            file without an encoder.
    """
    number = None if quality is None else whole_number(quality)
    if quality is not None and (number is None or not 0 <= number <= BEST):
        raise OptionError(f"`quality={quality!r}`: expected 0 to {BEST}", option="quality")
    codec = load_codec(reader, device, encoder=True)
    if number is None and codec.encoder.quality is not None:
        return codec
    if number is not None and number < BEST and codec.encoder.prices is None:
        raise OptionError(
            f"`quality={number}`: {reader.path} has no context model, which chooses the codes of "
            f"a quality below {BEST}; leave the option out, or give another `codec`",
            option="quality",
        )
    return with_quality([codec], DEFAULT_QUALITY if number is None else number)[0]


def stored_bytes(codec: Codec) -> int:
    """What both models take in a file, their configs included."""
    return sum(model_bytes(model) for model in sections(codec))


@dataclass(frozen=True)
class PackedCodec:
    """All that makes a codec, as values that can be pickled; ``path`` is for errors."""

    vqvae: Section
    entropy_model: Section
    quality: int | None
    path: AnyPath

    @staticmethod
    def of(codec: Codec, path: AnyPath) -> PackedCodec:
        return PackedCodec(*sections(codec), codec.encoder.quality, path)

    def on(self, device: torch.device) -> Codec:
        """The codec again."""
        parts = *unpack_vqvae(self.vqvae), *unpack_entropy(self.entropy_model)
        return by_quality(assemble(*parts, device), self.quality, self.path, look=True)
