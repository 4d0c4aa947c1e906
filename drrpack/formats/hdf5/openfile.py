"""A ``.drr`` file that goes along to other processes.

Data is read by position, which several processes may do on one descriptor. So a forked process goes
on with the file that was opened, whatever lies at its path by now. A descriptor can't be pickled,
and no connection outlives a fork: such processes open the file again.
"""

from __future__ import annotations

from pathlib import Path

from drrpack.core.errors import FormatError
from drrpack.formats.files.addresses import is_address, shown
from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.hdf5.structure import Structure, read_structure
from drrpack.formats.layout import AnyPath
from drrpack.formats.remote.remotefile import open_stored


class OpenFile:
    """The file at a path or an address, and where each of its parts lies.

    Attributes:
        path: as it was given; a Path, or the text of an address without its secrets.
        fingerprint: a digest of the content, the same for copies of the file.
        closed: whether it was closed here.

    Raises:
        DrrError: as `drrpack.formats.container.Reader` does.
    """

    def __init__(self, path: AnyPath) -> None:
        self.path: AnyPath = shown(str(path)) if is_address(path) else Path(path)
        file = open_stored(path)
        # where it is opened again: the process may go to another folder, and others start there
        self._place = path if is_address(path) else Path(path).absolute()
        self._structure = read_structure(file)
        self._file: StoredFile | None = file
        self.closed = False
        self.fingerprint = self._structure.fingerprint

    def current(self) -> tuple[StoredFile, Structure]:
        """The file as this process may read it, and what lies where in it.

        Raises:
            FormatError: another file lies there by now. ValueError: it is closed.
        """
        if self.closed:
            raise ValueError(f"{self.path}: the reader is closed; open the file again")
        file, structure = self._file, self._structure
        if file is None or not file.is_ours():
            file = open_stored(self._place)
            if file.identity != structure.identity:
                structure = self._recognised(file)
            self._structure, self._file = structure, file
        return file, structure

    def anew(self) -> tuple[StoredFile, Structure]:
        """As `current`; of what this machine has kept of the file nothing is taken from now on."""
        file, structure = self.current()
        file.read_anew()
        return file, structure

    def read(self, name: str) -> bytes:
        """All bytes of the dataset ``name``; nothing is compared with a digest."""
        file, structure = self.current()
        extent = structure.extents[name]
        return file.read(extent.offset, extent.size)

    def _recognised(self, file: StoredFile) -> Structure:
        """A file in the old one's place will do if it has the same content, as a copy has."""
        structure = read_structure(file)
        if structure.fingerprint != self.fingerprint:
            raise FormatError(
                f"{self.path}: found another file than the one that was opened, expected the same "
                "one in every process; open it again"
            )
        return structure

    def close(self) -> None:
        """Close the file; reading from it afterwards is a ValueError."""
        self.closed = True
        if self._file is not None:
            self._file.close()
        self._file = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}
