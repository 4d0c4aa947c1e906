"""Which stored images are also kept raw: the items of ``DRRDataset(raw="pairs")``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError
from drrpack.formats.raw import read_raw
from drrpack.formats.stored_images import StoredImages


def raw_pairs(stored: StoredImages, raw: str) -> tuple[NDArray[np.int64], Pixels]:
    """The numbers of the images that are kept raw, rising, (n,), and their raw pixels (n, H, W, 3).

    Raises:
        OptionError: ``raw`` is not "pairs", or the files keep no raw images of these classes.
    """
    if raw != "pairs":
        raise OptionError(f"raw={raw!r}: say 'pairs', or None for reconstructions alone")
    images = [np.zeros(0, np.int64)]
    pixels = [np.zeros((0, *stored.image_size, 3), np.uint8)]
    chunks = stored.chunks
    _, firsts = np.unique(chunks[["label", "file"]], return_index=True)  # of a class in a file
    for first in firsts:
        reader = stored.files.readers[int(chunks["file"][first])]
        kept = read_raw(reader, int(reader.index["class"][chunks["row"][first]]))
        images.append(stored.starts[first] + kept.positions)
        pixels.append(kept.images)
    if not sum(map(len, images)):
        raise OptionError(
            f"{stored.files.name}: keeps no raw exemplars of these classes; "
            "encode with `raw_per_class=20` to keep some"
        )
    return np.concatenate(images), np.concatenate(pixels)
