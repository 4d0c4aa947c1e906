"""The likelihood of codes, phase by phase: each given its neighbours of earlier phases.

It is factorised into phases (`drrpack.core.phases`), and the bottom level is conditioned on the
top. The context model is this likelihood alone; the first Bit-Swap of drrpack added a chain of
latents above it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.by_rows import NUMBERS_AT_ONCE
from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.entropy.combine import in_blocks, in_turn
from drrpack.core.entropy.likelihood import KNOWN_REACH, Likelihood, LikelihoodSizes, Places
from drrpack.core.entropy.networks import (
    COUNTED,
    BothLevels,
    bits_of,
    categorical,
    grids,
)
from drrpack.core.phases import EVERY, Phases, lines_of


@dataclass(frozen=True)
class PhasedConfig(LikelihoodSizes):
    """What fixes the networks of a kind."""

    @abstractmethod
    def network(self) -> PhasedNetwork:
        """A network of these sizes, with random weights."""

    @property
    def table_size(self) -> int:
        return (2 * KNOWN_REACH + 1) ** 2 * self.codebook_size * self.prediction_width


@dataclass(frozen=True)
class Maps:
    """All that predictions look at, of B images."""

    codes: Tensor  # (B, H, W) int64
    latent: Tensor | None  # (B, channels, H, W)
    context: Tensor | None  # (B, width, H, W)

    def take(self, images: slice) -> Maps:
        """Those of some of the images."""
        latent, context = (None if x is None else x[images] for x in (self.latent, self.context))
        return Maps(self.codes[images], latent, context)


class PhasedCoding:
    """Codes of one level, phase by phase, each given its neighbours of earlier phases.

    It has no weights: it computes with layers of a level, whatever they hold and wherever they are.

    Args:
        embedding: what the codes go in by.
        likelihood: what predicts vectors of codes.
        output: these to logits.
    """

    def __init__(
        self, phases: Phases, embedding: IntEmbedding, likelihood: Likelihood, output: IntLinear
    ) -> None:
        self.phases, self.embedding = phases, embedding
        self.likelihood, self.output = likelihood, output
        # The tables that are made once of a frozen embedding and its weights, after these two; one
        # attribute, so that other threads see all of it or nothing.
        self._made: tuple[Tensor, Tensor, Tensor] | None = None

    def __getstate__(self) -> dict[str, object]:
        """A copy makes its own tables, which may be larger than all weights."""
        return {**self.__dict__, "_made": None}

    def places(
        self,
        number: int,
        codes: Tensor,
        latent: Tensor | None,
        context: Tensor | None,
        *,
        lines: slice = EVERY,
    ) -> Places:
        """All that may be known when the codes of phase ``number`` are coded.

        Of ``codes`` (B, H, W) only those of earlier phases are looked at. ``latent`` is the first
        one where there are any, ``context`` that of the bottom level, both (B, C, H, W). ``lines``
        are the rows of the phase that are wanted.
        """
        earlier = self.phases.grid(codes.shape[1:], codes.device) < number  # (H, W)
        if self.embedding.frozen is None:
            known = self.phases.windows(self.embedding(codes) * earlier, number, KNOWN_REACH, lines)
        else:
            known = self.phases.neighbours((codes + 1) * earlier, number, KNOWN_REACH, lines)
        return Places(
            known,
            torch.full((len(known),), number, device=codes.device),
            None if latent is None else self.phases.windows(latent, number, 1, lines),
            None if context is None else self.phases.windows(context, number, 0, lines),
        )

    def some_places(self, columns: slice, streams: int, number: int, maps: Maps) -> Places:
        """As `places`, of the places ``columns`` of each stream; ``maps`` are of all streams."""
        shape = self.phases.part(maps.codes, number).shape  # (streams * images, h, w)
        if streams * (columns.stop - columns.start) == shape.numel():
            return self.places(number, maps.codes, maps.latent, maps.context)
        images, skipped = shape[0] // streams, columns.start % shape[2]
        found = list[Places]()
        for start in range(0, shape[0], images):
            parts = list[Places]()
            for some, lines in lines_of(columns, shape):
                own = maps.take(slice(start + some.start, start + some.stop))
                parts.append(self.places(number, own.codes, own.latent, own.context, lines=lines))
            end = skipped + columns.stop - columns.start
            found.append(Places.join(parts).cut(slice(skipped, end)))
        return Places.join(found)

    def logits(self, at: Places) -> Tensor:
        """Logits (N, codebook_size) of the codes at N places, in sixteenths of a bit."""
        out: Tensor = self.output(self.likelihood(at, self._tables_for(at)))
        return out

    def hidden(self, at: Places) -> Tensor:
        """What the last two layers make `logits` of: integers (N, prediction_width)."""
        return self.likelihood.hidden(at, self._tables_for(at))

    def _tables_for(self, at: Places) -> Tensor | None:
        return None if at.known.is_floating_point() else self._tables()

    def _tables(self) -> Tensor:
        """What each code adds to the first sums of the likelihood, at each place of a window."""
        embedding, known = self.embedding.frozen, self.likelihood.known
        assert embedding is not None and known.frozen is not None
        weight, made = known.frozen[0], self._made
        if made is None or made[0] is not embedding or made[1] is not weight:
            self._made = made = embedding, weight, known.tables(embedding)
        return made[2]

    # the loss

    def expected_bits(
        self,
        codes: Tensor,
        latent: Tensor | None,
        context: Tensor | None,
        generator: torch.Generator,
        counted: int = COUNTED,
    ) -> Tensor:
        """Bits (B,) of the codes given the first latent, if any: right on average.

        Of grids with more than ``counted`` codes each phase counts one image in several, which
        stands for those between.
        """
        apart = min(len(codes), max(1, codes[0].numel() // counted))
        first = int(torch.randint(apart, (), generator=generator))
        numbers = self.phases.within(codes.shape[1:])
        some = [slice((number + first) % apart, None, apart) for number in numbers]
        places = Places.join(
            [
                self.places(n, codes[s], *(None if x is None else x[s] for x in (latent, context)))
                for n, s in zip(numbers, some, strict=True)
            ]
        )
        wanted = [self.phases.part(codes[s], n) for n, s in zip(numbers, some, strict=True)]
        spent = bits_of(self.logits(places), torch.cat([part.reshape(-1) for part in wanted]))
        bits = torch.zeros(len(codes), dtype=torch.float32, device=codes.device)
        parts = torch.split(spent, [part.numel() for part in wanted])
        for s, part in zip(some, parts, strict=True):
            bits[s] = bits[s] + apart * part.view(len(bits[s]), -1).sum(1)
        return bits

    # the coder

    def coder(
        self, shape: tuple[int, int, int, int], latent: Tensor | None, context: Tensor | None
    ) -> ans.Codec[Symbols]:
        """The codec of codes (streams, images, H, W) given the first latent, if any."""
        assert self.embedding.frozen is not None, "freeze the networks before coding with them"
        streams, numbers = shape[0], self.phases.within(shape[2:])
        at_once = max(1, NUMBERS_AT_ONCE // (streams * self.likelihood.widest))

        def given(index: int, known: Symbols) -> ans.Codec[Symbols]:
            maps = Maps(grids(known, self.output.weight.device), latent, context)

            def codec_of(columns: slice) -> ans.Codec[Symbols]:
                logits = self.logits(self.some_places(columns, streams, numbers[index], maps))
                return categorical(logits.view(streams, -1, logits.shape[1]))

            count = self.phases.part(known[0], numbers[index]).size  # of one stream
            return in_blocks(count, at_once, codec_of)

        parts = [partial(self.phases.part, number=number) for number in numbers]
        return in_turn(shape, parts, given)


class PhasedNetwork(BothLevels):
    """The networks of both levels, with or without latents."""

    config: PhasedConfig

    def start_likelihood_from(self, other: BothLevels) -> bool:
        """Begin with the likelihood of another model, which may have latents or not; says whether
        the two are of one size, and nothing is taken over otherwise."""
        if not isinstance(other, PhasedNetwork):
            return False
        if _likelihood_size(self.config) != _likelihood_size(other.config):
            return False
        own = self.state_dict()
        shared = {
            name: value
            for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape
        }
        self.load_state_dict(shared, strict=False)
        return True


def _likelihood_size(config: PhasedConfig) -> dict[str, int]:
    """All that the shapes of a likelihood depend on."""
    free = ("latents", "top_channels", "bottom_channels", "latent_width", "weight_bits")
    return {name: value for name, value in asdict(config).items() if name not in free}
