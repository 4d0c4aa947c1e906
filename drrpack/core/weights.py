"""Turn the VQ-VAE into a section and back.

The config is JSON that fixes every shape; the data is one blob of tensors. No function touches a
file; the container does that. `drrpack.core.entropy` stores entropy models.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core import packing
from drrpack.core.errors import CorruptError
from drrpack.core.pixels import ActivationBits
from drrpack.core.section import Section
from drrpack.core.settings import own_settings, skeleton
from drrpack.core.stored import SIZE_LIMIT, Blob, check_count, parse, sizes_from, wrong_size
from drrpack.core.vqvae import STRIDE, VQVAE, VQVAEConfig, grid_bits


@own_settings()
def pack_vqvae(network: VQVAE, bits: ActivationBits) -> Section:
    """A VQ-VAE whose weights are those of `drrpack.core.vqvae.as_stored`; the moving averages stay
    behind.

    Version 1.0 holds half-precision numbers, 2.0 the integers that `VQVAEConfig.weight_bits` makes
    of them, 3.0 those of another stride than 4, and 4.0 those of other channels after the first
    halving than a half of all.
    """
    sizes = network.config
    config = {**asdict(sizes), "activation_bits": bits.to_json()}
    if sizes.stride == STRIDE:
        del config["stride"]
    usual = sizes.widths == replace(sizes, first_channels=0).widths
    if usual:
        del config["first_channels"]
    tensors = _vqvae_tensors(network)
    if not sizes.weight_bits:
        del config["weight_bits"], config["codebook_bits"]
        return Section("1.0", config, b"".join(map(_halves, tensors.values())))
    on_grid = {name: t for name, t in tensors.items() if grid_bits(sizes, name)}
    rest = b"".join(_halves(t) for name, t in tensors.items() if name not in on_grid)
    integers = [
        (tensor.cpu().double() * 2.0 ** grid_bits(sizes, name)).numpy().astype(np.int64)
        for name, tensor in on_grid.items()
    ]
    config["encoder"] = network.has_encoder
    version = "4.0" if not usual else "2.0" if sizes.stride == STRIDE else "3.0"
    return Section(version, config, rest + packing.pack(integers))


@own_settings()
def unpack_vqvae(model: Section) -> tuple[VQVAE, ActivationBits]:
    """The inverse of `pack_vqvae`.

    Raises:
        CorruptError: the config is not one of ours, or the weights are not those of its network.
    """
    bits = parse(lambda: ActivationBits.from_json(model.config["activation_bits"]))
    first = {"weight_bits": 0, "codebook_bits": 0, "encoder": True}  # all that 1.0 knows
    config = {**model.config, **(first if model.before(2) else {})}
    config["stride"] = stored_stride(model)
    if model.before(4):
        config["first_channels"] = 0
    elif config.get("first_channels") == 0:
        raise CorruptError("a model's config says first_channels = 0, which is not valid")
    sizes = sizes_from(VQVAEConfig, config)
    _check_bits(bits, sizes)
    encoder = config.get("encoder")
    if not isinstance(encoder, bool):
        raise CorruptError(f"a model's config says encoder = {encoder!r}, which is not valid")
    network = skeleton(lambda: VQVAE(sizes, encoder))
    check_count(network)
    values = _vqvae_values(network, model.data)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in _vqvae_tensors(network).items():
            tensor.copy_(torch.from_numpy(values[name]))
    for quantiser in (network.top, network.bottom):
        quantiser.start_averages()
    return network.eval().requires_grad_(False), bits


def stored_stride(model: Section) -> int:
    """The pixels for one bottom code of a stored VQ-VAE, of whatever version.

    Raises:
        CorruptError: the config's ``stride`` is no number that it could be.
    """
    stride = STRIDE if model.before(3) else model.config.get("stride", STRIDE)
    if type(stride) is not int or not 0 < stride <= SIZE_LIMIT:
        raise CorruptError(f"a model's config says stride = {stride!r}, which can't be")
    return stride


def _check_bits(bits: ActivationBits, sizes: VQVAEConfig) -> None:
    """Raise CorruptError unless there is a scale for each activation of the network."""
    doublings = len(sizes.widths) - 2  # the last, which gives the image, has a scale of its own
    for found, wanted, what in (
        (len(bits.hidden), sizes.residual_blocks, "residual blocks"),
        (len(bits.upsampled), doublings, "doublings before the last"),
    ):
        if found != wanted:
            raise CorruptError(f"{found} {what} have activation bits, the VQ-VAE has {wanted}")


def _vqvae_values(network: VQVAE, data: bytes) -> dict[str, NDArray[np.float32]]:
    """The weights by their names, for a network whose tensors have shapes alone."""
    shapes = {name: tuple(tensor.shape) for name, tensor in _vqvae_tensors(network).items()}
    grids = {name: bits for name in shapes if (bits := grid_bits(network.config, name))}
    halves = [name for name in shapes if name not in grids]
    size = 2 * sum(math.prod(shapes[name]) for name in halves)
    if len(data) < size or (not grids and len(data) > size):
        raise wrong_size(data, size)
    blob = Blob(data)
    values = {name: blob.halves(shapes[name]) for name in halves}
    if not all(np.isfinite(array).all() for array in values.values()):
        raise CorruptError("the VQ-VAE has weights that are no finite numbers")
    if grids:
        found = packing.unpack(data[size:], [shapes[name] for name in grids])
        for name, array in zip(grids, found, strict=True):
            values[name] = (array * 2.0 ** -grids[name]).astype(np.float32)
    return values


def _vqvae_tensors(network: VQVAE) -> dict[str, torch.Tensor]:
    averages = (".usage", ".total")
    state: dict[str, torch.Tensor] = network.state_dict()
    return {name: t for name, t in state.items() if not name.endswith(averages)}


def _halves(tensor: torch.Tensor) -> bytes:
    data: bytes = tensor.cpu().half().numpy().astype("<f2").tobytes()
    return data
