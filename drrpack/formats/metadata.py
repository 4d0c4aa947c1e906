"""Reading a file's metadata: notes for people, in which a file may hold anything, or nothing."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import Any

from drrpack.formats.layout import Json

NEAREST = 100  # the quality of images whose codes are the nearest


def part(metadata: Json, name: str) -> Json:
    """The object called ``name``; an empty one where there is none, or something else."""
    found: Any = metadata.get(name)
    return found if isinstance(found, dict) else {}


def number(metadata: Json, name: str) -> float | None:
    """The number called ``name``, if it is one."""
    found: Any = metadata.get(name)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def quality(metadata: Json) -> int | None:
    """By which the codes of the file's images were chosen, 0 to 100.

    None where that is not recorded: they are the nearest then. Raises ValueError where it is no
    such number.
    """
    found: Any = metadata.get("quality")
    if found is not None and (type(found) is not int or not 0 <= found <= NEAREST):
        raise ValueError(f"its quality is {found!r}, expected 0 to {NEAREST}")
    return found


def known_quality(metadata: Json) -> int | None:
    """The same; None as well where it can't be understood."""
    try:
        return quality(metadata)
    except ValueError:
        return None


def sources(metadata: Json) -> list[Json]:
    """The rows of ``sources``, where images came from, as far as they can be understood."""
    rows: Any = metadata.get("sources")
    return [row for row in rows if _is_source(row)] if isinstance(rows, list) else []


def fitted_classes(metadata: Json) -> list[str]:
    """Names of the classes of the file's sources that its codec was fitted on, in whatever turn.

    Empty where nothing is known of them: a codec that came with drrpack, or from another file, was
    fitted on images that the file does not name.
    """
    turns, fit = list[Json](), part(metadata, "fit")
    while fit:
        turns.append(fit)
        fit = part(fit, "before")
    found = dict[str, None]()
    for row in sources(metadata):
        counts = [turn["classes"] for turn in turns if _was_fitted_on(turn, row)]
        # a file that has lost classes since (`drop`) keeps the names of those that mattered
        found |= dict.fromkeys(_fitted(row, row["classes"])[: max(counts, default=0)])
    return list(found)


def _was_fitted_on(fit: Json, row: Json) -> bool:
    digest = part(row, "digest").get("train")
    known = digest is not None and digest == fit.get("source_digest")
    return known and type(fit.get("classes")) is int


def _fitted(row: Json, otherwise: list[Any]) -> list[Any]:
    names: Any = row.get("fitted", otherwise)
    return names if isinstance(names, list) else [None]


def shared_sources(metadata: Json) -> list[Json]:
    """The same as a new file holds them: where a folder lay is for nobody else to know.

    Files of before record that path; its last component is all that is kept of it.
    """
    return [_without_path(row) for row in sources(metadata)]


def _without_path(row: Json) -> Json:
    kept = {name: value for name, value in row.items() if name != "path"}
    if "path" in row and "name" not in row:
        kept["name"] = PureWindowsPath(
            row["path"]
        ).name  # which knows the separators of both worlds
    return kept


def _is_source(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and ("path" in row or "name" in row)
        and all(isinstance(row.get(name, ""), str) for name in ("path", "name"))
        and isinstance(row.get("classes"), list)
        and all(isinstance(name, str) for name in row["classes"])
        and all(isinstance(name, str) for name in _fitted(row, []))
        and (row.get("size") is None or type(row["size"]) is int)
    )
