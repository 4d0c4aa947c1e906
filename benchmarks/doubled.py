"""A codec for images twice as large, to go on from with `ship.py`.

    python benchmarks/doubled.py CODEC.drr -o START.drr

It begins as the same codec on images that are halved before it (means of 2x2 pixels) and doubled
behind it (each pixel four times), so its codes are those of the halved images, and what its entropy
model knows of codes stays true. A halving and a doubling more have room to learn what is finer.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from drrpack.core.codec import Codec, finish
from drrpack.core.codes import Codes
from drrpack.core.settings import seeded
from drrpack.core.vqvae import VQVAE
from drrpack.formats import memory
from drrpack.formats.container import Memory, Reader, write
from drrpack.formats.memory import load_codec

CPU = torch.device("cpu")


def doubled(network: VQVAE) -> VQVAE:
    """A VQ-VAE of twice the stride, whose channels rise from a quarter of all to all.

    Its first halving keeps each colour twice, as it is and negated, so that no ReLU loses any. Its
    other channels are drawn at random; nothing reads them yet.
    """
    config = network.config
    first = config.channels // 4
    with seeded(0):
        made = VQVAE(replace(config, stride=2 * config.stride, first_channels=first))
    state = made.state_dict()
    ends = ("encoder_bottom.", "decoder.")
    state |= {name: t for name, t in network.state_dict().items() if not name.startswith(ends)}
    made.load_state_dict(state)
    with torch.no_grad():
        _double_encoder(network.encoder_bottom, made.encoder_bottom)
        _double_decoder(network, made)
    return made.eval().requires_grad_(False)


def _double_encoder(old: nn.Sequential, new: nn.Sequential) -> None:
    halving, reader = new[0], new[2]
    halving.weight[:6], halving.bias[:6] = _both_signs(_middle(torch.eye(3) / 4)), 0
    reader.weight.zero_()
    reader.weight[:, :3], reader.weight[:, 3:6] = old[0].weight, -old[0].weight
    reader.bias.copy_(old[0].bias)
    for layer, wanted in zip(new[3:], old[1:], strict=True):
        layer.load_state_dict(wanted.state_dict())


def _double_decoder(old: VQVAE, new: VQVAE) -> None:
    count = len(old.decoder) - 1
    new.decoder[:count].load_state_dict(old.decoder[:count].state_dict())
    last, (writer, doubling) = old.decoder[count], new.decoder_layers.doublings[-2:]
    writer.weight[:, :6] = _both_signs(last.weight.movedim(1, 0)).movedim(0, 1)
    writer.bias[:6] = _both_signs(last.bias)
    doubling.weight.zero_()
    doubling.weight[:3], doubling.bias[:] = _middle(torch.eye(3)), 0
    doubling.weight[3:6] = -doubling.weight[:3]


def _both_signs(weights: Tensor) -> Tensor:
    return torch.cat([weights, -weights])


def _middle(matrix: Tensor) -> Tensor:
    """Kernels of 4x4 that apply a matrix (A, B) to each of the four places in the middle."""
    kernels = torch.zeros(*matrix.shape, 4, 4)
    kernels[..., 1:3, 1:3] = matrix[..., None, None]
    return kernels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    with Reader(given.codec) as reader:
        codec, size = load_codec(reader, CPU, encoder=True), reader.image_size
    size = (2 * size[0], 2 * size[1])
    grown = finish(doubled(codec.vqvae), codec.entropy, _some_codes(codec), CPU)
    write(given.output, Memory(size, [given.codec.stem], [], *memory.sections(grown), {}))


def _some_codes(codec: Codec) -> Codes:
    """Codes as often as the codec's tables have them, which set the scales of activations."""
    drawn, generator = [], torch.Generator().manual_seed(0)
    for level, side in (("top", 8), ("bottom", 16)):
        frequencies = torch.from_numpy(codec.entropy.tables[level].astype("int64")).double()
        chosen = frequencies.multinomial(64 * side * side, replacement=True, generator=generator)
        drawn.append(chosen.reshape(64, side, side).numpy())
    return Codes.of(*drawn)


if __name__ == "__main__":
    main()
