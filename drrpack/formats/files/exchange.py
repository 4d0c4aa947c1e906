"""Put several files in the place of others, so that nobody takes what is unfinished for whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from drrpack.core.errors import WriteError
from drrpack.formats.files.beside import hidden_beside
from drrpack.formats.files.locks import new_folder
from drrpack.formats.files.places import reason
from drrpack.formats.files.publish import remove, sync_folder
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import AnyPath


class _Moves:
    """Files that were renamed, and the way back."""

    def __init__(self) -> None:
        self._made: list[tuple[Path, Path]] = []

    def move(self, source: Path, target: Path) -> None:
        self._made.append((source, target))
        os.rename(source, target)

    def undo(self) -> None:
        """Rename all back, the last one first."""
        while self._made:
            source, target = self._made.pop()
            with suppress(OSError):  # the others go back all the same
                if not os.path.lexists(source):
                    os.rename(target, source)


@contextmanager
def exchanged(old: Sequence[Path], new: Sequence[Path], shown: AnyPath) -> Iterator[Path]:
    """A hidden folder, into which the caller writes the files ``new`` by their names.

    At the end the old files leave, and when all are gone the new ones come: all by renaming. Who
    looks in between finds some files of one set and none of another, also after a power cut or
    where the process was killed. All files lie in one folder, and their names say how many there
    are (`drrpack.formats.files.shard_names`).

    Raises:
        WriteError: it names ``shown``. After it, as after any other error, all is as before.
    """
    folder = new[0].parent
    hidden, moves = hidden_beside(new[0]), _Moves()
    with undone_by(partial(remove, hidden)):
        try:
            with undone_by(moves.undo), new_folder(hidden):
                yield hidden
                _keep_mode(old, [hidden / path.name for path in new])
                (hidden / "old").mkdir()
                for path in old:
                    moves.move(path, hidden / "old" / path.name)
                sync_folder(folder)
                for path in new:
                    moves.move(hidden / path.name, path)
        except BaseException as error:
            moves.undo()
            if isinstance(error, OSError):
                raise WriteError(f"{shown}: can't be written: {reason(error)}") from error
            raise
        finally:
            remove(hidden)
    sync_folder(folder)


def _keep_mode(old: Sequence[Path], new: Sequence[Path]) -> None:
    """Give new files the access mode of those that they replace."""
    if old:
        mode = stat.S_IMODE(old[0].stat().st_mode)
        for path in new:
            path.chmod(mode)
