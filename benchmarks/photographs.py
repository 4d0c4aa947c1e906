"""The photographs that the codecs for larger images are fitted on, for `ship.py`, and others to
judge them by.

    python benchmarks/photographs.py CHECKOUTS OUT    # 64x64, of the codec for medium sizes
    python benchmarks/photographs.py CHECKOUTS OUT --side 160 --largest 1.4    # of large ones
    python benchmarks/photographs.py CHECKOUTS OUT --side 224 --judge    # for `drrpack compare`
    python benchmarks/photographs.py CHECKOUTS OUT --tiny    # the same of Tiny-ImageNet, 64x64

CHECKOUTS holds the public repositories of `PARTS` by their own names, as `git clone` makes them.
This writes OUT/fit-*/*.png, the classes to fit on, and OUT/unseen-*/*.png, a half of Caltech 101
that no fit sees. Half of the pictures of a class are whole, as far as a square holds them; the
others are crops of them at a scale between that and the largest, since a codec is for a range of
sizes. The same checkouts give the same pixels.

Left out are classes that Tiny-ImageNet has too, as the codec is judged on 20 classes of it.

With --judge it writes OUT/train/*/*.png and OUT/test/*/*.png: the classes of that half with 60
pictures at least (or --least), whole pictures all, seven of ten to train on. With --tiny it writes
24 classes of Tiny-ImageNet (seshuad/IMagenet), with its own 500 and 50 pictures each.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

UNSEEN = "unseen-"  # begins the names of classes that no fit sees
EACH = 1000  # pictures of a class, at most
LEAST, MOST = 60, 200  # pictures of a class that others are judged by
TINY = slice(1, 144, 6)  # of the classes of Tiny-ImageNet: none that a weight was chosen by


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
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--least", type=int, default=LEAST, help="pictures of a judged class")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    made = given.output.with_name(f".{given.output.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    if given.tiny:
        write_tiny(made, given.checkouts / "IMagenet" / "tiny-imagenet-200")
    for part in () if given.tiny else PARTS:
        for name, folder in classes(part, given.checkouts):
            if given.judge:
                count = write_judged(made, name, folder, given.side, given.least)
            else:
                count = write(made / name, pictures(folder, given.side, given.largest))
            if count:
                print(f"{name}: {count} images", flush=True)
    shutil.rmtree(given.output, ignore_errors=True)
    made.rename(given.output)


def write(place: Path, squares: Iterable[Image.Image]) -> int:
    """Write squares into a folder; returns how many they were."""
    place.mkdir(parents=True)
    count = 0
    for count, picture in enumerate(squares, 1):
        picture.save(place / f"{count - 1:04}.png", compress_level=1)
    return count


def write_judged(output: Path, name: str, folder: Path, side: int, least: int) -> int:
    """Both splits of a class that no fit sees, if it has ``least`` pictures; returns how many."""
    paths = sorted(folder.iterdir())[:MOST]
    if not name.startswith(UNSEEN) or len(paths) < least:
        return 0
    splits = {
        "train": [path for number, path in enumerate(paths) if number % 10 < 7],
        "test": [path for number, path in enumerate(paths) if number % 10 >= 7],
    }
    for split, chosen in splits.items():
        place = output / split / name.removeprefix(UNSEEN)
        write(place, (square(opened(path), side) for path in chosen))
    return len(paths)


def write_tiny(output: Path, tiny: Path) -> None:
    """Both splits of `TINY` of the classes of Tiny-ImageNet, its JPEG files as they are."""
    tested = dict[str, list[Path]]()
    for line in (tiny / "val" / "val_annotations.txt").read_text().splitlines():
        picture, name, *_ = line.split("\t")
        tested.setdefault(name, []).append(tiny / "val" / "images" / picture)
    for folder in sorted((tiny / "train").iterdir())[TINY]:
        splits = {"train": sorted((folder / "images").iterdir()), "test": tested[folder.name]}
        for split, paths in splits.items():
            place = output / split / folder.name
            place.mkdir(parents=True)
            for path in paths:
                shutil.copy(path, place)


def classes(part: Part, checkouts: Path) -> Iterator[tuple[str, Path]]:
    """The classes of a part by their names in the output, and where their pictures are."""
    root = checkouts / part.repository.split("/")[1] / part.folder
    kept = sorted(path for path in root.iterdir() if path.name not in part.left_out)
    for number, folder in enumerate(kept):
        unseen = part.unseen_half and number % 2
        yield (UNSEEN if unseen else "fit-") + folder.name, folder


def pictures(folder: Path, side: int, largest: float) -> Iterator[Image.Image]:
    """The pictures of a class in RGB as squares of ``side``, whole and cropped in turn."""
    drawn = random.Random(folder.name)
    for number, path in enumerate(sorted(folder.iterdir())[:EACH]):
        whole = side if number % 2 == 0 else round(side * drawn.uniform(1, largest))
        left, top = (drawn.randint(0, whole - side) for _ in "xy")
        yield square(opened(path), whole).crop((left, top, left + side, top + side))


def opened(path: Path) -> Image.Image:
    """A picture in RGB."""
    with Image.open(path) as picture:
        return picture.convert("RGB")


def square(picture: Image.Image, side: int) -> Image.Image:
    """The middle of a picture, as much of it as a square holds."""
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
