"""Codecs made of other codecs, from which entropy models are built.

They correspond to ``substack``, ``repeat`` and ``BBANS`` in craystack (Townsend et al., "HiLLoC:
Lossless Image Compression with Hierarchical Latent Variable Models", ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from drrpack.core.ans import Codec, Message
from drrpack.core.arrays import Symbols

X = TypeVar("X")
Z = TypeVar("Z")


def shaped(codec: Codec[Symbols], shape: Sequence[int]) -> Codec[Symbols]:
    """A codec of (streams, n) symbols as one of arrays of ``shape``, (streams, ...)."""

    def push(message: Message, x: Symbols) -> Message:
        return codec.push(message, x.reshape(shape[0], -1))

    def pop(message: Message) -> tuple[Message, Symbols]:
        message, x = codec.pop(message)
        return message, x.reshape(shape)

    return Codec(push, pop)


def in_turn(
    shape: Sequence[int],
    parts: Sequence[Callable[[Symbols], Symbols]],
    given: Callable[[int, Symbols], Codec[Symbols]],
) -> Codec[Symbols]:
    """Arrays of ``shape``, part after part, each coded by what is known of the parts before it.

    Args:
        parts: views of an array that together cover it, in the order of decoding.
        given: the codec of the part of that number; it looks at earlier parts of the array alone.
    """
    numbers = range(len(parts))

    def push(message: Message, x: Symbols) -> Message:
        for number in reversed(numbers):
            part = parts[number](x)
            message = shaped(given(number, x), part.shape).push(message, part)
        return message

    def pop(message: Message) -> tuple[Message, Symbols]:
        x = np.zeros(shape, dtype=np.int64)
        for number in numbers:
            part = parts[number](x)
            message, part[:] = shaped(given(number, x), part.shape).pop(message)
        return message, x

    return Codec(push, pop)


def in_blocks(
    count: int, at_once: int, codec_of: Callable[[slice], Codec[Symbols]]
) -> Codec[Symbols]:
    """A codec of ``count`` symbols a stream, (streams, count), that is made block by block.

    So memory is bounded by what one block takes. A block ends where every lane has taken a symbol,
    so the words are those of a codec of all symbols.

    Args:
        at_once: symbols of a stream in a block; fewer by less than the lanes, but a symbol a lane.
        codec_of: the codec of some columns of the symbols, made anew whenever they are coded.
    """

    def blocks(message: Message) -> list[slice]:
        size = max(1, at_once // message.lanes) * message.lanes
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def push(message: Message, x: Symbols) -> Message:
        for block in blocks(message):
            message = codec_of(block).push(message, x[:, block])
        return message

    def pop(message: Message) -> tuple[Message, Symbols]:
        x = np.empty((message.streams, count), dtype=np.int64)
        for block in reversed(blocks(message)):
            message, x[:, block] = codec_of(block).pop(message)
        return message, x

    return Codec(push, pop)


def bits_back(
    posterior: Callable[[X], Codec[Z]], likelihood: Callable[[Z], Codec[X]], prior: Codec[Z]
) -> Codec[X]:
    """Bits-back coding: x with a latent z, whose choice takes bits off the message.

    The net cost of x is ``log q(z | x) - log p(x | z) - log p(z)``, the negative ELBO on average
    (Townsend, Bird, Barber, "Practical Lossless Compression with Latent Variables using Bits Back
    Coding", ICLR 2019). The prior may itself be bits back with a latent above, which is Bit-Swap.
    """

    def push(message: Message, x: X) -> Message:
        message, z = posterior(x).pop(message)
        message = likelihood(z).push(message, x)
        return prior.push(message, z)

    def pop(message: Message) -> tuple[Message, X]:
        message, z = prior.pop(message)
        message, x = likelihood(z).pop(message)
        return posterior(x).push(message, z), x

    return Codec(push, pop)
