"""Zip archives, as numpy and PyTorch write them."""

from __future__ import annotations

import lzma
import struct
import zlib
from zipfile import BadZipFile

# What zipfile and numpy raise for a damaged file: zipfile has NotImplementedError for a compression
# that it lacks, RuntimeError for a password, and lets through what decompression raises.
DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    BadZipFile,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
