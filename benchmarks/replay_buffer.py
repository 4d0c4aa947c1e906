"""Online learning with a `drrpack.ReplayBuffer` and with its rivals.

    python benchmarks/replay_buffer.py stream cifar100/ -o benchmarks/results/replay-buffer
    python benchmarks/replay_buffer.py plot -o benchmarks/results/replay-buffer

`stream` shows the images of a folder with train/ and test/ once, class group by class group, to a
ResNet-18 (experience replay, Chaudhry et al. 2019): each step trains on 10 new images and on some
from a reservoir. The reservoir keeps raw images, JPEG files without the headers that all have in
common, or codes in a `ReplayBuffer`. Rivals pay nothing for labels and for where an image ends. A
run that has its JSON already is left out, so an interrupted series goes on. The learning rate is
that of the literature (0.1, no momentum) for all; nothing was chosen on these test images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import torch
from made_by import made_by
from torch import Tensor
from torch.nn import functional as F

from drrpack import ReplayBuffer
from drrpack.formats.sources.source import Source, open_source
from drrpack.trainers.comparison.peers import LOSSY
from drrpack.trainers.learning import augment
from drrpack.trainers.learning.batches import augmented, normalise
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.resnet import ResNet18

NEW = 10  # images of the stream in a step, as usual in online learning
LEARNING_RATE = 0.1
MEMORIES = ("none", "raw", "jpeg", "drr", "drr-models-counted")


@dataclass(frozen=True)
class Setting:
    """What decides a run, beside the images."""

    memory: str
    budget_bytes: int  # 0 for no memory
    classes: int = 50
    tasks: int = 10
    replayed: int = 20  # images from memory in a step
    width: int = 8
    jpeg_quality: int = 11
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.memory}-{self.budget_bytes}-seed{self.seed}"


class Memory(Protocol):
    def add(self, images: np.ndarray, labels: np.ndarray) -> None: ...
    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """(n, H, W, 3) uint8 and (n,) int64; ``count`` of them, or all if there are fewer."""

    def figures(self) -> dict[str, int]:
        """Images and bytes that are kept."""


class Nothing:
    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        pass

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        return torch.empty((0, 32, 32, 3), dtype=torch.uint8), torch.empty(0, dtype=torch.int64)

    def figures(self) -> dict[str, int]:
        return dict.fromkeys(("images", "bytes"), 0)


class Files:
    """A reservoir of images of different sizes: algorithm R, and evictions until all fits."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.random = setting, np.random.default_rng(setting.seed)
        self.kept = list[tuple[np.ndarray, int, int]]()  # pixels, label, bytes
        self.bytes = self.seen = 0

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        sizes = np.full(len(images), images[0].size)
        if self.setting.memory == "jpeg":
            packed = LOSSY["JPEG"].pack([images], self.setting.jpeg_quality)
            images, sizes = packed.images, packed.sizes
        for image, label, size in zip(images, labels, sizes, strict=True):
            self.seen += 1
            full = self.bytes + size > self.setting.budget_bytes
            if full and self.random.integers(self.seen) >= len(self.kept):
                continue
            if full:
                self._evict()
            self.kept.append((image, int(label), int(size)))
            self.bytes += int(size)
            while self.bytes > self.setting.budget_bytes:
                self._evict()

    def _evict(self) -> None:
        place = int(self.random.integers(len(self.kept)))
        self.bytes -= self.kept[place][2]
        self.kept[place] = self.kept[-1]
        self.kept.pop()

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        places = self.random.choice(len(self.kept), min(count, len(self.kept)), replace=False)
        if not len(places):
            return Nothing().draw(count)
        pixels = np.stack([self.kept[place][0] for place in places])
        return torch.from_numpy(pixels), torch.tensor([self.kept[place][1] for place in places])

    def figures(self) -> dict[str, int]:
        return {"images": len(self.kept), "bytes": self.bytes}


class Drr:
    def __init__(self, setting: Setting) -> None:
        counted = setting.memory == "drr-models-counted"
        self.buffer = ReplayBuffer(
            budget_bytes=setting.budget_bytes, seed=setting.seed, count_models=counted
        )

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.buffer.add(images, labels)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        if not len(self.buffer):
            return Nothing().draw(count)
        images, labels = self.buffer.sample(min(count, len(self.buffer)))
        return images.permute(0, 2, 3, 1), labels

    def figures(self) -> dict[str, int]:
        models = self.buffer.model_bytes
        return {"images": len(self.buffer), "bytes": self.buffer.bytes, "model_bytes": models}


def memory_of(setting: Setting) -> Memory:
    if setting.memory == "none":
        return Nothing()
    return Drr(setting) if setting.memory.startswith("drr") else Files(setting)


# --- the stream ----------------------------------------------------------------------------------


