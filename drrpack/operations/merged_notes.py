"""The notes of a file that is merged of others: what holds of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drrpack.formats import metadata
from drrpack.formats.layout import Json

_PEAK = 255**2


def merged_notes(of_files: Sequence[Json], sources: Sequence[Json]) -> Json:
    """The notes that a merged file has of its own, where ``sources`` are those of all its classes.

    Those of the first file hold for what is not in it.
    """
    found = {
        "quality": _quality(of_files),
        "raw": _raw(of_files),
        "fit": _fit(of_files, sources),
        "figures": _figures(of_files),
    }
    first = {name: value for name, value in of_files[0].items() if name not in found}
    known = {name: value for name, value in found.items() if value is not None}
    return {**first, **known, "sources": [*sources]}


def _quality(of_files: Sequence[Json]) -> int | None:
    """The highest quality of some files, so that appended images are no worse than the others.

    None if no file records its quality.
    """
    if not any("quality" in each for each in of_files):
        return None
    known = [metadata.known_quality(each) for each in of_files]
    return max(metadata.NEAREST if one is None else one for one in known)


def _raw(of_files: Sequence[Json]) -> Json | None:
    """The rule by which most raw images of a class are kept, so that appended classes have no fewer
    than the others; of several the first. None if no file has one."""
    rules = [rule for each in of_files if (rule := metadata.part(each, "raw"))]
    return max(rules, key=_per_class, default=None)


def _per_class(rule: Json) -> int:
    count = metadata.count(rule, "per_class")
    return -1 if count is None else count


def _fit(of_files: Sequence[Json], sources: Sequence[Json]) -> Json | None:
    """How the one codec of all files was fitted, by the file that tells of most classes that it was
    fitted on: what one file does not know is true all the same.

    How an entropy model was tuned is left out unless it was so in all files. None if no file knows.
    """
    logs = [log for each in of_files if (log := metadata.part(each, "fit"))]
    if not logs:
        return None

    def told(log: Json) -> int:
        return len(metadata.fitted_classes({"fit": log, "sources": [*sources]}))

    log = max(logs, key=told)
    tuned = [each.get("tuned") for each in (metadata.part(notes, "fit") for notes in of_files)]
    same = all(one == tuned[0] for one in tuned)
    return {name: value for name, value in log.items() if same or name != "tuned"}


def _figures(of_files: Sequence[Json]) -> Json:
    """PSNR over all images that it was measured on, or nothing if that of a file is not known.

    Bits per code and the like hold of one file alone.
    """
    of_each = [metadata.part(each, "figures") for each in of_files]
    names = ("psnr_db", "psnr_images", "psnr_on")
    measured = [{name: each[name] for name in names if name in each} for each in of_each]
    once = [one for n, one in enumerate(measured) if one not in measured[:n]]
    changes = {name for each in of_each for name in metadata.since_measured(each)}
    since: Json = {"since": sorted(changes)} if changes else {}
    if len(once) == 1:  # parts of one memory, for which it was measured together
        return {**once[0], **since} if once[0] else {}
    errors, counts, where = list[float](), list[int](), list[str]()
    for one in once:
        psnr, images = metadata.psnr_db(one), metadata.count(one, "psnr_images")
        if psnr is None or not images:
            return {}
        errors.append(_PEAK / 10 ** (psnr / 10))
        counts.append(images)
        where.append(str(one.get("psnr_on", "")))
    mean = sum(e * n for e, n in zip(errors, counts, strict=True)) / sum(counts)
    alike = len({*where}) == 1
    return {
        "psnr_db": 10 * math.log10(_PEAK / mean),
        "psnr_images": sum(counts),
        "psnr_on": f"{where[0]}, in each of {len(where)} files" if alike else " and ".join(where),
        **since,
    }
