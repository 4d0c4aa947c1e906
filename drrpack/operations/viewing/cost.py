"""How many bits the codes of one image take in the streams of its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes, Grid
from drrpack.core.entropy.table import TableModel
from drrpack.core.exact import exact_arithmetic
from drrpack.core.frequencies import TABLE_PRECISION
from drrpack.core.streams import Level


@dataclass(frozen=True)
class Cost:
    """The bits of an image's codes, by level."""

    top_bits: float
    bottom_bits: float
    starts_stream: bool  # at a level or two: a table codes those images, and takes more bits

    @property
    def bytes(self) -> float:
        return (self.top_bits + self.bottom_bits) / 8


def cost_of(codec: Codec, codes: Codes, position: int, images: int) -> Cost | None:
    """What the codes of one image cost, by the probabilities that the coder uses.

    The costs of all images of a stream add up to its bits but for a few bytes, with which a stream
    starts and ends. None where the entropy model can't tell what one code costs, as with Bit-Swap.

    Args:
        codes: of this image alone. position: of the image in its stream, which holds ``images``.
    """
    if codec.entropy.prices is None and codec.entropy.kind != TableModel.kind:
        return None
    top = torch.from_numpy(codes.top.astype(np.int64)).to(codec.device)
    plain = [position < level.layout.plain(images) for level in (codec.top, codec.bottom)]
    with exact_arithmetic(codec.device), torch.inference_mode():
        return Cost(
            _bits(codec.top, codes.top, None, plain[0]),
            _bits(codec.bottom, codes.bottom, top, plain[1]),
            any(plain),
        )


def _bits(level: Level, codes: Grid, above: Tensor | None, plain: bool) -> float:
    if plain:
        return float(-np.log2(level.table[codes] / 2.0**TABLE_PRECISION).sum())
    known = torch.from_numpy(codes.astype(np.int64)).to(level.device)
    return float(level.model.expected_bits(known, above, torch.Generator(level.device)).sum())
