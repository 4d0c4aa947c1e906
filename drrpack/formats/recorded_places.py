"""Where the folders lie that a ``.drr`` file records, as far as this machine can tell.

A file may come from anywhere, so drrpack never opens text from it as a path. The user's machine
remembers where a folder is; otherwise the folder is beside the file, or the user names it.
"""

from __future__ import annotations

from pathlib import Path

from drrpack.formats import whereabouts
from drrpack.formats.container import Reader
from drrpack.formats.files.addresses import is_address
from drrpack.formats.metadata import SourceRecord
from drrpack.formats.recorded import records
from drrpack.formats.sources.listing import called, listings
from drrpack.formats.sources.opening import Given
from drrpack.formats.sources.shards import is_there
from drrpack.formats.sources.source import Split


def place(
    reader: Reader, kept: SourceRecord, given: Path | None, split: Split, trusted: bool
) -> Path | None:
    """Where a recorded folder should be: ``given``, unless that is another one of several."""
    if given is not None and len(records(reader)) == 1:
        return given
    if given is not None and _listed(given, kept, split):
        return given
    found = _find(reader, kept, split)
    if found is not None and is_there(found):
        return found
    return Path(kept.path) if trusted and kept.path is not None else given or found


def _find(reader: Reader, kept: SourceRecord, split: Split = "train") -> Path | None:
    """Where a recorded folder lies on this machine, as far as that can be told without its help.

    A folder of its name, beside the file or where one works, must have its listing. Where it was
    last seen it may have changed: the digest of its pictures will show. A source there that has no
    such split is another one.
    """
    remembered = whereabouts.find(kept.digests.get(split), split)
    there = {} if remembered is None else listings(remembered, kept.labelling)
    if split in there and there[split] == kept.listings.get(split):
        return remembered
    around = [Path()] if is_address(reader.path) else [Path(reader.path).parent, Path()]
    nearby = (path for near in around for path in called(near, kept.name or ""))
    same = (path for path in nearby if _listed(path, kept, split))
    return next(same, None if there and split not in there else remembered)


def _listed(folder: Path, kept: SourceRecord, split: Split) -> bool:
    """Whether a folder holds files of the recorded names and sizes."""
    recorded = kept.listings.get(split)
    return recorded is not None and listings(folder, kept.labelling).get(split) == recorded


def not_found(kept: SourceRecord, path: Path | None) -> str:
    """Say where a folder was looked for without success."""
    if path is not None:
        return f"the images it was made from are not at {path} any more"
    if kept.path is not None:
        return (
            f"found the path {kept.path!r} for the images it was made from, which drrpack does "
            "not open only because a file names it"
        )
    return (
        f"found no folder {kept.name!r} with the images it was made from: not beside the file, "
        "not in the current folder, and not where this machine has seen them before"
    )


def untrusted_paths(reader: Reader, given: Given | None) -> list[str]:
    """The paths that an older file names for folders that can't be found in another way."""
    every = records(reader)
    if given is not None and len(every) == 1:
        return []
    places = [(kept.path, _find(reader, kept)) for kept in every]
    lost = [path for path, found in places if found is None or not is_there(found)]
    return [path for path in lost if path is not None]
