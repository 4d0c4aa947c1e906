"""Entropy models, one file for each kind; importing this package registers those of drrpack."""

from drrpack.core.entropy import adapted, bitswap, context, phased_bitswap, table

__all__ = ["adapted", "bitswap", "context", "phased_bitswap", "table"]
