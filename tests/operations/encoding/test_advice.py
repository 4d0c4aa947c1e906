"""What `encode` says where image files would be smaller."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import drrpack
from drrpack.core.progress import Notice
from drrpack.formats.sources.source import open_source
from drrpack.operations.encoding.advice import advice, jpeg_bytes

pytestmark = pytest.mark.usefixtures("one_thread")


def said_by(**options: object) -> str:
    heard = list[str]()

    def report(event: object) -> None:
        if isinstance(event, Notice):
            heard.append(event.text)

    drrpack.encode(report=report, **options)  # type: ignore[arg-type]
    return " ".join(heard)


def test_models_that_weigh_more_than_images_are_named(digits_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mem.drr"
    said = said_by(source=digits_folder, output=path)
    found = re.search(r"take ([\d,]+) bytes each, .* files of the same PSNR take ([\d,]+)", said)
    assert found is not None, said
    whole, jpeg = (int(text.replace(",", "")) for text in found.groups())
    assert whole == round(path.stat().st_size / 300) and 20 < jpeg < whole
    thin = re.search(r"with `thin`.* take ([\d,]+) at most", said)
    drrpack.encode(digits_folder, tmp_path / "thin.drr", thin=True)
    assert thin is not None
    assert (tmp_path / "thin.drr").stat().st_size / 300 <= int(thin[1]) + 1


@pytest.mark.slow
def test_nothing_is_said_of_a_memory_that_is_smaller(digits_folder: Path, tmp_path: Path) -> None:
    made = drrpack.encode(digits_folder, tmp_path / "mem.drr")
    source = open_source(digits_folder)
    without = replace(made.bytes, vqvae=0, entropy_model=0, file=made.bytes.payload)
    assert advice(source, made, can_be_thin=True) is not None
    assert advice(source, replace(made, bytes=without), can_be_thin=True) is None
    assert advice(source, replace(made, psnr_db=None), can_be_thin=True) is None


@pytest.mark.slow
def test_from_the_number_that_is_named_on_a_memory_is_smaller(
    digits_folder: Path, tmp_path: Path
) -> None:
    """By its own figures: models once, and so many bytes an image."""
    made = drrpack.encode(digits_folder, tmp_path / "mem.drr")
    found = advice(open_source(digits_folder), made, can_be_thin=True)
    assert found is not None
    least = int(re.search(r"from about ([\d,]+)", found.text)[1].replace(",", ""))  # type: ignore[index]
    jpeg = int(re.search(r"PSNR take (\d+)", found.text)[1])  # type: ignore[index]
    once = made.bytes.file - made.bytes.payload
    each = made.bytes.payload / made.images
    assert once + 0.7 * least * each > 0.7 * least * jpeg
    assert once + 1.3 * least * each < 1.3 * least * jpeg


def test_jpeg_files_of_a_psnr(digits_folder: Path) -> None:
    """The lowest quality that reaches it, by Pillow alone."""
    images = open_source(digits_folder).load(3)
    found = jpeg_bytes(images, 25.0)

    def quality(number: int) -> tuple[float, float]:
        sizes, errors = [], []
        for image in images:
            out = io.BytesIO()
            Image.fromarray(image).save(out, "JPEG", quality=number, subsampling="4:2:0")
            data = out.getvalue()
            scan = data.rindex(b"\xff\xda")
            sizes.append(len(data) - scan - 2 - int.from_bytes(data[scan + 2 : scan + 4], "big"))
            decoded = np.asarray(Image.open(out).convert("RGB"), dtype=float)
            errors.append(np.square(decoded - image).mean())
        return float(np.mean(sizes)), float(10 * np.log10(255**2 / np.mean(errors)))

    reached = [quality(number) for number in range(1, 96)]
    assert found == pytest.approx(next(size for size, psnr in reached if psnr >= 25.0))
    assert jpeg_bytes(images, 90.0) is None
