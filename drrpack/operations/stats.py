"""Account for the bytes of a ``.drr`` file: the work of ``drrpack stats``."""

from __future__ import annotations

from drrpack.formats.account import Stats, account
from drrpack.formats.container import Reader
from drrpack.formats.layout import AnyPath


def stats(memory: AnyPath) -> Stats:
    """Sizes of all parts, bits per code and PSNR of the ``.drr`` file at a path or an address.

    Raises:
        FormatError: the file is missing or damaged, see `drrpack.core.errors`.
    """
    with Reader(memory) as reader:
        return account(reader)
