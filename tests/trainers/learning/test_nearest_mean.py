"""The nearest mean of exemplars against numpy, one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drrpack.core.errors import MethodError
from drrpack.trainers.learning.batches import normalise
from drrpack.trainers.learning.nearest_mean import NearestMean
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.resnet import ResNet18

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NETWORK = new_network(lambda: ResNet18(4, 2, last_relu=False), 0)
DRAWN = torch.Generator().manual_seed(1)
EXEMPLARS = torch.randint(256, (11, 8, 8, 3), generator=DRAWN).byte()
LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 3, 3, 1, 0, 2])
IMAGES = torch.randint(256, (40, 8, 8, 3), generator=DRAWN).byte()


def unit_features(images: torch.Tensor) -> np.ndarray:
    network = NETWORK.eval()
    with torch.no_grad():
        rows = [network.features(normalise(image[None]))[0].double().numpy() for image in images]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def test_it_tells_the_class_whose_mean_is_nearest() -> None:
    features, labels = unit_features(EXEMPLARS), LABELS.numpy()
    means = [features[labels == label].mean(0) for label in range(4)]
    means = [mean / np.linalg.norm(mean) for mean in means]
    distances = np.array(
        [[np.linalg.norm(row - mean) for mean in means] for row in unit_features(IMAGES)]
    )
    found = NearestMean.fit(NETWORK, EXEMPLARS, LABELS, CPU)
    told = found.predict(IMAGES)
    assert told.dtype == torch.int64 and len(set(told.tolist())) > 1
    assert told.tolist() == distances.argmin(1).tolist()
    np.testing.assert_allclose(found.means.numpy(), np.stack(means), rtol=1e-4, atol=1e-5)


def test_it_is_made_again_from_its_state() -> None:
    found = NearestMean.fit(NETWORK, EXEMPLARS, LABELS, CPU)
    state = found.state_dict()
    network = ResNet18(4, 2, last_relu=False)
    network.load_state_dict(state["weights"])  # type: ignore[arg-type]
    again = NearestMean(network, state["means"], CPU)  # type: ignore[arg-type]
    assert torch.equal(again.predict(IMAGES), found.predict(IMAGES))


def test_training_on_does_not_move_it() -> None:
    network = new_network(lambda: ResNet18(4, 2), 3)
    found = NearestMean.fit(network, EXEMPLARS, LABELS, CPU)
    before = found.predict(IMAGES)
    with torch.no_grad():
        network.stem.weight.zero_()
    assert torch.equal(found.predict(IMAGES), before)


def test_a_class_without_exemplars() -> None:
    with pytest.raises(MethodError, match=r"no image of labels \[1, 2\]"):
        NearestMean.fit(NETWORK, EXEMPLARS[:2], torch.tensor([0, 3]), CPU)
