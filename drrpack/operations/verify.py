"""How far a ``.drr`` file can be trusted: checks from a quick look to decoding all of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from drrpack.core.errors import OptionError
from drrpack.formats.container import Reader
from drrpack.formats.layout import AnyPath

IMAGES_AT_ONCE = 20_000  # decoded side by side, which is what makes it fast

Tick = Callable[[int, int], None]  # images decoded, of how many


@dataclass(frozen=True)
class Depth:
    """How much to check: ``quick`` structure and CRCs; ``sections`` their sha256 as well; ``full``
    every stream decoded to the digest of its codes, and every raw image. ``part`` of ``parts``
    decodes every so many-th class only."""

    level: Literal["quick", "sections", "full"] = "sections"
    part: int = 1
    parts: int = 1


def parse_sample(text: str) -> Depth:
    """``2/10`` as the second of ten parts; raises OptionError."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(f"--sample {text}: say which part of how many, such as 1/10")
    return Depth("full", int(match[1]), int(match[2]))


def verify(path: AnyPath, depth: Depth, tick: Tick | None = None) -> dict[str, Any]:
    """Check a file and tell what was checked.

    Raises:
        FormatError: the first thing that is wrong, by its kind; see `drrpack.core.errors`.
    """
    start = time.monotonic()
    checked: dict[str, int] = {}
    with Reader(path) as reader:
        if depth.level != "quick":
            reader.check_sections()
            checked["sections"] = reader.section_count
        reader.check_records()
        checked["streams"] = 2 * len(reader.index)
        checked["raw_records"] = len(reader.raw_index)
        if depth.level == "full":
            checked |= _decode(reader, depth, tick)
        return {
            "path": str(path),
            "sound": True,
            "depth": depth.level if depth.parts == 1 else f"sample {depth.part}/{depth.parts}",
            "format_version": reader.format_version,
            "classes": len(reader.classes),
            "images": int(reader.images_per_class.sum()),
            "checked": checked,
            "seconds": round(time.monotonic() - start, 3),
        }


def _decode(reader: Reader, depth: Depth, tick: Tick | None) -> dict[str, int]:
    """Decode the classes of this part; reading codes compares them with their digests."""
    import torch  # the other checks need none of it

    from drrpack.formats.memory import load_codec, read_codes
    from drrpack.formats.raw import read_raw

    codec = load_codec(reader, torch.device("cpu"))
    counts = reader.images_per_class
    wanted = range(depth.part - 1, len(reader.classes), depth.parts)
    total, done, raw_images, waiting = int(counts[list(wanted)].sum()), 0, 0, 0
    together: list[int] = []
    for number in wanted:
        together.append(number)
        waiting += int(counts[number])
        if waiting >= IMAGES_AT_ONCE or number == wanted[-1]:
            read_codes(reader, codec, together)
            raw_images += sum(len(read_raw(reader, one).positions) for one in together)
            done, waiting, together = done + waiting, 0, []
            if tick is not None:
                tick(done, total)
    rows = np.isin(reader.index["class"], list(wanted))
    return {"streams_decoded": 2 * int(rows.sum()), "raw_decoded": raw_images}
