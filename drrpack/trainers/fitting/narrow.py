"""Give fitted networks narrower embeddings, with the least possible change.

A codebook of the paper's 64 dimensions uses about eight of them, but every layer that reads it pays
for 64; most weights of an entropy model are in the layers after its embedding. Up to the next
non-linearity the network is linear, a product of two matrices. Singular vectors give the nearest
product of lower rank (Eckart and Young, 1936). A short fit recovers what is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from drrpack.core.entropy.networks import BothLevels
from drrpack.core.settings import unfilled
from drrpack.core.vqvae import VQVAE

State = dict[str, Tensor]


def narrow_vqvae(network: VQVAE, embedding: int) -> VQVAE:
    """A VQ-VAE, with its encoder, whose codebooks have ``embedding`` dimensions."""
    wide, channels = network.config.embedding, network.config.channels
    state = network.state_dict()
    top, bottom = (_narrow_codebook(state, name, embedding) for name in ("top", "bottom"))
    # what reads the codebooks
    coarse, fine = torch.split(state["decoder.0.weight"], wide, 1)
    fine = torch.einsum("oikl,id->odkl", fine, bottom)
    entering, upsampling = state["decoder_top.0.weight"], state["upsample_top.weight"]
    state["decoder_top.0.weight"] = torch.einsum("oikl,id->odkl", entering, top)
    state["upsample_top.weight"] = torch.einsum("iokl,id->dokl", upsampling, top)
    # the maps that go between: from the decoded top to the bottom codes, and to the image
    last = f"decoder_top.{len(network.decoder_top) - 1}"
    decoded, features = torch.split(state["to_bottom.weight"], [wide, channels], 1)
    decoded = _narrow_map(state, last, decoded, embedding)
    state["to_bottom.weight"] = torch.cat([decoded, features], 1)
    reach = state["top.codebook"].square().mean(0).sqrt()
    coarse = _narrow_map(state, "upsample_top", coarse, embedding, reach)
    state["decoder.0.weight"] = torch.cat([coarse, fine], 1)
    made = unfilled(lambda: VQVAE(replace(network.config, embedding=embedding)))
    made.load_state_dict(state)
    return made


def narrow_entropy(network: BothLevels, embedding: int) -> BothLevels:
    """An entropy model whose codes go in and come out as vectors of ``embedding`` dimensions."""
    state = {name: tensor.float() for name, tensor in network.state_dict().items()}
    for level in ("top.", "bottom."):
        readers = [level + "likelihood.known.weight", level + "infer.0.enter.weight"]
        _narrow_table(state, level + "embedding.weight", readers, embedding)
        leave, output = level + "likelihood.leave.", level + "output.weight"
        written = torch.cat([state[leave + "weight"], state[leave + "bias"][:, None]], 1).t()
        written, read = _factors(written, state[output].t(), embedding)
        state[leave + "weight"], state[leave + "bias"] = written[:-1].t(), written[-1]
        state[output] = read.t()
    _narrow_table(
        state, "bottom.context.embedding.weight", ["bottom.context.enter.weight"], embedding
    )
    made = unfilled(replace(network.config, embedding=embedding).network)
    made.load_state_dict(state)
    return made


def _narrow_codebook(state: State, name: str, count: int) -> Tensor:
    """Keep the directions (D, ``count``) that a codebook (K, D) extends in, which are returned, and
    what goes to it along them: between vectors in them distances are what they were."""
    codebook = state[f"{name}.codebook"]
    axes: Tensor = torch.linalg.svd(codebook.double(), full_matrices=False)[2][:count].t().float()
    state[f"{name}.codebook"] = state[f"{name}.total"] = codebook @ axes
    for part in (f"to_{name}.weight", f"to_{name}.bias"):
        state[part] = torch.tensordot(axes.t(), state[part], 1)
    return axes


def _narrow_map(
    state: State, name: str, reader: Tensor, count: int, reach: Tensor | None = None
) -> Tensor:
    """Narrow what a transposed convolution (I, D, 4, 4) writes; returns the weights of its reader,
    (O, D, k, k) before and (O, ``count``, k, k) then. ``reach`` (I,) is how large its inputs are,
    where they differ."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    size = weight.new_ones(len(weight)) if reach is None else reach
    scaled = weight * size[:, None, None, None]
    written = torch.cat([scaled.movedim(1, -1).flatten(0, 2), bias[None]])
    written, read = _factors(written, reader.movedim(1, 0).flatten(1), count)
    kernels = written[:-1].reshape(len(weight), *weight.shape[2:], count).movedim(-1, 1)
    state[f"{name}.weight"] = kernels / size[:, None, None, None]
    state[f"{name}.bias"] = written[-1]
    return read.reshape(count, len(reader), *reader.shape[2:]).movedim(0, 1)


def _narrow_table(state: State, table: str, readers: Sequence[str], count: int) -> None:
    """Narrow the vectors of an embedding (K, D), and the layers that read them, where there are
    any: (O, D, k, k), or (O, D * P)."""
    readers = [name for name in readers if name in state]
    wide = state[table].shape[1]
    inputs = [state[name].reshape(-1, wide, state[name][0].numel() // wide) for name in readers]
    together = [part.movedim(1, 0).flatten(1) for part in inputs]  # (D, O * P) each
    state[table], narrow = _factors(state[table], torch.cat(together, 1), count)
    narrowed = torch.split(narrow, [part.shape[1] for part in together], 1)
    for name, part, read in zip(readers, inputs, narrowed, strict=True):
        weight = read.reshape(count, len(part), -1).movedim(0, 1)  # (O, d, P)
        kernel = state[name].shape[2:]
        state[name] = weight.reshape(*weight.shape[:2], *kernel) if kernel else weight.flatten(1)


def _factors(left: Tensor, right: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest product of (A, ``count``) and (``count``, B) to that of (A, D) and (D, B); each
    column of the first is as large as those of ``left`` are in the mean, so that integers do."""
    u, s, v = torch.linalg.svd(left.double() @ right.double(), full_matrices=False)
    u, s, v = u[:, :count], s[:count], v[:count]
    size = left.double().square().mean().sqrt() / u.square().mean(0).sqrt()
    return (u * size).float(), ((s / size)[:, None] * v).float()
