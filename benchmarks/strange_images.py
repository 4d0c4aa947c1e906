"""Image folders unlike photographs, from checkouts of public repositories, for `strange.py`.

    python benchmarks/strange_images.py CHECKOUTS OUT [KIND ...]

CHECKOUTS holds the repositories of `KINDS` by their own names, as `git clone` makes them, and in
omniglot's the archive `python/images_background_small1.zip`, unzipped in its place. Of each kind
whose repository is there this writes OUT/KIND/CLASS/*.png: 32x32, the centre crop, scaled by
Pillow's Lanczos filter. The same checkouts give the same pixels: pictures of each class at even
distances, in the order of their names.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 32
WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Kind:
    """Where pictures of a kind are, and how many of each class are used."""

    repository: str  # owner and name on GitHub
    licence: str  # as the repository or the authors of its pictures state it
    pictures: str  # a pattern of paths below the checkout
    label: str  # a regular expression that finds the class in such a path, in its only group
    each: int  # pictures of a class, at most


NOT_STATED = "not stated"
KINDS = {
    "xrays": Kind(
        "szallik/Neural_networks_binary_classification", "CC BY 4.0 (Kermany et al.)",
        "data/train/*/*.jpeg", r"train/(\w+)/", 600,
    ),
    "signs": Kind(
        "jovanzac/Traffic", f"{NOT_STATED} (GTSRB, free to use)", "gtsrb/*/*.ppm",
        r"gtsrb/(\d+)/", 30,
    ),
    "fruits": Kind(
        "fruits-360/fruits-360-3-body-problem", "CC BY-SA 4.0", "Training/*/*/*.jpg",
        r"Training/\w+/([^/]+)/", 30,
    ),
    "characters": Kind(
        "brendenlake/omniglot", "MIT", "python/images_background_small1/*/*/*.png",
        r"small1/([^/]+)/", 250,
    ),
    "icons": Kind(
        "googlefonts/noto-emoji", "Apache 2.0", "png/128/emoji_u1f*.png",
        r"emoji_u(1f[34569a])", 200,
    ),
    "textures": Kind(
        "pan8915/DeepTexture", f"{NOT_STATED} (DTD, for research)", "images/*/*.jpg",
        r"images/(\w+)/", 120,
    ),
    "night": Kind(
        "kkdotpy/Low-Light-Image-enhancement-RRDB-fused-with-SE-blocks-",
        f"{NOT_STATED} (LOL, for research)", "Dataset/*/low/*.png",
        r"low/\d*(\d)\.png", 60,  # ten parts, as these have no classes
    ),
    "sketches": Kind(
        "MachineLearning2020/Homework3-PACS", f"{NOT_STATED} (PACS, for research)",
        "PACS/sketch/*/*.png", r"sketch/(\w+)/", 200,
    ),
    "rendered": Kind(
        "mathewdaron/Lego-bricks-classification-based-on-CNN",
        "MIT, by its README; LEGO made the renders",
        "layer_one_shape/*/*.png", r"layer_one_shape/(\w+)/", 30,
    ),
    "turning": Kind(
        "dnr2/ProjetoAM", f"{NOT_STATED} (COIL-20, for research)", "datasets/coil20/*.png",
        r"coil20/(obj\d+)__", 50,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("output", type=Path)
    names = ["digits", *KINDS]
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"all by default: {', '.join(names)}"
    )
    given = parser.parse_args()
    for name in given.kinds or names:
        if name == "digits":
            report(name, write(given.output / name, digits()))
            continue
        checkout = given.checkouts / KINDS[name].repository.split("/")[1]
        if not checkout.is_dir():
            print(f"{name}: left out, because {checkout} is not there")
            continue
        report(name, write(given.output / name, pictures(checkout, KINDS[name])))


Named = tuple[str, Image.Image]  # a class and a picture


def digits() -> Iterator[Named]:
    """scikit-learn's scans of 8x8, whose values go from 0 to 16 (CC BY 4.0)."""
    from sklearn.datasets import load_digits  # what no other kind needs

    data = load_digits()
    pixels = (data.images * (255 / 16)).round().astype("uint8")
    for image, label in zip(pixels, data.target, strict=True):
        yield str(label), Image.fromarray(image)


def pictures(checkout: Path, kind: Kind) -> Iterator[Named]:
    """The chosen pictures of a checkout, class by class."""
    names = (path.relative_to(checkout).as_posix() for path in checkout.glob(kind.pictures))
    for label, name in chosen(names, kind):
        with Image.open(checkout / name) as picture:
            yield label, picture.copy()


def chosen(names: Iterable[str], kind: Kind) -> Iterator[tuple[str, str]]:
    """The class and the name of each picture that is used, of all names that match the pattern."""
    classes: dict[str, list[str]] = {}
    for name in sorted(names):
        found = re.search(kind.label, name)
        if found:
            classes.setdefault(found[1], []).append(name)
    for label, of_class in classes.items():
        count = min(kind.each, len(of_class))
        for number in range(count):
            yield label, of_class[number * len(of_class) // count]


def write(folder: Path, named: Iterator[Named]) -> dict[str, int]:
    """Put a folder of classes in place, all or nothing; returns the number of pictures of each."""
    counts: dict[str, int] = {}
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for label, picture in named:
        place = part / label
        place.mkdir(parents=True, exist_ok=True)
        small(picture).save(place / f"{counts.get(label, 0):04}.png")
        counts[label] = counts.get(label, 0) + 1
    if not counts:
        raise SystemExit(f"{folder.name}: found no pictures in the checkout")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return counts


def small(picture: Image.Image) -> Image.Image:
    """The centre crop at 32x32 in RGB; what is transparent becomes white."""
    if picture.mode in ("P", "LA", "RGBA"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture)
    return ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)


def report(name: str, counts: dict[str, int]) -> None:
    print(f"{name}: {sum(counts.values())} images in {len(counts)} classes", flush=True)


if __name__ == "__main__":
    main()
