"""The codec of a memory alone, as a `.drr` without images, for `drrpack encode --codec`.

python benchmarks/extract_codec.py mem.drr -o codec.drr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from drrpack.formats.container import Memory, Reader, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    with Reader(given.memory) as reader:
        fit = reader.metadata["fit"]  # without the path of the source
        bare = Memory(
            reader.image_size,
            reader.classes,
            [],
            reader.vqvae,
            reader.entropy_model,
            {"fit": fit},
        )
        size = write(given.output, bare)
    print(f"{given.output}: {size} bytes")


if __name__ == "__main__":
    main()
