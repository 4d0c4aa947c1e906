"""Names of data sets on the Hugging Face hub: ``hf:OWNER/NAME@REVISION:CONFIG/SPLIT``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from drrpack.core.errors import SourceError

PREFIX = "hf:"
FORM = "hf:OWNER/NAME[@REVISION][:CONFIG[/SPLIT]]"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([^:\s]+))?(?::([^/:]+)(?:/([^/:]+))?)?", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A data set of the hub, and perhaps which state, configuration and split of it is meant.

    A revision is a branch, a tag or a commit. Git allows no colon in it, so the form is clear.
    """

    repo: str  # OWNER/NAME
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        config = "" if self.config is None else f":{self.config}"
        split = "" if self.split is None else f"/{self.split}"
        return f"{PREFIX}{self.repo}{revision}{config}{split}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, whose files never change."""
        return self.revision is not None and is_commit(self.revision)


def is_commit(revision: str) -> bool:
    """Whether a revision is the whole hash of a commit."""
    return _COMMIT.fullmatch(revision) is not None


def is_hub_name(path: str | os.PathLike[str] | None) -> bool:
    """Whether a source is a name of the hub, and not a file or folder whose name looks like one."""
    return path is not None and os.fsdecode(path).startswith(PREFIX) and not os.path.lexists(path)


def parsed(path: Path) -> HubName:
    """The parts of a name; raises SourceError unless it has the form."""
    found = _NAME.fullmatch(str(path))
    if found is None:
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise SourceError(f"{text}: is no name of a data set of the hub; expected {FORM}")
    repo, revision, config, split = found.groups()
    return HubName(repo, revision, config, split)
