"""Reported: webdataset/webdataset#115: what is stored one small sample a file pays for the file
each time; kept together, the same data is a fraction as large.
Right: a memory codes by class, so it is compared with files of a class, too: sheets, whose bytes
are those of whole files, and whose cost of reading one image is told.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drrpack.formats.sources.source import Source, open_source
from drrpack.trainers.comparison import accuracy as compare_accuracy
from drrpack.trainers.comparison import compare, peers, verdict
from drrpack.trainers.comparison.choices import Choice, Comparison

SHEETS = [name for name in ("JPEG-sheet", "WebP-sheet", "AVIF-sheet") if name in peers.available()]


@pytest.fixture
def source(digits_folder: Path) -> Source:
    return open_source(digits_folder)


def test_there_is_a_sheet_of_every_format() -> None:
    single = [name for name in peers.available() if not name.endswith("-sheet")]
    assert SHEETS and [f"{name}-sheet" for name in single if f"{name}-sheet" in SHEETS] == SHEETS


@pytest.mark.parametrize("name", SHEETS)
def test_sheets_cost_less_than_whole_files_of_one_image(name: str, source: Source) -> None:
    sample = compare.draw_sample(source, range(10), 100)
    sheet, quality = peers.LOSSY[name], 20
    whole = []
    for image in sample.images[:30]:
        out = io.BytesIO()
        Image.fromarray(image).save(out, sheet.format, quality=quality)
        whole.append(len(out.getvalue()))
    packed = sheet.pack(sample.classes, quality)
    assert packed.image_bytes < 0.7 * np.mean(whole)
    assert len(packed.sizes) == len(sample.classes) and packed.sizes.sum() > 0
    error = np.abs(packed.images.astype(int) - np.concatenate(sample.classes)).mean()
    assert error < 15, "each image comes back from its own place"


def test_what_is_learned_from_is_cut_out_of_sheets(source: Source) -> None:
    images = np.concatenate([source.load(number) for number in (0, 1)])
    labels = np.repeat([0, 1], [len(source.load(0)), len(source.load(1))])
    choice = Choice("JPEG-sheet", "q20", 1, 0, 1.0, 1.0, 1, 1, options={"quality": 20})
    given = compare_accuracy.decoded(choice, images, labels, [])
    alone = peers.LOSSY["JPEG-sheet"].pack([source.load(1)], 20)
    np.testing.assert_array_equal(given[labels == 1], alone.images)


def test_the_price_of_reading_one_image_is_told() -> None:
    raw = Choice("raw", "", 3072.0, 0, None, 1.0, None, None)
    memory = Choice("DRR", "q75", 50.0, 1000, 24.0, 0.6, 1.0, 1.0, read_together=500)
    sheet = Choice("JPEG-sheet", "q10", 50.0, 0, 23.0, 0.6, 1.0, 1.0, read_together=500)
    single = Choice("JPEG", "q10", 60.0, 0, 23.0, 0.6, 1.0, 1.0)
    comparison = Comparison(1000, 100, (32, 32), [raw, single, sheet, memory])
    last = verdict.in_words(comparison, memory)[-1]
    assert last == "images that are decoded to read one: 500 of DRR, 500 of JPEG-sheet"
