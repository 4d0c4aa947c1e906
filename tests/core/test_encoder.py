"""The encoder: which codes it takes, and that it never takes others without a word."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from small_models import small_vqvae
from torch import Tensor

from drrpack.core.codes import LevelName
from drrpack.core.encoder import Encoder
from drrpack.core.entropy.model import Round
from drrpack.core.errors import OptionError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)


class OneIsFree:
    """`Prices` by which code 3 costs nothing and any other a million bits."""

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        bits = torch.full((len(IMAGES) * shape[0] * shape[1], 32), 1e6)
        bits[:, 3] = 0.0
        yield Round(lambda grids: grids, lambda codes: bits)


class Lost:
    """`Prices` of a model that is not there."""

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        raise OptionError("no model")


@pytest.mark.parametrize("quality", [None, 100])
def test_without_a_quality_below_100_prices_are_not_asked(quality: int | None) -> None:
    nearest = Encoder(small_vqvae()).encode(IMAGES)
    assert Encoder(small_vqvae(), quality, Lost()).encode(IMAGES).digest == nearest.digest


def test_the_cheap_code_is_taken_below_100() -> None:
    codes = Encoder(small_vqvae(), 50, OneIsFree()).encode(IMAGES)
    assert {*codes.flat.reshape(-1).tolist()} == {3}


def test_a_model_that_is_missing_is_an_error_and_not_other_codes() -> None:
    with pytest.raises(OptionError, match="no model"):
        Encoder(small_vqvae(), 50, Lost()).encode(IMAGES)


def test_an_encoder_that_refuses() -> None:
    with pytest.raises(OptionError, match="lost"):
        Encoder(small_vqvae(), refusal=OptionError("lost")).encode(IMAGES)
