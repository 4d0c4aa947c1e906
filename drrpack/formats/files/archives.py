"""Zip archives, as numpy and PyTorch write them."""

from __future__ import annotations

from zipfile import BadZipFile

# What zipfile and numpy raise for a damaged file: zipfile has NotImplementedError for a compression
# that it lacks, and RuntimeError for a password.
DAMAGED = (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, BadZipFile)
