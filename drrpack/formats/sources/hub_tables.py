"""Tell configurations and splits of a data set of the hub, from its card and Parquet files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

from drrpack.core.errors import SourceError
from drrpack.core.wording import few
from drrpack.formats.layout import Json
from drrpack.formats.sources.class_folders import TEST_NAME, TRAIN_NAME, VAL_NAMES
from drrpack.formats.sources.hub_files import Repository
from drrpack.formats.sources.hub_name import HubName
from drrpack.formats.sources.shards import split_word
from drrpack.formats.sources.splits import Split

Splits: TypeAlias = dict[str, list[str]]  # names of files, by the split's name on the hub
DEFAULT = "default"  # what the hub calls the configuration of a data set that names none
PARTIAL = "partial-"  # before the name of a split of which the hub has converted the first part
_NUMBERED = re.compile(r"(.+?)-\d+-of-\d+")


def tables_of(repository: Repository) -> dict[str, Splits]:
    """The Parquet files of each split of each configuration, in the order of their names.

    The card goes before the names of files, as for the library ``datasets``.
    """
    files = sorted(file for file in repository.files if file.lower().endswith(".parquet"))
    said = {str(one.get("config_name", DEFAULT)): one for one in repository.configs}
    carded = {config: _carded(one, files) for config, one in said.items()}
    if any(carded.values()):
        return {config: splits for config, splits in carded.items() if splits}
    found: dict[str, Splits] = {}
    for file in files:
        config, split = _by_name(PurePosixPath(file))
        found.setdefault(config, {}).setdefault(split, []).append(file)
    return found


def _carded(config: Json, files: Sequence[str]) -> Splits:
    """The files that one configuration of a card names.

    ``data_files`` is a pattern or several, a mapping of splits to patterns, or a list of objects
    with ``split`` and ``path``.
    """
    said: object = config.get("data_files")
    folder = str(config.get("data_dir") or "")
    pairs: list[tuple[str, object]] = []
    if isinstance(said, Mapping):
        pairs = [(str(split), patterns) for split, patterns in said.items()]
    elif isinstance(said, list) and all(isinstance(one, Mapping) for one in said):
        pairs = [(str(one.get("split", TRAIN_NAME)), one.get("path")) for one in said]
    elif said is not None:
        pairs = [(TRAIN_NAME, said)]
    found = {split: _matching(patterns, folder, files) for split, patterns in pairs}
    return {split: names for split, names in found.items() if names}


def _matching(patterns: object, folder: str, files: Iterable[str]) -> list[str]:
    from fsspec.utils import glob_translate  # comes with huggingface_hub, which has just been used

    every = patterns if isinstance(patterns, list) else [patterns]
    texts = [str(PurePosixPath(folder, one)) for one in every if isinstance(one, str)]
    rules = [re.compile(glob_translate(text)) for text in texts]
    return [file for file in files if any(rule.match(file) for rule in rules)]


def _by_name(file: PurePosixPath) -> tuple[str, str]:
    """Configuration and split of ``CONFIG/train-00000-of-00002.parquet``, or of
    ``CONFIG/SPLIT/0000.parquet``; the folder ``data`` is no configuration."""
    folders = [part for part in file.parts[:-1] if part != "data"]
    numbered = _NUMBERED.fullmatch(file.stem)
    if file.stem.isdecimal() and folders:
        split = folders.pop()
    elif numbered is not None:
        split = numbered[1]
    else:
        split = split_word(file.stem) or next(
            (word for folder in reversed(folders) if (word := split_word(folder))), TRAIN_NAME
        )
        folders = [folder for folder in folders if split_word(folder) is None]
    return (folders[0] if folders else DEFAULT), split


def chosen_config(name: HubName, tables: Mapping[str, Splits]) -> str:
    """The configuration that a name says, or the only one, or the one called ``default``.

    Raises:
        SourceError: there is no such configuration, or several, none of which is the default.
    """
    if name.config is None and len(tables) == 1:
        return next(iter(tables))
    config = DEFAULT if name.config is None else name.config
    if config in tables:
        return config
    found = f"no configuration {name.config!r} among" if name.config else "several configurations,"
    raise SourceError(
        f"{name}: found {found} {few([*tables])}; expected one of them: name it, as in "
        f"{HubName(name.repo, name.revision, next(iter(tables)))}"
    )


def chosen_splits(name: HubName, splits: Splits) -> dict[Split, list[str]]:
    """The files of the split that a name says, as what to train on; or those of the splits
    ``train`` and ``test`` (or else a validation split).

    Raises:
        SourceError: there is no such split, or the hub has converted only a part of it.
    """
    if name.split is not None:
        wanted: dict[Split, str | None] = {"train": name.split}
    else:
        wanted = {"train": TRAIN_NAME}
        test = next((word for word in (TEST_NAME, *VAL_NAMES) if word in splits), None)
        wanted |= {} if test is None else {"test": test}
    chosen: dict[Split, list[str]] = {}
    for split, called in wanted.items():
        if called not in splits:
            raise SourceError(_no_split(name, str(called), splits))
        chosen[split] = splits[called]
    return chosen


def _no_split(name: HubName, wanted: str, splits: Splits) -> str:
    if PARTIAL + wanted in splits:
        return (
            f"{name}: found only a part of the split {wanted!r}, as the hub converts no more of a "
            "large data set; expected all of it: download its own files and name their folder, or "
            f"take that part with {HubName(name.repo, name.revision, name.config or DEFAULT)}/"
            f"{PARTIAL}{wanted}"
        )
    there = next(iter(splits))
    return (
        f"{name}: found no split {wanted!r} among {few([*splits])}; expected one of them: name it, "
        f"as in {HubName(name.repo, name.revision, name.config or DEFAULT, there)}"
    )