def run(source: Source, setting: Setting) -> dict[str, Any]:
    """One pass over the stream: the accuracy on all classes seen after each task."""
    order = np.random.default_rng(1993 + setting.seed).permutation(len(source.classes))
    order = order[: setting.classes]
    network = new_network(lambda: ResNet18(setting.classes, setting.width), setting.seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    memory, each = memory_of(setting), setting.classes // setting.tasks
    draws = torch.Generator().manual_seed(setting.seed)
    accuracies, seconds = [], dict.fromkeys(("training", "adding", "drawing"), 0.0)
    for task in range(setting.tasks):
        network.train()
        for images, labels in stream(source, order, task * each, each, setting.seed):
            start = time.perf_counter()
            old, old_labels = memory.draw(setting.replayed)
            drawn = time.perf_counter()
            both = torch.cat([torch.from_numpy(images), old])
            step(network, optimiser, both, torch.cat([torch.from_numpy(labels), old_labels]), draws)
            trained = time.perf_counter()
            memory.add(images, labels)
            seconds["drawing"] += drawn - start
            seconds["training"] += trained - drawn
            seconds["adding"] += time.perf_counter() - trained
        accuracies.append(accuracy(network, source, order[: (task + 1) * each]))
        print(f"{setting.name}: task {task + 1}: {accuracies[-1]:.2f} %", flush=True)
    return {
        "setting": asdict(setting),
        "accuracy_after_each_task": accuracies,
        "average_accuracy": float(np.mean(accuracies)),
        "last_accuracy": accuracies[-1],
        "memory": memory.figures(),
        "seconds": seconds,
        **made_by(),
    }


def stream(
    source: Source, order: np.ndarray, first: int, count: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The training images of some classes in random order, `NEW` at a time."""
    parts = [source.load(int(number)) for number in order[first : first + count]]
    images = np.concatenate(parts)
    labels = np.repeat(np.arange(first, first + count), [len(part) for part in parts])
    mixed = np.random.default_rng([seed, first]).permutation(len(images))
    for start in range(0, len(mixed) - NEW + 1, NEW):
        rows = mixed[start : start + NEW]
        yield images[rows], labels[rows]


def step(
    network: ResNet18, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor,
    generator: torch.Generator,
) -> None:  # fmt: skip
    pad = augment.crop_pad(images.shape[1], images.shape[2])
    pixels = augmented(images, augment.draw(len(images), pad, generator), pad)
    optimiser.zero_grad(set_to_none=True)
    F.cross_entropy(network(normalise(pixels)), labels).backward()
    optimiser.step()


def accuracy(network: ResNet18, source: Source, classes: np.ndarray) -> float:
    """Percent of the test images of some classes that get their label."""
    network.eval()
    right = total = 0
    with torch.inference_mode():
        for label, number in enumerate(classes):
            images = torch.from_numpy(source.load(int(number), "test"))
            right += int((network(normalise(images)).argmax(1) == label).sum())
            total += len(images)
    return 100 * right / total


def streams(given: argparse.Namespace) -> None:
    source = open_source(given.source)
    for seed in given.seeds:
        for budget in given.budgets:
            for memory in given.memories:
                kept = 0 if memory == "none" else budget
                setting = Setting(memory, kept, given.classes, given.tasks, seed=seed)
                path = given.output / f"{setting.name}.json"
                if not path.exists():
                    write(path, run(source, setting))


# --- results -------------------------------------------------------------------------------------


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def plot(given: argparse.Namespace) -> None:
    """Accuracy after each task, a panel for each budget."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = [json.loads(path.read_text()) for path in sorted(given.output.glob("*-seed*.json"))]
    budgets = sorted({run["setting"]["budget_bytes"] for run in found} - {0})
    figure, panels = pyplot.subplots(1, len(budgets), sharey=True, squeeze=False, figsize=(9, 3.6))
    for panel, budget in zip(panels[0], budgets, strict=True):
        for memory in MEMORIES:
            runs = [
                run["accuracy_after_each_task"]
                for run in found
                if run["setting"]["memory"] == memory
                and run["setting"]["budget_bytes"] in (0, budget)
            ]
            if runs:
                tasks = range(1, len(runs[0]) + 1)
                panel.plot(tasks, np.mean(runs, axis=0), marker="o", markersize=3, label=memory)
        panel.set(title=f"{budget / 1000:,.0f} kB", xlabel="task", ylim=0)
        panel.legend(fontsize=8)
    panels[0][0].set_ylabel("accuracy on all classes seen, %")
    figure.tight_layout()
    figure.savefig(given.output / "accuracy.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for name, job in (("stream", streams), ("plot", plot)):
        command = commands.add_parser(name)
        command.set_defaults(job=job)
        command.add_argument("-o", "--output", type=Path, required=True)
        if name == "stream":
            command.add_argument("source", type=Path)
            command.add_argument("--classes", type=int, default=Setting.classes)
            command.add_argument("--tasks", type=int, default=Setting.tasks)
            command.add_argument("--budgets", type=int, nargs="+", default=[200_000, 1_000_000])
            command.add_argument("--memories", nargs="+", default=list(MEMORIES), choices=MEMORIES)
            command.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    given.job(given)


if __name__ == "__main__":
    main()
