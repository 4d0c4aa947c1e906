"""Test-time augmentation: the views of an image, and what a classifier makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from protocol_data import SMALL, DigitsData, run
from torch import Tensor, nn
from torchvision.transforms import functional as peer

from drrpack.core.errors import MethodError, OptionError
from drrpack.trainers.learning.classifier import NetworkClassifier
from drrpack.trainers.learning.nearest_mean import NearestMean
from drrpack.trainers.learning.network import Network
from drrpack.trainers.learning.views import get_test_augmentation, predict, views

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def noise(count: int, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, side, side, 3), generator=generator).byte()


def as_set(found: list[Tensor]) -> set[bytes]:
    return {view.contiguous().numpy().tobytes() for view in found}


def test_views_are_those_of_torchvision() -> None:
    images = noise(3)
    padded = peer.pad(images.permute(0, 3, 1, 2), [2])
    wanted = [view.permute(0, 2, 3, 1) for view in peer.ten_crop(padded, [16])]
    found = list(views(images, "ten-crop"))
    assert len(found) == 10 and as_set(found) == as_set(wanted)
    plain, mirrored = views(images, "flip")
    assert plain.equal(images) and mirrored.equal(images.flip(2))
    assert [view.equal(images) for view in views(images, "none")] == [True]


class LeftBright(Network):
    """Says 0 if the left half is the brighter, 1 if the right one is; 2 if the whole is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.feature_size = 3, 3
        self.one = nn.Parameter(torch.ones((), dtype=torch.float32))

    def features(self, x: Tensor) -> Tensor:
        left, right = x[..., :8].mean((1, 2, 3)), x[..., 8:].mean((1, 2, 3))
        return torch.stack([9 * left, 8 * right, 5 * (left + right)], 1) * self.one

    def classify(self, features: Tensor) -> Tensor:
        return self.close(features)


def test_scores_of_mirror_images_are_added() -> None:
    bright_left = torch.zeros((1, 16, 16, 3), dtype=torch.uint8)
    bright_left[:, :, :8] = 200
    classifier = NetworkClassifier(LeftBright(), CPU)
    assert predict(classifier, bright_left, "none").tolist() == [0]
    logits = [[9 * (200 / 255 - 0.5) / 0.25, 8 * -2, 5 * ((200 / 255 - 0.5) / 0.25 - 2)]]
    logits += [[9 * -2, 8 * (200 / 255 - 0.5) / 0.25, 5 * ((200 / 255 - 0.5) / 0.25 - 2)]]
    chances = torch.tensor(logits, dtype=torch.float64).softmax(1)
    assert predict(classifier, bright_left, "flip").tolist() == [int(chances.sum(0).argmax())]
    assert torch.allclose(classifier.scores(bright_left).double(), chances[:1], atol=1e-5)


def test_a_nearest_mean_adds_inner_products() -> None:
    images, labels = noise(12), torch.arange(12) % 3
    nearest = NearestMean.fit(LeftBright(), images, labels, CPU)
    network = LeftBright()
    unit = [
        torch.nn.functional.normalize(network.features((v.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25))
        for v in (images, images.flip(2))
    ]
    # the mean of both unit vectors, as iCaRL's own code has it: its nearest mean is the same
    both = (unit[0] + unit[1]).detach().double()
    wanted = (both @ nearest.means.double().T).argmax(1)
    assert predict(nearest, images, "flip").tolist() == wanted.tolist()


def test_a_run_says_by_which_views_it_was_tested(tmp_path: Path) -> None:
    settings = SMALL | {"phases": 1, "epochs": 6}
    plain = run(DigitsData(30), "drr", out=tmp_path / "none", **settings)
    flipped = run(
        DigitsData(30), "drr", out=tmp_path / "flip", test_augmentation="flip", **settings
    )
    assert "test_augmentation" not in plain.to_json()["config"], "as in results of before"
    assert flipped.to_json()["config"]["test_augmentation"] == "flip"
    assert [p.losses for p in flipped.phases] == [p.losses for p in plain.phases]
    assert flipped.confusion != plain.confusion, "digits are no mirror images of themselves"


def test_what_can_not_be_averaged_is_refused() -> None:
    class Plain:
        def predict(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), dtype=torch.int64)

        def state_dict(self) -> dict[str, object]:
            return {}

    assert predict(Plain(), noise(2), "none").tolist() == [0, 0]
    with pytest.raises(MethodError, match="without scores"):
        predict(Plain(), noise(2), "flip")
    with pytest.raises(OptionError, match="`test_augmentation='crop'`: say one of none, flip"):
        get_test_augmentation("crop")
