"""Entropy models, one file a kind; importing this package makes those that come along known."""

from drrpack.core.entropy import bitswap, context, table

__all__ = ["bitswap", "context", "table"]
