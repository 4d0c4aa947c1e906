"""Check a ``.drr`` file, up to decoding all of it: the work of ``drrpack verify``."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args, overload

from drrpack.core.errors import OptionError
from drrpack.core.progress import Step
from drrpack.formats.container import Reader
from drrpack.formats.file_set import files_of, of_reader
from drrpack.formats.layout import AnyPath, Json
from drrpack.operations.progress import Report, heard

# 105,000 images of 32x32, 2,100 of 224x224: as many streams as are decoded side by side, and more
CODES_BYTES = 16 * 2**20

Depth = Literal["quick", "sections", "full"]


@dataclass(frozen=True)
class Checked:
    """How many parts of a file were checked; None where the depth leaves them out."""

    sections: int | None = None  # by their sha256
    streams: int = 0  # by their CRC
    raw_records: int = 0
    streams_decoded: int | None = None  # to the digest of their codes
    raw_decoded: int | None = None  # images

    def to_json(self) -> Json:
        """The checks that were made."""
        return {name: count for name, count in asdict(self).items() if count is not None}


@dataclass(frozen=True)
class Verified:
    """The checks that a file has passed; a file that fails one raises FormatError instead."""

    path: str
    depth: str  # "quick", "sections", "full", or "sample 2/10"
    format_version: str
    classes: int
    images: int
    checked: Checked
    seconds: float
    sound: Literal[True] = True

    def to_json(self) -> Json:
        """As ``drrpack verify --json`` prints it."""
        return {
            "path": self.path,
            "sound": self.sound,
            "depth": self.depth,
            "format_version": self.format_version,
            "classes": self.classes,
            "images": self.images,
            "checked": self.checked.to_json(),
            "seconds": self.seconds,
        }


@overload  # a text is a path, though it is a sequence of texts as well
def verify(  # type: ignore[overload-overlap]
    memory: AnyPath, depth: Depth = ..., *, sample: str | None = ..., report: Report | None = ...
) -> Verified: ...


@overload
def verify(
    memory: Sequence[AnyPath], depth: Depth = ..., *, sample: str | None = ...,
    report: Report | None = ...,
) -> list[Verified]: ...  # fmt: skip


def verify(
    memory: AnyPath | Sequence[AnyPath],
    depth: Depth = "sections",
    *,
    sample: str | None = None,
    report: Report | None = None,
) -> Verified | list[Verified]:
    """Check a ``.drr`` file; returns what was checked.

    Args:
        memory: the path or the address of the file; or a list, in which patterns such as
            ``"mem-*.drr"`` may stand: its files are checked one after the other, up to the first
            that fails.
        depth: ``"quick"`` for the structure and the CRC of each record; ``"sections"`` for the
            sha256 of each section as well; ``"full"`` also decodes every stream, compares the
            digest of its codes, and decodes every raw image.
        sample: also decode one part of the classes: ``"1/10"`` is the first of ten parts.
        report: called with a `Step` while streams are decoded.

    Raises:
        FormatError: a check failed; the subclass says which kind, see `drrpack.core.errors`.
        OptionError: ``depth`` or ``sample`` is not valid.
    """
    if depth not in get_args(Depth):
        known = ", ".join(get_args(Depth))
        raise OptionError(f"`depth={depth!r}`: say one of {known}", option="depth")
    part = (1, 1) if sample is None else _part(sample)
    depth, heard_by = depth if sample is None else "full", heard(report)
    if isinstance(memory, str | os.PathLike):
        return _verified(memory, depth, part, heard_by)
    return [_verified(path, depth, part, heard_by) for path in files_of(memory)]


def _verified(memory: AnyPath, depth: Depth, part: tuple[int, int], report: Report) -> Verified:
    start = time.monotonic()
    with Reader(memory) as reader:
        checked = Checked(None, 2 * len(reader.index), len(reader.raw_index))
        if depth != "quick":
            reader.check_sections()
            checked = replace(checked, sections=len(reader.structure.digests))
        reader.check_records()
        if depth == "full":
            checked = _decode(reader, part, checked, report)
        return Verified(
            str(memory), depth if part == (1, 1) else "sample {}/{}".format(*part),
            reader.format_version, len(reader.classes), int(reader.images_per_class.sum()),
            checked, round(time.monotonic() - start, 3),
        )  # fmt: skip


def _part(text: str) -> tuple[int, int]:
    """``2/10`` as the second of ten parts; raises OptionError."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(
            f"`sample={text!r}`: say which part of how many, such as 1/10", option="sample"
        )
    return int(match[1]), int(match[2])


def _decode(
    reader: Reader, sample: tuple[int, int], checked: Checked, report: Callable[[Step], None]
) -> Checked:
    """Decode the classes of this part; `StoredImages` compares the codes with their digests."""
    import torch  # the other checks need none of it

    from drrpack.formats.raw import read_raw
    from drrpack.formats.stored_images import StoredImages

    part, parts = sample
    wanted = range(part - 1, len(reader.classes), parts)
    stored = StoredImages(of_reader(reader), wanted, torch.device("cpu"), CODES_BYTES)
    stored.codec(0)  # checks the models, even if there are no streams
    for group in stored.groups(range(len(stored.chunks))):
        stored.keep(group)
        report(Step("decoding", int(stored.starts[group[-1] + 1]), int(stored.starts[-1])))
    raw_images = sum(len(read_raw(reader, number).positions) for number in wanted)
    return replace(checked, streams_decoded=2 * len(stored.chunks), raw_decoded=raw_images)
