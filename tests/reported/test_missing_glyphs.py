"""Reported: Belval/TextRecognitionDataGenerator#50: Chinese letters in a picture come out as boxes.
Right: a picture names each class with letters that its font has; where no font here has them, by
the number of the class and escapes. Names that differ never look the same.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drrpack import DRRDataset
from drrpack.formats import fonts as finding
from drrpack.formats.container import Reader, write
from drrpack.formats.preview import GAP, LABEL_WIDTH, preview_grid

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("fonts", ["none", "of this system"])
def test_names_that_differ_look_different(
    own_drr: Path, monkeypatch: pytest.MonkeyPatch, fonts: str
) -> None:
    if fonts == "none":
        monkeypatch.setattr(finding, "_font_files", list)
    finding._installed.cache_clear()
    with Reader(own_drr) as reader:
        content = reader.memory()
    names = ["猫", "犬", "鳥", "ねこ", "いぬ", "кот", "пёс", "naïve", "naive", "고양이"]
    write(own_drr, replace(content, classes=names, metadata={}), overwrite=True)
    grid = np.asarray(preview_grid(DRRDataset(own_drr), rows=10, columns=1)[0])
    finding._installed.cache_clear()
    height = (grid.shape[0] - GAP) // 10
    drawn = {grid[GAP + n * height :][: height - GAP, :LABEL_WIDTH].tobytes() for n in range(10)}
    assert len(drawn) == len(names)
