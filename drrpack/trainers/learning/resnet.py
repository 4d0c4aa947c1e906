"""ResNets for small images, with a 3x3 stem and no max-pool, and two for larger ones: any width.

torchvision's ResNet has a fixed width and the stem of large images, draws its weights in another
order, and takes a strided 1x1 convolution and an adaptive pool that this file must avoid (see the
comments there), so it would change results; a test checks that both compute the same.
"""

from __future__ import annotations

from itertools import accumulate
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.core.errors import OptionError
from drrpack.core.families import LARGE, MEDIUM, SMALL, for_size
from drrpack.trainers.learning.network import BatchNorm2d, Conv2d, Head, Linear, Network


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, last_relu: bool = True) -> None:
        super().__init__()
        self.conv1 = Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.stride, self.last_relu = stride, last_relu
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            # `forward` takes every stride-th pixel: a 1x1 convolution with a stride and 8 or 12
            # channels, channels last, writes past its buffers in oneDNN 3.13 (its issue 6035)
            self.shortcut = nn.Sequential(
                Conv2d(inputs, outputs, 1, bias=False), BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.before_relu(x)
        return F.relu(y) if self.last_relu else y

    def before_relu(self, x: Tensor) -> Tensor:
        """The same without the last ReLU."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        found: Tensor = y + self.shortcut(x[:, :, :: self.stride, :: self.stride])
        return found


class ResNet(Network):
    """Stages of basic blocks, each with twice the filters of the one before and half its side.

    Args:
        classes: those of the whole run.
        width: filters of the first stage; the paper's 'in-planes'.
        seen: how many of them are open; all by default.
        head: makes the last layer, such as `heads.CosineHead`.
        last_relu: whether features are cut at zero; some methods want them with both signs.
    """

    stages: ClassVar[tuple[int, ...]]  # blocks of each
    stem_layer: ClassVar[tuple[int, int, int]] = (3, 1, 1)  # its kernel, stride and padding
    large: ClassVar[bool] = False  # a max-pool after it, which halves each side once more

    def __init__(
        self,
        classes: int,
        width: int = 64,
        seen: int | None = None,
        *,
        head: Head = Linear,
        last_relu: bool = True,
    ) -> None:
        super().__init__()
        self.seen = classes if seen is None else seen
        self.stem = Conv2d(3, width, *self.stem_layer, bias=False)
        self.bn = BatchNorm2d(width)
        blocks: list[nn.Module] = []
        inputs = width
        for stage, count in enumerate(self.stages):
            outputs = width << stage
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                last = stage == len(self.stages) - 1 and block == count - 1
                blocks.append(BasicBlock(inputs, outputs, stride, last_relu or not last))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.feature_size = inputs
        self.head = head(inputs, classes)
        self.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """What the head sees: (B, 3, H, W) float -> (B, feature_size)."""
        x = self.begun(x)
        x = self.blocks(x)  # (B, feature_size, H/8, W/8) of four stages, H/4 of three
        # not adaptive_avg_pool2d: its backward pass on a GPU adds in no fixed order
        return x.mean((2, 3))

    def begun(self, x: Tensor) -> Tensor:
        """What the stem makes of (B, 3, H, W) float: (B, width, H, W), or with half
        or a quarter of the sides."""
        x = F.relu(self.bn(self.stem(x)))
        return F.max_pool2d(x, 3, 2, 1) if self.large else x

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage makes of (B, 3, H, W) float: (B, width << s, h >> s, w >> s) for stage s,
        of h x w places that the stem leaves.

        The last is taken before its ReLU; `pooled` makes features of it.
        """
        x = self.begun(x)
        found, ends = [], set(accumulate(self.stages))
        for number, block in enumerate(self.blocks, 1):
            assert isinstance(block, BasicBlock)
            x = block.before_relu(x) if number == len(self.blocks) else block(x)
            if number in ends:
                found.append(x)
        return found

    def pooled(self, last: Tensor) -> Tensor:
        """The features (B, feature_size) of the last of `maps`."""
        return (F.relu(last) if self.blocks[-1].last_relu else last).mean((2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, feature_size) to logits (B, classes)."""
        return self.close(self.head(features))


class ResNet18(ResNet):
    """The paper's classifier, 64 filters wide (appendix D).

    The stages have ``width * (1, 2, 4, 8)`` filters and strides 1, 2, 2, 2: an image of 32x32
    ends as 4x4, one of 8x8 as 1x1. With 100 classes and width 64: 11,220,132 parameters.
    """

    stages = (2, 2, 2, 2)  # two convolutions a block, and the stem and the head: 18


class ResNet32(ResNet):
    """The network of the published rivals, 16 filters wide; the paper tries 64 too (appendix D).

    Three stages of ``width * (1, 2, 4)`` filters (He et al. 2016, section 4.2). A shortcut to a
    wider stage is a 1x1 convolution. With 100 classes and width 16: 472,756 parameters.
    """

    stages = (5, 5, 5)  # two convolutions a block, and the stem and the head: 32


class ResNet18Medium(ResNet18):
    """The same for images of about 64 pixels: a 5x5 stem with a stride, and no max-pool.

    An image of 64x64 enters the stages as 32x32, so it takes hardly more work than one of 32x32.
    """

    stem_layer = (5, 2, 2)


class ResNet18Large(ResNet18):
    """The same for large images, as ImageNet's: a 7x7 stem with a stride, and a max-pool.

    An image of 224x224 enters the stages as 56x56 and ends as 7x7 (He et al. 2016, section 4.1).
    """

    stem_layer = (7, 2, 3)
    large = True


NETWORKS: dict[str, type[ResNet]] = {
    "resnet18": ResNet18,
    "resnet18-medium": ResNet18Medium,
    "resnet18-large": ResNet18Large,
    "resnet32": ResNet32,
}


# By the codec family for the same images: so the stages see about as many places of each.
FOR_FAMILIES = {SMALL: ResNet18, MEDIUM: ResNet18Medium, LARGE: ResNet18Large}


def resnet18_for(size: tuple[int, int]) -> type[ResNet18]:
    """The ResNet-18 meant for images of ``size`` (H, W)."""
    side = max(size)  # a classifier has no patches to fill
    return FOR_FAMILIES[for_size((side, side), FOR_FAMILIES)]


def get_network(name: str) -> type[ResNet]:
    """The network of a name; raises OptionError."""
    if name not in NETWORKS:
        raise OptionError(f"`network={name!r}`: there are {', '.join(NETWORKS)}", option="network")
    return NETWORKS[name]


def _initialise(module: nn.Module) -> None:
    """He's initialisation of the convolutions; the head keeps its own."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
