"""An epoch of training from a memory, beside the same loop over PNG files, in one run.

    python benchmarks/train_speed.py mem.drr -o benchmarks/results/NAME.json --classes 50:70

Both loops train the same network on the same images, in batches of the same size, with flip, crop
and normalisation. The peer is torchvision's ImageFolder with a DataLoader. An epoch is measured
with training, and with the batches alone; decoding, which happens once, stands by itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from made_by import made_by
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from drrpack.formats.container import Reader
from drrpack.formats.selection import select_classes
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.learning.batches import PIXEL_MEAN, PIXEL_STD, epoch_batches
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18

Batches = Iterable[tuple[Tensor, Tensor]]


def main() -> None:
    given = _arguments()
    with Reader(given.memory) as reader:
        numbers = select_classes(reader.classes, given.classes)
    recipe = get_recipe("fast", 1, given.width)
    data = MemoryData(given.memory, numbers=numbers)
    classes = range(len(numbers))
    start = time.monotonic()
    pixels, targets = data.replayed(classes)
    decoding = time.monotonic() - start
    images, labels = torch.from_numpy(pixels), torch.from_numpy(targets)

    def memory(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in epoch_batches(images, labels, recipe, 0, epoch):
            yield batch.images, batch.labels

    seconds: dict[str, float] = {"decoding the memory, once": decoding}
    with tempfile.TemporaryDirectory() as folder:
        loader = _png_loader(Path(folder), pixels, targets, recipe.batch_size, given.workers)
        for name, batches in (("memory", memory), ("PNG files", lambda _: loader)):
            for epoch in range(given.epochs):  # the best of several, as other work disturbs
                drawn = _seconds(
                    batches(epoch), train=False, classes=len(numbers), width=given.width
                )
                trained = _seconds(
                    batches(epoch), train=True, classes=len(numbers), width=given.width
                )
                for what, value in (("batches alone", drawn), ("training", trained)):
                    key = f"{name}: {what}"
                    seconds[key] = min(value, seconds.get(key, value))
    found = {
        "images": len(images),
        "seconds_an_epoch": seconds,
        "ratio of PNG files to memory": {
            what: seconds[f"PNG files: {what}"] / seconds[f"memory: {what}"]
            for what in ("batches alone", "training")
        },
        "width": given.width,
        "workers": given.workers,
        **made_by(),
    }
    print(json.dumps(found, indent=1))
    given.output.write_text(json.dumps(found, indent=1) + "\n")


def _seconds(batches: Batches, *, train: bool, classes: int, width: int) -> float:
    network = new_network(lambda: ResNet18(classes, width), 0)
    network.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    start = time.monotonic()
    for images, labels in batches:
        if train:
            loss = F.cross_entropy(network(images), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return time.monotonic() - start


def _png_loader(
    folder: Path, pixels: np.ndarray, targets: np.ndarray, batch_size: int, workers: int
) -> Batches:
    for number, (image, label) in enumerate(zip(pixels, targets, strict=True)):
        place = folder / f"{label:04}"
        place.mkdir(exist_ok=True)
        Image.fromarray(image).save(place / f"{number:06}.png")
    height, width = pixels.shape[1:3]
    steps = [
        transforms.RandomCrop((height, width), padding=max(1, round(min(height, width) / 8))),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([PIXEL_MEAN] * 3, [PIXEL_STD] * 3),
    ]
    folders = ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(
        folders, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--classes")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
