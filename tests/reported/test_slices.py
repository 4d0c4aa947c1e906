"""Reported: pytorch/vision#395: a slice of a data set ended in an error deep inside that spoke of
data types.

Right: a slice is refused at once, as all data sets of torchvision hold one image to an index, and
the message names what gives several.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drrpack import DRRDataset


def test_the_message_says_what_to_do(shared_drr: Path) -> None:
    dataset = DRRDataset(shared_drr)
    for several in (slice(0, 4), slice(None), slice(None, None, -1)):
        with pytest.raises(TypeError, match=r"type slice.*one whole number.*pixels") as caught:
            dataset[several]  # type: ignore[index]
        assert str(shared_drr) in str(caught.value)
    np.testing.assert_array_equal(dataset.pixels(range(18)[2:9:3]), dataset.pixels([2, 5, 8]))
