"""Text that comes from files, made fit for a terminal."""

from __future__ import annotations


def harmless(text: str) -> str:
    """Text in which a foreign file can't give the terminal orders: control characters escaped."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
