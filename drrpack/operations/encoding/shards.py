"""Divide a memory into files of a limited size, each with whole classes and the models."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from drrpack.core.codes import LEVELS, Codes
from drrpack.core.errors import OptionError
from drrpack.core.lazily import Lazily
from drrpack.core.section import Section
from drrpack.formats import metadata
from drrpack.formats.container import Memory
from drrpack.formats.hdf5.build import image_bytes
from drrpack.formats.layout import Json
from drrpack.operations import figures
from drrpack.operations.edit import of_classes

MB = 1_000_000
_WAYS_OUT = "say a larger number; `thin=True` leaves out models that come with drrpack"
# In the place of figures that are not measured yet. As JSON no number is longer than this one, so
# no file becomes larger than was reckoned.
_LONGEST = -1.2345678901234567e-100
_UNMEASURED: Json = {
    level: dict.fromkeys(("codes", "order0", "lzma"), _LONGEST) for level in (*LEVELS, "all")
}


def check_models(models: Sequence[tuple[Section, Section]], limit: int) -> None:
    """Refuse a limit that the models alone pass, before the work, of several codecs the smallest.

    Raises:
        OptionError: no shard can be that small.
    """
    least = min(len(vqvae.data) + len(entropy.data) for vqvae, entropy in models)
    if least > limit:
        raise OptionError(
            f"`shard_mb={_shown(limit)}`: each file holds the models, which take {_mb(least)} MB; "
            f"{_WAYS_OUT}",
            option="shard_mb",
        )


def divided(output: Path, content: Memory, codes: Sequence[Codes], limit: int) -> Sequence[Memory]:
    """The parts of a memory whose files take ``limit`` bytes at most, in the order of the classes.

    Each has as many whole classes as fit. A class is never divided: `merge`, `append` and `train`
    take one file for each class.

    Args:
        output: what the memory is called, for messages.
        content: all of it.
        codes: for each class; they are read again for the bits per code of order-0 coding and lzma,
            which each file has of its own codes.

    Raises:
        OptionError: a class alone takes more.
    """

    def size(classes: range) -> int:
        return image_bytes(output, _part(content, classes, _UNMEASURED))

    groups = consecutive(len(content.classes), limit, size)
    if groups is None:
        raise _too_large(content, limit, size)

    def part(number: int) -> Memory:
        group = groups[number]
        of_group = Lazily(len(group), lambda place: codes[group[place]])
        return _part(content, group, figures.references(of_group))

    return Lazily(len(groups), part)


def consecutive(count: int, limit: int, size: Callable[[range], int]) -> list[range] | None:
    """Divide ``count`` items into ranges, each as long as its ``size`` is ``limit`` at most.

    ``size`` grows with the range. None where one item alone is too large.
    """
    groups = list[range]()
    start = 0
    while start < count:
        lengths = range(1, count - start + 1)
        most = bisect_right(lengths, limit, key=lambda n: size(range(start, start + n)))
        if most == 0:
            return None
        groups.append(range(start, start + most))
        start += most
    return groups


def _too_large(content: Memory, limit: int, size: Callable[[range], int]) -> OptionError:
    """The error for classes that alone take too much; it says what the largest one takes."""
    alone = [size(range(n, n + 1)) for n in range(len(content.classes))]
    largest = max(range(len(alone)), key=alone.__getitem__)
    return OptionError(
        f"`shard_mb={_shown(limit)}`: the class {content.classes[largest]!r} alone takes "
        f"{_mb(alone[largest])} MB with the models, and a class is never divided; {_WAYS_OUT}",
        option="shard_mb",
    )


def _shown(limit: int) -> str:
    """Megabytes to the byte, so that a size which is larger is shown to be."""
    return f"{limit / MB:.6f}".rstrip("0").rstrip(".")


def _mb(count: int) -> str:
    """Megabytes, rounded up to hundredths, so that what is shown is enough."""
    return f"{-(-count // 10_000) / 100:.2f}"


def _part(content: Memory, classes: range, reference: Json) -> Memory:
    """Some classes, with figures of their own and the order in which all classes are learned."""
    made = of_classes(content, [content.classes[number] for number in classes])
    known = metadata.part(made.metadata, "figures")
    changed: Json = {**made.metadata, "figures": {**known, "reference_bits": reference}}
    if "class_order" in content.metadata:
        changed["class_order"] = content.metadata["class_order"]
    return replace(made, metadata=changed)
