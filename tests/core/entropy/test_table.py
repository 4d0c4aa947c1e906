"""The table of frequencies: its codes, its bits, and a file that holds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drr_files import read_all
from small_models import check_codec, filled_message, small_vqvae, structured_codes

from drrpack import DRRDataset
from drrpack.core.codec import finish
from drrpack.core.codes import Codes, Levels
from drrpack.core.entropy.sections import pack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.errors import CorruptError, VersionError
from drrpack.core.layouts import lay_out
from drrpack.core.streams import StreamLayout
from drrpack.formats import memory
from drrpack.formats.account import account
from drrpack.formats.container import Memory, Reader, write
from drrpack.operations.verify import verify

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
COUNTS = [70, 1, 25]


def made_up() -> list[Codes]:
    tops, bottoms = (structured_codes(COUNTS, shape, 32) for shape in ((4, 4), (8, 8)))
    return [Codes.of(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]


def entropy_bits(codes: np.ndarray) -> float:
    """Order-0 entropy of all the codes together, in bits."""
    counts = np.bincount(codes.reshape(-1))
    p = counts[counts > 0] / codes.size
    return float(-(p * np.log2(p)).sum() * codes.size)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_codes_cost_their_entropy(level: str) -> None:
    codes = Codes.concat(made_up())
    model = TableModel.fitted(codes, 32).levels[level]
    grid = codes[level].astype(np.int64)
    bits = model.expected_bits(torch.from_numpy(grid), None, torch.Generator())
    assert bits.shape == (len(codes),)
    assert float(bits.sum()) == pytest.approx(entropy_bits(grid), rel=0.002)
    x = grid[:96].reshape(2, 48, *grid.shape[1:])
    check_codec(model.coder(x.shape, None), filled_message(2, 4, 10, ragged=True), x)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    codes = made_up()
    seen = Codes.concat(codes)
    codec = finish(small_vqvae(), TableModel.fitted(seen, 32), seen, CPU)
    codec, streams = lay_out(codec, codes)
    chunks = [memory.chunk(number, made) for number, made in enumerate(streams)]
    path = tmp_path / "table.drr"
    write(path, Memory((32, 32), ["a", "b", "c"], chunks, *memory.sections(codec)))
    return path


def test_a_file_by_a_table(file: Path) -> None:
    with Reader(file) as reader:
        codec = memory.load_codec(reader, CPU)
        assert codec.entropy.kind == "table" and codec.encoder.quality is None
        assert len(reader.entropy_model.data) == 128
        found = memory.read_codes(reader, codec, range(3))
        figures = account(reader)
    for codes, wanted in zip(found.values(), made_up(), strict=True):
        assert codes.digest == wanted.digest
    assert figures.entropy_model == "table"
    everything = Codes.concat(made_up())
    bits = sum(entropy_bits(grid) for grid in everything.grids)
    overhead = 8 * 6 * 2 * len(COUNTS) + 32 * 2 * len(COUNTS)  # a head and a last word a stream
    assert bits < 8 * figures.bytes.payload < 1.002 * bits + overhead
    assert verify(file, "full").sound
    assert DRRDataset(file).to_numpy()[0].shape == (96, 32, 32, 3)


def test_the_groups_of_a_layout_change_no_size(file: Path) -> None:
    """A table takes the same bits everywhere, so many lanes cost a few bytes alone."""
    codes = made_up()[:1]
    with Reader(file) as reader:
        codec = memory.load_codec(reader, CPU)
    wide, (many,) = lay_out(codec, codes, widths=[(8, 16)])
    narrow, (one,) = lay_out(codec, codes, widths=[(1, 1)])
    assert wide.layouts.bottom.lanes == 16 and narrow.layouts.bottom.lanes == 1
    for level in ("top", "bottom"):
        assert abs(len(getattr(many, level)) - len(getattr(one, level))) <= 2


def test_codes_that_the_vqvae_has_not(file: Path) -> None:
    """Each checksum of an enemy's file is right; its codes would be read beyond the codebook."""
    codes = [Codes.of(one.top + 32, one.bottom) for one in made_up()]
    seen, content = Codes.concat(codes), read_all(file)
    layouts = Levels(*2 * [StreamLayout(plain_images=1000)])
    section = pack_entropy(TableModel.fitted(seen, 64), layouts)
    write(file, replace(content, entropy_model=section), overwrite=True)
    with Reader(file) as reader, pytest.raises(CorruptError, match="64 codes, expected at most"):
        memory.load_codec(reader, CPU)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kind": "zpaq"}, VersionError),
        ({"kind": 7}, CorruptError),
        ({"codebook_size": 31}, CorruptError),
        ({"codebook_size": 10**9}, CorruptError),
        ({"streams": {}}, CorruptError),
    ],
)
def test_another_config_is_refused(
    file: Path, change: dict[str, object], error: type[Exception]
) -> None:
    content = read_all(file)
    section = content.entropy_model
    section = replace(section, config={**section.config, **change})
    write(file, replace(content, entropy_model=section), overwrite=True)
    with Reader(file) as reader, pytest.raises(error, match=str(file)) as caught:
        memory.load_codec(reader, CPU)
    assert error is CorruptError or "update drrpack" in str(caught.value)
