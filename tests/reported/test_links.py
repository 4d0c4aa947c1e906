"""Reported: huggingface/datasets#5098: pictures behind symbolic links got the class of the folder
where the files lie, not of the folder where the links do.

Right: a link is where it lies: a link to a folder is a class of the link's name, a link to a
picture belongs to the class that holds the link.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from samples import Encode, contents, folder

from drrpack import DRRDataset
from drrpack.formats.sources.source import open_source


def test_a_link_is_where_it_lies(tmp_path: Path, encode: Encode) -> None:
    real = folder(tmp_path / "store", "other", "more", images=3)
    source = tmp_path / "src"
    (source / "abnormal").mkdir(parents=True)
    for picture in sorted((real / "other").iterdir()):
        (source / "abnormal" / f"of-{picture.name}").symlink_to(picture)
    (source / "normal").symlink_to(real / "more", target_is_directory=True)
    opened = open_source(source)
    assert opened.classes == ("abnormal", "normal")
    np.testing.assert_array_equal(opened.load(0), open_source(real).load(1))
    np.testing.assert_array_equal(opened.load(1), open_source(real).load(0))
    (tmp_path / "link").symlink_to(source, target_is_directory=True)
    through = contents(encode(tmp_path / "link"))
    assert through[:2] == (["abnormal", "normal"], [0, 0, 0, 1, 1, 1])


def test_a_memory_behind_a_link(mem_drr: Path, tmp_path: Path) -> None:
    (tmp_path / "link.drr").symlink_to(mem_drr)
    assert contents(tmp_path / "link.drr") == contents(mem_drr)
    assert len(DRRDataset(tmp_path / "link.drr")) == 18
