"""Dense layers and embeddings in integers, for networks that see one position at a time."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.errors import ExactnessError
from drrpack.core.exact import ACTIVATION_BITS, WEIGHT_MAX, noise, round_half_up
from drrpack.core.int8 import Int8Linear, Int8Product
from drrpack.core.int_layer import Arrays, IntLayer, IntProduct, Limits, drawn


class IntLinear(IntProduct):
    """A dense layer of integers: (N, I) to (N, O); weights (O, I)."""

    by_transform = False
    beside_sums = (slice(None),)
    beside_weights = (slice(None), None)
    inside = (1,)

    def __init__(
        self, inputs: int, outputs: int, *, gain: float = 1.0, **limits: Unpack[Limits]
    ) -> None:
        super().__init__(drawn(outputs, inputs, gain=gain), outputs, **limits)

    def sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, weight, bias)

    def int8_product(self, weight: Tensor, signed: bool) -> Int8Product:
        return Int8Linear(weight, signed)

    def tables(self, embedding: Tensor) -> Tensor:
        """What each vector of an embedding (K, D) adds to the sums, where the input holds P of them
        side by side, (D, P) flattened: (P * (K + 1), O); row 0 of each place is of no vector.

        A sum of P rows takes the place of a product with D times as many numbers.
        """
        assert self.frozen is not None, "freeze before looking up"
        dim = embedding.shape[1]
        weight = self.frozen[0].reshape(-1, dim, self.weight.shape[1] // dim)  # (O, D, P)
        rows = torch.einsum("odp,kd->pko", weight, embedding)
        return F.pad(rows, (0, 0, 1, 0)).reshape(-1, len(weight))

    def looked_up(self, vectors: Tensor, tables: Tensor) -> Tensor:
        """The layer's output (N, O), by looking up and summing rows of ``tables`` from `tables`.

        ``vectors`` (N, P) are numbers: 0 for no vector, else one more than a row of the embedding.
        """
        assert self.frozen is not None, "freeze before looking up"
        _, bias, scale = self.frozen
        places = vectors.shape[1]
        first = torch.arange(0, len(tables), len(tables) // places, device=vectors.device)
        return self.rescaled(F.embedding_bag(vectors + first, tables, mode="sum") + bias, scale)


class IntEmbedding(IntLayer):
    """A table of int8 vectors: codes (N, ...) to integers (N, dim, ...) in [-127, 127]."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(noise(size, dim))

    def forward(self, codes: Tensor) -> Tensor:
        table = self.quantised() if self.frozen is None else self.frozen
        return F.embedding(codes, table).movedim(-1, 1)

    def quantised(self) -> Tensor:
        scaled = round_half_up(self.weight * 2.0**ACTIVATION_BITS)
        return scaled.clamp(-WEIGHT_MAX, WEIGHT_MAX)

    @property
    def frozen(self) -> Tensor | None:
        """The integers (size, dim); None in a layer that is fitted."""
        return self.frozen_weight

    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        with torch.no_grad():
            table = self.quantised() if self.frozen is None else self.frozen
            self.frozen_weight = table.to(carrier)

    def arrays(self) -> Arrays:
        """The frozen table: int8 (size, dim)."""
        assert self.frozen is not None, "freeze before storing"
        return {"weight": self.frozen.cpu().numpy().astype(np.int8)}

    def load_arrays(self, arrays: Arrays) -> None:
        table = torch.from_numpy(arrays["weight"].astype(np.float32))
        if table.shape != self.weight.shape:
            raise ExactnessError(
                f"an embedding has shape {tuple(table.shape)} where "
                f"{tuple(self.weight.shape)} was expected"
            )
        if table.abs().max() > WEIGHT_MAX:
            raise ExactnessError(f"an embedding is outside -{WEIGHT_MAX} to {WEIGHT_MAX}")
        self.frozen_weight = table
        with torch.no_grad():
            self.weight.copy_(table * 2.0**-ACTIVATION_BITS)
