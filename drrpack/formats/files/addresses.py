"""Tell an address from a path, and show it without its secrets; opens nothing, imports little."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from urllib.parse import unquote

from drrpack.core.errors import DrrError, OptionError, OutputError

HIDDEN = "***"  # in the place of a user's name and password, or of a query
_AUTHORITY = re.compile(r"[^/?#]*")


def is_address(place: object) -> bool:
    """Whether ``place`` is an address such as ``https://host/mem.drr``; a path object never is."""
    return isinstance(place, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def shown(place: str) -> str:
    """A place as messages and records may show it.

    An address loses what may be secret: the part before ``@`` (``https://user:password@host/``),
    and everything after ``?``, where signed addresses have their signature. Everything else stays.
    """
    if not is_address(place):
        return place
    scheme, user, rest, query = _split(place)
    at = f"{HIDDEN}@" if user else ""
    return f"{scheme}{at}{rest}{f'?{HIDDEN}' if query else ''}"


def output_path(place: str | PathLike[str]) -> Path:
    """The path of a file or folder to be written.

    Raises:
        OutputError: it is an address, where nothing is written.
    """
    return _path(
        place,
        OutputError,
        "drrpack writes on this machine alone; write the file here, and copy it to the address",
    )


def local_path(place: str | PathLike[str]) -> Path:
    """The path of a file or folder on this machine that is read or changed.

    Raises:
        OptionError: it is an address, which pathlib would change.
    """
    return _path(
        place,
        OptionError,
        "download the file first; stats, verify, preview, view, export and train read a .drr file "
        "at its address",
    )


def _path(place: str | PathLike[str], error: type[DrrError], advice: str) -> Path:
    """A path on this machine; raises ``error`` with ``advice`` for an address, and OptionError for
    what is no path."""
    if not isinstance(place, str | PathLike):
        raise OptionError(f"found {place!r}, expected a path: a string or a pathlib.Path")
    if is_address(place):
        raise error(f"{shown(str(place))}: found an address, expected a path: {advice}")
    return Path(place)


def has_secrets(place: str) -> bool:
    """Whether `shown` hides anything of it."""
    return shown(place) != place


def without_secrets(words: str, place: str) -> str:
    """A text of another library about the address ``place``, without the secrets of the address."""
    _, user, _, query = _split(place)
    name, _, password = user.partition(":")
    values = [value.partition("=")[2] for value in query.split("&")]
    found = {user, password or name, query, *values}
    for secret in sorted({*found, *map(unquote, found)} - {""}, key=len, reverse=True):
        words = words.replace(secret, HIDDEN)
    return words


def _split(address: str) -> tuple[str, str, str, str]:
    """Scheme with ``://``, what stands before ``@``, host and path, and what follows ``?``."""
    scheme, mark, after = address.partition("://")
    whole, _, query = after.partition("?")
    authority = _AUTHORITY.match(whole)
    end = authority.end() if authority else 0
    if "@" not in whole[:end] and re.search(r":(?![0-9]+$)", whole[:end]) and whole[0] != "[":
        end = len(whole)  # a password with a slash in it: s3://key:se/cret@bucket/mem.drr
    user, at, _ = whole[:end].rpartition("@")
    return scheme + mark, user, whole[len(user) + len(at) :], query
