"""Put several files in the place of others, so that nobody takes what is unfinished for whole.

New files are written into a hidden folder. When all of them are whole, the folder gets another
ending, and from then on the names of the files say how far the exchange has come. All old files
leave before the first new one comes:

    some old files are outside, all new ones in the folder: back, as it was before
    no file is outside, or some new ones are: forward, to the new files

So whoever finds the folder of a killed process can go on in either direction (`finish_exchanges`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from drrpack.core.errors import WriteError
from drrpack.core.wording import counted, few
from drrpack.formats.files.beside import EXCHANGE, SUFFIX, exchanges_in, hidden_beside
from drrpack.formats.files.locks import free, new_folder
from drrpack.formats.files.places import reason
from drrpack.formats.files.publish import remove, sync_folder
from drrpack.formats.files.shard_names import ShardSet, sets_among, shards_in
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import AnyPath

_OLD = "old"  # the folder in the hidden one for the files that left


@contextmanager
def exchanged(old: Sequence[Path], new: Sequence[Path], shown: AnyPath) -> Iterator[Path]:
    """A hidden folder, into which the caller writes the files ``new`` by their names.

    At the end the old files leave, and when all are gone the new ones come: all by renaming. Who
    looks in between finds some files of one set and none of another, also after a power cut or
    where the process was killed. All files lie in one folder, and their names say how many there
    are (`drrpack.formats.files.shard_names`).

    Raises:
        WriteError: it names ``shown``. After it, as after any other error, all is as before; old
            files that can't be moved back stay in the hidden folder, which the error names.
    """
    moves = _Moves(hidden_beside(new[0]))
    with undone_by(moves.undo):
        try:
            with new_folder(moves.hidden), _undone(moves):
                yield moves.hidden
                _keep_mode(old, [moves.hidden / path.name for path in new])
                moves.carry_out(old, new)
        except OSError as error:
            raise WriteError(f"{shown}: can't be written: {reason(error)}{moves.lost}") from error


@contextmanager
def _undone(moves: _Moves) -> Iterator[None]:
    """Undo all after an error, while the folder is still locked."""
    try:
        yield
    except BaseException as error:
        moves.undo()
        if moves.lost:
            error.add_note(moves.lost.removeprefix("; "))
        raise


class _Moves:
    """The renames of an exchange, and the way back.

    Attributes:
        hidden: the folder as long as it may be removed. ready: its name while files are exchanged.
        lost: words on what could not be undone, for an error; empty if nothing.
    """

    def __init__(self, hidden: Path) -> None:
        self.hidden, self.ready = hidden, hidden.with_suffix(EXCHANGE)
        self.lost = ""
        # Old and new files that may have moved. Both are forgotten at once: a signal may come at
        # any moment, and then `undo` is called.
        self._begun: tuple[list[Path], list[Path]] = ([], [])

    def carry_out(self, old: Sequence[Path], new: Sequence[Path]) -> None:
        """Let the old files leave and the new ones come; raises OSError."""
        left, came = self._begun
        (self.hidden / _OLD).mkdir()
        sync_folder(self.hidden)
        os.rename(self.hidden, self.ready)
        sync_folder(self.ready.parent)  # under its old name it may be removed
        for path in old:
            left.append(path)
            os.rename(path, self.ready / _OLD / path.name)
        sync_folder(self.ready / _OLD)
        sync_folder(self.ready.parent)
        for path in new:
            came.append(path)
            os.rename(self.ready / path.name, path)
        sync_folder(self.ready.parent)
        self._begun = ([], [])
        self.discard()

    def undo(self) -> None:
        """Rename all back, and remove the folder once all are.

        Old files stay away while a new one does, so that they never lie side by side.
        """
        left, came = self._begun
        stuck = [p for p in came if not _moved(p, self.ready / p.name)]
        if not stuck:
            stuck = [p for p in left if not _moved(self.ready / _OLD / p.name, p)]
        if stuck:
            names = few([path.name for path in stuck])
            self.lost = (
                f"; nor could {counted(len(stuck), 'file')} be moved back ({names}), so files of "
                f"before lie in {self.ready}: mend what was wrong, and the next command that "
                "writes beside it brings them back"
            )
            return
        self._begun = ([], [])
        self.discard()

    def discard(self) -> None:
        """Remove the folder of an exchange that is over.

        It becomes what may be removed first: half removed it would look half exchanged.
        """
        if _moved(self.ready, self.hidden):
            remove(self.hidden)


def _moved(source: Path, target: Path) -> bool:
    """Rename a file to where there is none; returns whether there is nothing left to rename."""
    with suppress(OSError):
        if os.path.lexists(source) and not os.path.lexists(target):
            os.rename(source, target)
    return not os.path.lexists(source)


def _keep_mode(old: Sequence[Path], new: Sequence[Path]) -> None:
    """Give new files the access mode of those that they replace."""
    if old:
        mode = stat.S_IMODE(old[0].stat().st_mode)
        for path in new:
            path.chmod(mode)


# --- what a killed process left -------------------------------------------------------------------


def finish_exchanges(folder: Path) -> list[str]:
    """Bring the files of exchanges whose process was killed to their places, old or new ones.

    A running process has its hidden folder locked, and goes on; on a file system without locks all
    stays as it is. A second call, also after this one was killed, does what is left to do.

    Returns:
        what was done, in words for the user; what could not be done, and why, is among it.
    """
    told = list[str]()
    for ready in exchanges_in(folder):
        with free(ready) as nobodys:
            if nobodys:
                told.append(_finish(ready))
    return told


def _finish(ready: Path) -> str:
    new, old = sets_among(_files(ready)), sets_among(_files(ready / _OLD))
    names = {(of.stem, of.ending) for of in (*new, *old)}
    if not names:
        _Moves(ready.with_suffix(SUFFIX)).discard()
        return f"removed {ready}, left behind by a run that was killed"
    if len(names) > 1:
        return f"{ready}: found files of several memories, expected those of one: sort them by hand"
    ((stem, ending),) = names
    folder, pattern = ready.parent, ready.parent / f"{stem}-*{ending}"
    back = _is_whole(new) and bool(shards_in(folder, stem, ending))
    moving = _files(ready / _OLD if back else ready)
    stuck = [path for path in moving if not _moved(path, folder / path.name)]
    sync_folder(folder)
    if stuck or not (back or _is_whole(sets_among(shards_in(folder, stem, ending)))):
        return (
            f"{ready}: found files of {pattern}, left behind by a run that was killed, which can't "
            "be moved to their place: see whether others are there"
        )
    _Moves(ready.with_suffix(SUFFIX)).discard()
    which = "old" if back else "new"
    return f"brought the {which} files {pattern} to their place, left behind by a killed run"


def _files(folder: Path) -> list[Path]:
    """The files in a folder, sorted; none if it can't be read."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if not path.is_dir())
    return []


def _is_whole(sets: Mapping[ShardSet, set[int]]) -> bool:
    """Whether some files are all those of one set."""
    return len(sets) == 1 and all(len(numbers) == of.count for of, numbers in sets.items())
