"""Read pickles of lists, dicts, text and numpy arrays without running any code from them.

A pickle may call only a short list of stand-ins, and it may take only a few times its own size in
memory. Without that limit a pickle of nine bytes can ask for a memo of a gigabyte, and a pickle of
a megabyte can copy its longest string a hundred thousand times.
"""

from __future__ import annotations

import io
import pickle
import pickletools

OPERATIONS_MAX = 2_000_000  # CIFAR-100's larger file has 350,000, and Python's objects are large
# All that lists, dicts, text, bytes and arrays need. Left out are, among others, what makes
# integers of any length, whose hashes may be chosen to collide, and what copies the stack.
_ADMITTED_OPERATIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "INT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "LIST",
    "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT",
    "DICT", "SETITEM", "SETITEMS", "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT",
    "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_SHOWN = 80  # letters of what a file says, in a message


def loads(content: bytes) -> object:
    """The object; bytes for Python 2's strings.

    Raises:
        Exception: of many kinds, where the pickle is damaged or asks for what it must not.
    """
    _check(content)
    loaded: object = _Unpickler(content).load()
    return loaded


def _check(content: bytes) -> None:
    """Raise UnpicklingError where reading would take far more memory than the pickle has bytes."""
    for done, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if operation.name not in _ADMITTED_OPERATIONS:
            raise pickle.UnpicklingError(f"the operation {operation.name}, which is not admitted")
        if done >= OPERATIONS_MAX:
            raise pickle.UnpicklingError(f"more than {OPERATIONS_MAX} operations")
        # the memo is an array, as long as the largest number of an entry
        number = argument if isinstance(argument, int) else 0
        if operation.name in _PUTS and number > done:
            raise pickle.UnpicklingError(f"entry {number} of the memo after {done} operations")
        if operation.name == "INT" and not -(2**31) <= number < 2**31:
            raise pickle.UnpicklingError("an integer of more than 32 bits")


class StoredArray:
    """Takes what numpy pickles of an array; numpy itself is never called by the file."""

    # version, shape, dtype, in Fortran's order or not, bytes
    state: tuple[object, ...] = (None,) * 5

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            self.state = state

    @property
    def shape(self) -> object:
        return self.state[1]

    def bytes_of(self, kind: str) -> bytes | None:
        """Its bytes in C's order, if it is an array of numpy's type ``kind``, such as u1."""
        _, _, dtype, fortran, raw = self.state
        if fortran or not isinstance(raw, bytes) or not isinstance(dtype, _StoredDtype):
            return None
        return raw if dtype.kind in (kind, kind.encode()) else None


class _StoredDtype:
    """Takes what numpy pickles of a dtype, of which only the name matters."""

    def __init__(self, kind: object = None, *_: object) -> None:
        self.kind = kind

    def __setstate__(self, state: object) -> None:
        """Byte order and fields: bytes have neither."""


class _ArrayType:
    """Stands for numpy.ndarray where a pickle names it as an argument."""


def _reconstruct(*_: object) -> StoredArray:
    return StoredArray()


class _Unpickler(pickle.Unpickler):
    """Reads a pickle in which nothing can be called but the stand-ins above."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._letters = len(content)  # that may still be encoded: each stands in the file once
        self._admitted: dict[tuple[str, str], object] = {
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # numpy 2
            ("numpy", "ndarray"): _ArrayType,
            ("numpy", "dtype"): _StoredDtype,
            ("_codecs", "encode"): self._encode,
        }

    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) not in self._admitted:
            called = f"{module}.{name}"[:_SHOWN]
            raise pickle.UnpicklingError(f"a pickle that calls {called}; not run")
        return self._admitted[module, name]

    def _encode(self, text: str, encoding: str) -> bytes:
        """How Python 3 writes bytes in protocol 2."""
        if encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("text in an encoding that is not latin1")
        self._letters -= len(text)
        if self._letters < 0:
            raise pickle.UnpicklingError("text that is copied again and again")
        return text.encode("latin1")
