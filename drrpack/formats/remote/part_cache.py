"""Parts of files that were fetched from addresses, kept on this machine.

Each part is a file in the user's cache folder, named by a digest (`Part.key`): no name and no
content tells where it came from. Whoever takes a part from here compares its checksum, so a
damaged one only costs a request. Nothing depends on the folder: what can't be kept is fetched
again.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

from drrpack.core.errors import OptionError

FOLDER = "DRRPACK_CACHE"  # of the environment: a folder to take in place of the user's own
BYTES = "DRRPACK_CACHE_BYTES"  # of the environment: how large the folder may grow; 0 for no cache
MAX_BYTES = 1 << 30
_KEPT_SHARE = 0.9  # of the limit, when the oldest parts make room: not at each new part
_PREFIX, _ENDING, _UNFINISHED = "drr-", ".part", ".tmp"
_NAME = re.compile(r"[0-9a-f]{64}\.part|drr-\w+\.tmp")


class PartCache:
    """A folder of parts, which several processes may use at a time.

    Args:
        folder: created with the first part; None for a cache that keeps nothing.
        limit: how many bytes all parts may take. Those go first that were not used for longest.
    """

    def __init__(self, folder: Path | None, limit: int = MAX_BYTES) -> None:
        self._folder, self._limit = folder if limit else None, limit

    def get(self, key: str, size: int) -> bytes | None:
        """The part of this key (`Part.key`), unchecked; None unless there is one of ``size``."""
        if self._folder is None:
            return None
        path = self._folder / f"{key}{_ENDING}"
        try:
            data = _read(path, size)
        except OSError:
            return None
        with suppress(OSError):  # a folder that may only be read
            os.utime(path)
        return data if len(data) == size else None

    def put(self, found: dict[str, bytes]) -> None:
        """Keep parts by their keys, as far as that is possible."""
        if self._folder is None or not found:
            return
        with suppress(OSError):  # no home, no room, no permission: they will be fetched again
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for key, data in found.items():
                if len(data) <= self._limit * _KEPT_SHARE:
                    _write(self._folder, f"{key}{_ENDING}", data)
            self._make_room()

    def _make_room(self) -> None:
        assert self._folder is not None
        held = []
        for entry in os.scandir(self._folder):
            with suppress(OSError):  # another process has just removed it
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    info = entry.stat(follow_symlinks=False)
                    held.append((info.st_mtime_ns, info.st_size, entry.path))
        total = sum(size for _, size, _ in held)
        if total <= self._limit:
            return
        for _, size, path in sorted(held):
            if total <= self._limit * _KEPT_SHARE:
                break
            with suppress(OSError):
                os.unlink(path)
                total -= size


def of_user() -> PartCache:
    """The cache of the user who runs this process, as the environment has it.

    Raises:
        OptionError: DRRPACK_CACHE_BYTES is not a whole number.
    """
    given = os.environ.get(BYTES, "")
    if given and re.fullmatch(r"[0-9]{1,18}", given) is None:
        raise OptionError(f"{BYTES}={given}: expected a whole number of bytes, such as {MAX_BYTES}")
    folder = Path(os.path.abspath(os.environ.get(FOLDER) or _own_folder()))
    return PartCache(folder, int(given or MAX_BYTES))


def _own_folder() -> Path:
    return platformdirs.user_cache_path("drrpack", appauthor=False) / "parts"


def _read(path: Path, size: int) -> bytes:
    """At most ``size`` + 1 bytes of a regular file; no link, pipe or device is followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(size + 1) or b""


def _write(folder: Path, name: str, data: bytes) -> None:
    """A whole file under ``name`` or none; after a power cut it may be damaged."""
    descriptor, path = tempfile.mkstemp(_UNFINISHED, _PREFIX, folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(path, folder / name)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
