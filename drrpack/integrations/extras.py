"""What to install where the library that an integration is for is not there."""

from __future__ import annotations

from drrpack.core.errors import OptionError


def not_installed(library: str, extra: str) -> OptionError:
    """The error of an integration whose library can't be imported.

    Args:
        library: the name of the library, as its users know it.
        extra: the optional dependencies of drrpack that bring it.
    """
    return OptionError(
        f'found no {library}, expected it for this integration: pip install "drrpack[{extra}]"'
    )
