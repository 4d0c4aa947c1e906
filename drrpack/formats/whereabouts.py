"""Remember where folders of images are on this machine; no ``.drr`` file holds these paths.

A small JSON file in the user's state folder, ``sources.json``, maps digests of splits to absolute
paths of their sources and to names of the Hugging Face hub. It helps to find images again, but
nothing depends on it: if it can't be read, it counts as empty, and if it can't be written, drrpack
continues without.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from drrpack.core.errors import OutputError
from drrpack.formats.files.publish import remove_leftovers, whole_file
from drrpack.formats.sources.hub_name import is_hub_name
from drrpack.formats.sources.splits import Split

VARIABLE = "DRRPACK_STATE"  # of the environment: a folder to take in place of the user's own
NAME = "sources.json"
MAX_PLACES = 1000  # the oldest are forgotten; a source takes two, one for each split
MAX_BYTES = 1 << 20
WAIT_SECONDS = 2.0  # for another process that is writing; it takes milliseconds


def find(digest: object, split: Split = "train") -> Path | None:
    """Where a source lay that had a split with this `Source.digest` when it was last seen; it may
    be gone."""
    folder = _folder()
    if folder is None or not isinstance(digest, str):
        return None
    known = _read(folder)
    path = known.get(_key(digest, split), known.get(digest))  # earlier versions wrote digests alone
    return None if path is None else Path(path)


def remember(root: Path, train: Iterable[str] = (), test: Iterable[str] = ()) -> None:
    """Keep in mind that the source at ``root``, an absolute path or a name of the hub, has splits
    of these digests."""
    keys = [*train, *(_key(digest, "test") for digest in test)]
    folder, new = _folder(), dict.fromkeys(keys, str(root))
    if folder is None:
        return
    with suppress(OSError, OutputError):  # no home, no room: the user will be asked for the place
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            known = _read(folder)
            if all(known.get(key) == path for key, path in new.items()):
                return
            older = {key: path for key, path in known.items() if key not in new}
            _write(folder, {**older, **new})


def _key(digest: str, split: Split) -> str:
    """Apart by split: a folder may be a source, and the test split of the folder above it."""
    return digest if split == "train" else f"{split} {digest}"


def _folder() -> Path | None:
    """The user's state folder for drrpack; None where there is no home to have one."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(os.path.abspath(given))
    folder = platformdirs.user_state_path("drrpack", appauthor=False)
    return folder if folder.is_absolute() else None


def _read(folder: Path) -> dict[str, str]:
    """Absolute paths by `_key`, the newest last; other content is left out."""
    try:
        content: object = json.loads(_bytes_of(folder / NAME))
    except (OSError, ValueError, RecursionError):
        return {}
    places = content.items() if isinstance(content, dict) else ()
    return {k: v for k, v in places if isinstance(v, str) and "\0" not in v and _is_place(v)}


def _is_place(text: str) -> bool:
    return os.path.isabs(text) or is_hub_name(text)


def _bytes_of(path: Path) -> bytes:
    """A regular file of the size that is written here; of a larger one the start, which is no JSON.

    Neither a pipe nor a device in its place can hold a program up.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(descriptor)


def _write(folder: Path, places: dict[str, str]) -> None:
    """The newest of ``places``, for the user's eyes only."""
    rows = list(places.items())[-MAX_PLACES:]
    while len(text := json.dumps(dict(rows), indent=0).encode()) >= MAX_BYTES:
        rows = rows[len(rows) // 2 :] if len(rows) > 1 else []
    remove_leftovers(folder)
    target = folder / NAME
    with whole_file(target, target) as (_, descriptor):
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold off other processes that would change the file, so that none undoes what another did.

    Where there are no locks, or somebody holds one for ever, the last to write has its way.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + WAIT_SECONDS
        while not _locked(descriptor) and time.monotonic() < until:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether there is nothing more to wait for."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
