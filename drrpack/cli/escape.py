"""Make text from files safe to print on a terminal."""

from __future__ import annotations


def harmless(text: str) -> str:
    """Escape control characters, so that text from a file can't send commands to the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
