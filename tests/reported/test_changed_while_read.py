"""Reported: borgbackup/borg#6379: files that changed while they were read went into the archive as
they never were on the disk.

Right: what is encoded is what was checked when the source was opened. A picture that has changed
by the time its pixels are wanted again is an error that names it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from samples import folder, save

from drrpack import DRRDataset, SourceError
from drrpack.formats.sources.parquet_table import PICTURES_AT_ONCE
from drrpack.formats.sources.source import open_source
from drrpack.operations.encode import carry_out
from drrpack.operations.encode_plan import EncodePlan, plan_encode
from drrpack.operations.encoding.options import EncodeOptions
from drrpack.trainers.fitting.loop import Budget


def plan(tmp_path: Path, name: str) -> EncodePlan:
    """An encode that is about to start."""
    options = EncodeOptions(
        tmp_path / "src", tmp_path / name, torch.device("cpu"), Budget(epochs=1)
    )
    return plan_encode(options)


def test_what_was_checked_is_encoded(tmp_path: Path) -> None:
    source = folder(tmp_path / "src", "cat", "dog")
    before = DRRDataset(carry_out(plan(tmp_path, "before.drr"))).to_numpy()[0]
    late = plan(tmp_path, "late.drr")
    save(source / "cat" / "0.png", 77)
    (source / "dog" / "1.png").unlink()
    np.testing.assert_array_equal(DRRDataset(carry_out(late)).to_numpy()[0], before)


@pytest.mark.parametrize("change", ["other", "gone", "cut"])
def test_what_changed_is_named(tmp_path: Path, change: str) -> None:
    path = folder(tmp_path / "src", "cat", "dog") / "cat" / "0.png"
    source = open_source(tmp_path / "src", keep_bytes=0)  # as of a source too large to be kept
    assert len(source.load(0)) == 2
    if change == "other":
        save(path, 77)
    elif change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="changed since the source was opened") as caught:
        source.load(0)
    assert str(path) in str(caught.value)
    assert len(source.load(1)) == 2


@pytest.mark.parametrize("change", ["fewer rows", "a shorter group", "fewer groups", "no pictures"])
def test_a_table_that_was_rewritten_is_named(tmp_path: Path, change: str) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = (folder(tmp_path / "src", "cat", images=1) / "cat" / "0.png").read_bytes()
    path, count = tmp_path / "a.parquet", 2 * PICTURES_AT_ONCE
    columns = {"image": [content] * count, "label": [0] * (count - 1) + [1]}

    def write(rows: int, group: int, *names: str) -> None:
        table = pa.table({name: columns[name][:rows] for name in names})
        parquet.write_table(table, path, row_group_size=group)

    group = 16 if change == "fewer groups" else count
    write(count, group, "image", "label")
    source = open_source(path, keep_bytes=0)
    rows = count if change in ("a shorter group", "no pictures") else count // 2
    write(rows, 16, *(["label"] if change == "no pictures" else ["image", "label"]))
    with pytest.raises(SourceError, match=r"a\.parquet: (changed since|can't be read)"):
        source.load(1)
