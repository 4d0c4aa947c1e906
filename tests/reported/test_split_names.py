"""Reported: huggingface/datasets#4839: a folder val/ beside train/ was ignored without a word.

Right: test/, val/, valid/ and validation/ are the test split, in capitals, too; any other folder
beside train/ that looks like a split is named in a warning.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drrpack.formats.sources.source import open_source


def folders(root: Path, *splits: str) -> Path:
    for number, split in enumerate(splits):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            grey = np.full((8, 8), 50 * number + 10, np.uint8)
            Image.fromarray(grey).save(root / split / name / "0.png")
    return root


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Validation", "Test"])
def test_names_of_the_test_split(tmp_path: Path, name: str) -> None:
    source = open_source(folders(tmp_path, "train", name))
    assert source.load(0, "test").mean() == 60 and not source.remarks


@pytest.mark.parametrize("name", ["testing", "eval", "holdout"])
def test_other_names_are_told_of(tmp_path: Path, name: str) -> None:
    source = open_source(folders(tmp_path, "train", name))
    assert not source.has_test
    assert [str(tmp_path / name) in remark for remark in source.remarks] == [True]
