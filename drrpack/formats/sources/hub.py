"""Data sets of the Hugging Face hub as a source: their Parquet files, downloaded and read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.hub_files import Repository, converted, repository
from drrpack.formats.sources.hub_name import HubName, is_hub_name, parsed
from drrpack.formats.sources.hub_tables import Splits, chosen_config, chosen_splits, tables_of
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.parquet import ENDINGS, open_tables
from drrpack.formats.sources.shards import refuse_missing
from drrpack.formats.sources.splits import Opened, Split

DIVIDED = "a data set with splits of these names"


class Hub:
    """``hf:OWNER/NAME[@REVISION][:CONFIG[/SPLIT]]``; see docs/sources.md."""

    name: str = "hub"
    everywhere: str | None = None
    takes: tuple[str, ...] = ("image_column", "label_column")

    def recognises(self, given: Given) -> bool:
        return is_hub_name(path_of(given))

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        found = _find(parsed(path))
        # the names of the classes are those of the training split, whichever is asked for
        shards = {split: found.repository.fetch(files) for split, files in found.splits.items()
                  if split == "train" or split in how.splits}  # fmt: skip
        called = str(found.name)
        return replace(open_tables(shards, how, called, DIVIDED), root=Path(called), name=called)

    def files(self, root: Path, labelling: Labelling) -> Files:
        found = _find(parsed(root))
        for split, files in found.splits.items():
            yield split, [*zip(map(os.fsencode, files), found.repository.fetch(files), strict=True)]


@dataclass(frozen=True)
class _Found:
    """What a name stands for, and the name with the commit in it, which stands for it for ever."""

    name: HubName
    repository: Repository
    splits: dict[Split, list[str]]


def _find(name: HubName) -> _Found:
    held, tables = _with_tables(name)
    config = chosen_config(name, tables)
    pinned = replace(name, revision=held.commit, config=config)
    splits = chosen_splits(pinned, tables[config])
    for files in splits.values():
        refuse_missing([Path(file) for file in files])
    return _Found(pinned, held, splits)


def _with_tables(name: HubName) -> tuple[Repository, dict[str, Splits]]:
    """The data set's own Parquet files, or else those that the hub has made of it.

    Raises:
        SourceError: there are neither.
    """
    held: Repository | None = repository(name)
    if held is not None and (tables := tables_of(held)):
        return held, tables
    held = None if name.revision is not None else converted(name)
    if held is not None and (tables := tables_of(held)):
        return held, tables
    raise SourceError(
        f"{name}: found no {ENDINGS[0]} files in the data set, and none that the hub has made of "
        "it; expected such files: download the data set, and name the folder that holds its "
        "pictures"
    )
