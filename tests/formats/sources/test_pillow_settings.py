"""Pillow's settings belong to the program: threads that read pictures leave them as they were."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from picture_folders import two_classes
from PIL import Image, ImageFile

from drrpack.formats.sources.pictures import Picture, read_contents
from drrpack.formats.sources.reading import Reading


def test_calls_that_overlap_leave_the_settings_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ends while the second one reads, if they may overlap at all."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = (two_classes(tmp_path) / "cat" / "0.png").read_bytes()  # of 8 x 8
    filters = list(warnings.filters)
    began, overlap, ended = Event(), Event(), Event()

    def first() -> bytes:
        began.set()
        overlap.wait(0.5)
        return content

    def second() -> bytes:
        overlap.set()
        ended.wait(0.5)
        return content

    found: dict[str, object] = {}

    def read(name: str, content: Callable[[], bytes], reading: Reading) -> None:
        (found[name],) = read_contents([(Path(name), content)], reading)

    one = Thread(target=read, args=("one", first, Reading(max_megapixels=1)))
    other = Thread(target=read, args=("other", second, Reading()))
    one.start()
    assert began.wait(10)
    other.start()
    one.join()
    ended.set()
    other.join()
    assert isinstance(found["one"], Picture)
    assert "expected 40 at most" in str(found["other"]), (
        "the limit of the program, not of the first"
    )
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (40, True)
    assert warnings.filters == filters
