"""List and download the files of a data set of the Hugging Face hub, by ``huggingface_hub``.

The listing of a commit is kept in the library's cache for other programs, so a data set that has
been downloaded opens without a network.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Protocol
from urllib.parse import quote

from drrpack.core.errors import DrrError, OutputError, SourceError
from drrpack.formats.files.publish import write_atomic
from drrpack.formats.layout import Json
from drrpack.formats.sources.hub_name import HubName, is_commit

CONVERTED = "refs/convert/parquet"  # the branch to which the hub itself writes Parquet files
MAIN = "main"
LISTING = "listing.json"


class _Sibling(Protocol):
    rfilename: str


class _Card(Protocol):
    def to_dict(self) -> Json: ...


@dataclass(frozen=True)
class Repository:
    """The files of a data set at one commit.

    Attributes:
        repo: OWNER/NAME. commit: its hash.
        files: the names of all files. configs: what the data set's card says of configurations.
    """

    repo: str
    commit: str
    files: tuple[str, ...]
    configs: tuple[Json, ...] = ()

    def fetch(self, files: Sequence[str]) -> list[Path]:
        """The places of some files in the library's cache; those that are missing are downloaded.

        Raises:
            SourceError: the hub can't be reached, or a file is not there.
        """
        hub, name = _library(self.repo), HubName(self.repo, self.commit)
        with _told(hub, name):
            fetch = partial(
                hub.HfApi().hf_hub_download, self.repo, repo_type="dataset", revision=self.commit
            )
            return [Path(fetch(filename=file)) for file in files]


def repository(name: HubName) -> Repository:
    """The files of a data set at the revision that the name has, or else on its main branch.

    A commit that was listed before is not asked for again. With ``HF_HUB_OFFLINE`` a branch is in
    the state in which it was last seen.

    Raises:
        SourceError: huggingface_hub is missing, the hub can't be reached, or there is no such
            data set or revision.
    """
    hub = _library(str(name))
    kept = _kept(hub, name) if name.is_pinned or hub.constants.HF_HUB_OFFLINE else None
    if kept is not None:
        return kept
    with _told(hub, name):
        found = hub.HfApi().dataset_info(name.repo, revision=name.revision or MAIN)
    listed = _listed(name, found.sha, found.siblings or (), found.card_data)
    _keep(hub, name, listed)
    return listed


def converted(name: HubName) -> Repository | None:
    """The Parquet files that the hub itself has made of a data set; None where it has not."""
    try:
        return repository(HubName(name.repo, CONVERTED))
    except _NoRevision:
        return None


class _NoRevision(SourceError):
    """The data set is there, and this revision of it is not."""


def _library(called: str) -> ModuleType:
    try:
        for part in ("constants", "errors"):  # the package itself imports them only when asked for
            importlib.import_module(f"huggingface_hub.{part}")
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise SourceError(
            f"{called}: found a data set of the Hugging Face hub, and huggingface_hub, which "
            'fetches it, is not installed; expected it: pip install "drrpack[datasets]"'
        ) from error


@contextmanager
def _told(hub: ModuleType, name: HubName) -> Iterator[None]:
    """Turn what the library raises into a SourceError.

    It raises the errors of its HTTP library, too, which is another one in each of its versions.
    """
    errors = hub.errors
    try:
        yield
    except DrrError:
        raise
    except errors.RevisionNotFoundError as error:
        raise _NoRevision(
            f"{name}: found no revision {name.revision or MAIN!r}; expected a branch, a tag or a "
            "commit of the data set: check it, or leave it out"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{name}: found no such data set, or one that you may not read; expected OWNER/NAME as "
            f"{hub.constants.ENDPOINT} shows it: check the name, or log in with `hf auth login`"
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise SourceError(
            f"{name}: is not whole in this machine's cache, and {_why(hub)}; expected a data set "
            "that was downloaded before, or a network: unset HF_HUB_OFFLINE, or name a folder"
        ) from error
    except Exception as error:
        raise SourceError(
            f"{name}: {hub.constants.ENDPOINT} can't be read: {error or type(error).__name__}; "
            "expected an answer: check the network, or say HF_HUB_OFFLINE=1 to use what was "
            "downloaded before"
        ) from error


def _why(hub: ModuleType) -> str:
    if hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids to fetch it"
    return f"{hub.constants.ENDPOINT} can't be reached"


def _listed(
    name: HubName, commit: object, siblings: Iterable[_Sibling], card: _Card | None
) -> Repository:
    """What the hub answered, checked: its names become paths on this machine."""
    if not isinstance(commit, str) or not is_commit(commit):
        raise SourceError(f"{name}: found the commit {commit!r} in the answer, expected its hash")
    files = tuple(one.rfilename for one in siblings if _is_below(one.rfilename))
    configs: object = None if card is None else card.to_dict().get("configs")
    said = configs if isinstance(configs, list) else []
    return Repository(name.repo, commit, files, tuple(one for one in said if isinstance(one, dict)))


def _is_below(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def _keep(hub: ModuleType, name: HubName, listed: Repository) -> None:
    """Keep a listing for later runs; a cache that can't be written to is none."""
    content = json.dumps(asdict(listed)).encode()
    with suppress(OSError, OutputError):
        for revision in {name.revision or MAIN, listed.commit}:
            write_atomic(_place(hub, name.repo, revision), lambda file: file.write(content))


def _kept(hub: ModuleType, name: HubName) -> Repository | None:
    """The listing that was kept of a revision; None where there is none."""
    try:
        found = json.loads(_place(hub, name.repo, name.revision or MAIN).read_bytes())
        return Repository(
            str(found["repo"]), str(found["commit"]), tuple(map(str, found["files"])),
            tuple(dict(one) for one in found["configs"]),
        )  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _place(hub: ModuleType, repo: str, revision: str) -> Path:
    folder: Path = hub.cached_assets_path("drrpack", quote(repo, ""), quote(revision, ""))
    return folder / LISTING
