"""Reported: mpetroff/pannellum#596: a panorama of 220 megapixels is refused, with no way in.

Right: above Pillow's limit a picture is refused by default, as it may be a bomb, and the message
names the option that lets it pass; then it is read.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from drrpack.core.errors import SourceError
from drrpack.formats.sources.source import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture of 96 million pixels, black and white, in a few kilobytes."""
    (tmp_path / "cat").mkdir()
    image = Image.new("1", (12_000, 8_000))
    image.paste(1, (0, 0, 12_000, 4_000))
    image.save(tmp_path / "cat" / "0.png")
    return tmp_path


def test_a_way_in(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"0\.png: is too large.*`max_megapixels=96`\n"):
        open_source(folder, size=8)
    with pytest.raises(SourceError, match="is too large"):
        open_source(folder, size=8, max_megapixels=95.9)
    image = open_source(folder, size=8, max_megapixels=96).load(0)[0]
    assert image[0].min() == 255 and image[-1].max() == 0


def test_beyond_twice_the_limit(folder: Path) -> None:
    """There Pillow itself refuses, before anybody knows the size."""
    with pytest.raises(SourceError, match=r"0\.png: is too large.*`max_megapixels=N`\n"):
        open_source(folder, size=8, max_megapixels=40)


def test_the_limit_of_the_program_comes_back(folder: Path) -> None:
    usual = Image.MAX_IMAGE_PIXELS
    open_source(folder, size=8, max_megapixels=200)
    assert usual == Image.MAX_IMAGE_PIXELS
