"""Reported: TylerYep/torchinfo#23: sizes divided by 1024 * 1024 were shown as MB.
Right: MB are 1,000,000 bytes wherever we say MB; the paper's "MB" are MiB, and are called so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 50_000
MIB = 2**20
PAPER_EXEMPLARS, PAPER_MODELS = 4.24, 5.81 + 13.4  # as its table 3 has them


@pytest.fixture
def rate() -> str:
    path = ROOT / "docs" / "rate.md"
    if not path.is_file():
        pytest.skip("a checkout without docs/")
    return path.read_text("utf-8")


def papers(rate: str, row: str) -> float:
    """The paper's column of a row of the first table."""
    (line,) = re.findall(rf"^\| {row}[^|]*\|([^|]*)\|", rate, re.M)
    return float(line.split()[0])


def test_what_the_paper_calls_mb_is_mib() -> None:
    assert round(IMAGES * 32 * 32 * 3 / MIB, 2) == 146.48, "as its text has it"
    assert PAPER_EXEMPLARS * 1e6 < IMAGES * 80 * 8.84 / 8 < PAPER_EXEMPLARS * MIB, "its own bits"


def test_the_papers_column_is_in_our_units(rate: str) -> None:
    assert papers(rate, "VQ-VAE and entropy model, MB") == round(PAPER_MODELS * MIB / 1e6, 1)
    whole = (PAPER_EXEMPLARS + PAPER_MODELS) * MIB / IMAGES
    assert papers(rate, "whole file") == round(whole)
    assert papers(rate, "with `--thin`") == round(PAPER_EXEMPLARS * MIB / IMAGES)
    top, bottom = 8.8376, 8.8450  # its appendix B: 16 and 64 codes of an image
    assert papers(rate, "bits a code, both levels") == round((16 * top + 64 * bottom) / 80, 2)


def test_nothing_stands_under_the_paper_that_it_does_not_give(rate: str) -> None:
    for row in ("codes to streams", "streams to codes", "codes to pixels", "PSNR and SSIM"):
        (cell,) = re.findall(rf"^\| {row}[^|]*\|([^|]*)\|", rate, re.M)
        assert cell.strip() == "not given", row
