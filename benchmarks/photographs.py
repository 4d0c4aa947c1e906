"""The photographs that the codecs for larger images are fitted on, for `ship.py`.

    python benchmarks/photographs.py CHECKOUTS OUT    # 64x64, of the codec for medium sizes
    python benchmarks/photographs.py CHECKOUTS OUT --side 160 --largest 1.4    # of large ones

CHECKOUTS holds the public repositories of `PARTS` by their own names, as `git clone` makes them.
This writes OUT/fit-*/*.png, the classes to fit on, and OUT/unseen-*/*.png, a half of Caltech 101
that no fit sees. Half of the pictures of a class are whole, as far as a square holds them; the
others are crops of them at a scale between that and the largest, since a codec is for a range of
sizes. The same checkouts give the same pixels.

Left out are classes that Tiny-ImageNet has too, as the codec is judged on 20 classes of it.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

EACH = 1000  # pictures of a class, at most


@dataclass(frozen=True)
class Part:
    """Where the pictures of a public repository are: below ``folder``, in one folder a class."""

    repository: str  # owner and name on GitHub
    folder: str
    left_out: tuple[str, ...] = ()
    unseen_half: bool = False  # keep every second class from the fit


PARTS = (
    Part("thunderInfy/imagenette", "train"),
    Part("thunderInfy/imagewoof", "train", left_out=("n02099601",)),  # golden retrievers
    Part(
        "MachineLearning2020/Homework2-Caltech101", "101_ObjectCategories",
        # clutter of the internet, faces that are there twice, and a class of Tiny-ImageNet
        left_out=("BACKGROUND_Google", "Faces_easy", "trilobite"), unseen_half=True,
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--largest", type=float, default=2.0, help="scale of crops, times the side")
    given = parser.parse_args()
    made = given.output.with_name(f".{given.output.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    for part in PARTS:
        for name, folder in classes(part, given.checkouts):
            place = made / name
            place.mkdir(parents=True)
            count = 0
            for picture in pictures(folder, given.side, given.largest):
                picture.save(place / f"{count:04}.png", compress_level=1)
                count += 1
            print(f"{name}: {count} images", flush=True)
    shutil.rmtree(given.output, ignore_errors=True)
    made.rename(given.output)


def classes(part: Part, checkouts: Path) -> Iterator[tuple[str, Path]]:
    """The classes of a part by their names in the output, and where their pictures are."""
    root = checkouts / part.repository.split("/")[1] / part.folder
    kept = sorted(path for path in root.iterdir() if path.name not in part.left_out)
    for number, folder in enumerate(kept):
        unseen = part.unseen_half and number % 2
        yield f"{'unseen' if unseen else 'fit'}-{folder.name}", folder


def pictures(folder: Path, side: int, largest: float) -> Iterator[Image.Image]:
    """The pictures of a class in RGB as squares of ``side``, whole and cropped in turn."""
    drawn = random.Random(folder.name)
    for number, path in enumerate(sorted(folder.iterdir())[:EACH]):
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
        whole = side if number % 2 == 0 else round(side * drawn.uniform(1, largest))
        square = ImageOps.fit(picture, (whole, whole), Image.Resampling.LANCZOS)
        left, top = (drawn.randint(0, whole - side) for _ in "xy")
        yield square.crop((left, top, left + side, top + side))


if __name__ == "__main__":
    main()
