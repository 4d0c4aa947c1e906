"""What `compare` says of a memory is what `encode` makes: its bytes and its entropy model."""

from __future__ import annotations

from pathlib import Path

import pytest

import drrpack
from drrpack.core.errors import OptionError
from drrpack.formats.account import entropy_model
from drrpack.formats.container import Reader
from drrpack.trainers.comparison import peers

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image files take most of the time, and tell nothing here."""
    monkeypatch.setattr(peers, "available", list)


@pytest.mark.slow
def test_a_memory_of_strange_images_takes_what_was_said(
    digits_folder: Path, tmp_path: Path
) -> None:
    """Scans, for which a whole file holds a table, and a thin one an adapted model."""
    compared = drrpack.compare(digits_folder)
    for family, thin, kind in (("DRR", False, "table"), ("DRR thin", True, "adapted")):
        file = tmp_path / f"{kind}.drr"
        drrpack.encode(digits_folder, file, thin=thin)
        (said,) = (c for c in compared.of(family) if c.options["quality"] == 75)
        assert said.options["entropy_model"] == kind
        with Reader(file) as reader:
            assert entropy_model(reader) == kind
        size = said.bytes_an_image(compared.images) * compared.images
        assert size == pytest.approx(file.stat().st_size, abs=500)


def test_a_thin_file_is_offered_where_it_can_be_made(
    digits_folder: Path, fitted_drr: Path, tmp_path: Path
) -> None:
    codec, thin = tmp_path / "table.drr", tmp_path / "thin.drr"
    drrpack.encode(digits_folder, codec, entropy="table")
    (said,) = (
        c
        for c in drrpack.compare(digits_folder, codec=codec).of("DRR thin")
        if c.options["quality"] == 75
    )
    drrpack.encode(digits_folder, thin, codec=codec, thin=True)  # without the VQ-VAE
    assert thin.stat().st_size < codec.stat().st_size - 500_000
    size = said.bytes_an_image(300) * 300
    assert size == pytest.approx(thin.stat().st_size, abs=500)
    assert not drrpack.compare(digits_folder, sample=20, codec=fitted_drr).of("DRR thin")
    with pytest.raises(OptionError, match="this codec does not"):
        drrpack.encode(digits_folder, thin, codec=fitted_drr, thin=True, force=True)


@pytest.mark.slow
def test_rivals_are_those_that_are_named(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "available", lambda: ["JPEG", "WebP", "JPEG-sheet"])
    compared = drrpack.compare(digits_folder, sample=20, rivals=["jpeg-sheet", "JPEG"])
    assert compared.rivals() == ["JPEG", "JPEG-sheet"]
    for names, found in ((["GIF"], "found 'GIF'"), ([], "found none")):
        with pytest.raises(OptionError, match=f"{found}; there are: JPEG, WebP, JPEG-sheet"):
            drrpack.compare(digits_folder, rivals=names)


@pytest.mark.slow
def test_a_sample_stands_for_all_images(digits_folder: Path) -> None:
    """100 of 300 images have too few codes for an adapted model to pay; all of them do not."""
    compared = drrpack.compare(digits_folder, sample=100)
    (thin,) = (c for c in compared.of("DRR thin") if c.options["quality"] == 75)
    assert compared.sample == 100 and thin.options["entropy_model"] == "adapted"
