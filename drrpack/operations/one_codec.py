"""Whether files were made by one codec, and how to say that they were not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.core.families import FAMILIES
from drrpack.core.section import Section
from drrpack.core.weights import stored_stride
from drrpack.core.wording import sides
from drrpack.formats import shipped
from drrpack.formats.container import Memory
from drrpack.formats.encoder import decoder_alone


def check_one_vqvae(memories: Mapping[Path, Memory]) -> None:
    """Refuse memories of different VQ-VAEs; their codes mean different things.

    Raises:
        OptionError: different VQ-VAEs or image sizes; the message says how they differ.
    """
    (first_path, first), *others = memories.items()
    for path, other in others:
        if first.image_size != other.image_size:
            one, two = (sides(memory.image_size) for memory in (first, other))
            raise OptionError(f"{first_path} has images of {one}, {path} of {two}")
        pair = {at: shipped.whole(m.vqvae, at) for at, m in ((first_path, first), (path, other))}
        if len({shipped.key(model) for model in pair.values()}) > 1:
            _refuse_decoder_alone(pair)
            one, two = (_origin(model) for model in pair.values())
            raise OptionError(
                f"{first_path} and {path} were made by different codecs: the first by {one}, the "
                f"second by {two}, and {_difference(*pair.values())}. So neither codec can read "
                "both. Encode the images of one file again, with the other file as `codec`"
            )


def _refuse_decoder_alone(models: Mapping[Path, Section]) -> None:
    """Raise OptionError if one of two VQ-VAEs is the decoder of the other one."""
    whole = [path for path, model in models.items() if model.config.get("encoder") is True]
    alone = [path for path, model in models.items() if model.config.get("encoder") is False]
    if len(whole) != 1 or len(alone) != 1:
        return
    if shipped.key(decoder_alone(models[whole[0]])) == shipped.key(models[alone[0]]):
        raise OptionError(
            f"{whole[0]} and {alone[0]} were made by one codec, and the second lacks the encoder "
            f"of the VQ-VAE (`decoder_only`). Encode the images of {alone[0]} again, with "
            f"{whole[0]} as `codec`"
        )


def _origin(vqvae: Section) -> str:
    if not shipped.known(vqvae):
        return "one that was fitted"
    (family,) = (f for f in FAMILIES.values() if f.vqvae.stride == stored_stride(vqvae))
    return f"{family.name!r}, which comes with drrpack"


def _difference(one: Section, two: Section) -> str:
    """The difference between two VQ-VAEs, in words of the manual."""
    strides = stored_stride(one), stored_stride(two)
    if strides[0] != strides[1]:
        a, b = (sides((stride, stride)) for stride in strides)
        return f"a code of the first stands for {a} pixels, one of the second for {b}"
    if _shape(one) != _shape(two):
        return "their VQ-VAEs have layers of other sizes"
    return "their VQ-VAEs have other weights"


def _shape(vqvae: Section) -> dict[str, object]:
    """The sizes that a VQ-VAE was made with: what no fitting changes."""
    numbers = {k: v for k, v in vqvae.config.items() if type(v) is int}
    return {name: value for name, value in numbers.items() if not name.endswith("_bits")}
