"""Image folders for the tests of sources, and the one way to say that a source is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.errors import SourceError
from drrpack.formats.sources.source import open_source

RNG = np.random.default_rng(0)


def noise(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: NDArray[Any] | None = None, **options: Any) -> Path:
    """Write one picture, of 8 x 8 where none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(8, 8, 3) if pixels is None else pixels).save(path, **options)
    return path


def two_classes(root: Path) -> Path:
    """Two classes of two pictures of 8 x 8."""
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        save(root / name)
    return root


def refused(path: Path, *parts: str, **options: Any) -> str:
    """The message with which a source is refused; it must hold every one of ``parts``."""
    with pytest.raises(SourceError) as caught:
        open_source(path, **options)
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert "expected" in message and ":" in message
    return message
