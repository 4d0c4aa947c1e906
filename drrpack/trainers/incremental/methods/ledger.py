"""Count what methods that replay codes keep: the file, or the part of it that fits a budget."""

from __future__ import annotations

import math

from drrpack.trainers.incremental.context import PhaseContext


def least_codes(context: PhaseContext, *, raw: bool) -> tuple[dict[str, int], float]:
    """The parts of a file that are kept whatever is kept of its images, and the bytes of an image:
    of all classes the mean."""
    parts = {name: size for name, size in context.memory_bytes.items() if size}
    if not raw:
        parts.pop("raw", None)
    payload = parts.pop("payload")
    return parts, payload / max(1, sum(context.counts))


def kept_codes(
    context: PhaseContext, *, raw: bool, beside: int = 0
) -> tuple[int | None, dict[str, int]]:
    """How many images of a class are kept as codes (None: all), and the bytes of the file then.

    Models and container count in full, raw exemplars only where the method uses them. Streams are
    as long as they have images, to within one percent, so a part of them costs its share. A budget
    also has to pay for what the method keeps ``beside`` the codes of an image, in bytes.
    """
    parts, image_bytes = least_codes(context, raw=raw)
    counts, payload = context.counts, context.memory_bytes["payload"]
    each = context.room(parts, image_bytes + beside)
    if each is None or each >= max(counts):
        return None, {"payload": payload, **parts}
    images = sum(min(each, count) for count in counts)
    return each, {"payload": math.ceil(image_bytes * images), **parts}
