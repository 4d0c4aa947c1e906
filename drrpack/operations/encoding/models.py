"""Which entropy models an encode fits, keeps and makes of its codes: decided once, in the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drrpack.core.codec import Codec
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.context import ContextModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.table import TableModel
from drrpack.core.errors import OptionError
from drrpack.core.pricing import prices_of, with_quality
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.formats import shipped
from drrpack.formats.encoder import can_choose
from drrpack.operations.encoding.options import EncodeOptions
from drrpack.trainers.fitting.presets import OWN, PRESETS

MADE_OF_CODES = (AdaptedModel.kind, TableModel.kind)
CHOOSING = {ContextModel.kind, AdaptedModel.kind}  # that know what one code costs


@dataclass(frozen=True)
class Models:
    """What an encode does with entropy models.

    Attributes:
        fitted: the networks that are fitted beside the VQ-VAE; none where it stays as it is.
        kept: the kinds, of those that were fitted or taken, that the file may hold.
        made: the kinds that are made of the codes, and that the file may hold.
        quality: by which codes are chosen; 100 if no model can choose codes.
    """

    fitted: tuple[NetworkConfig, ...] = field(repr=False)
    kept: tuple[str, ...]
    made: tuple[str, ...]
    quality: int

    def allowed(self, codecs: Sequence[Codec]) -> list[Codec]:
        """Those of some codecs whose entropy model the file may hold."""
        return [codec for codec in codecs if codec.entropy.kind in (*self.kept, *self.made)]


def plan_models(options: EncodeOptions, taken: Sequence[Codec]) -> Models:
    """The entropy models of an encode that begins with the codecs ``taken``.

    The one that is asked for is kept, or made of the codes. For one that is made a fit makes a
    context model, which chooses the codes and which a correction belongs to. A Bit-Swap beside a
    context model that chooses the codes is not fitted unless it is asked for: its file would lack
    the model that chooses the codes of appended images.

    Raises:
        OptionError: the entropy model that is asked for, or one that chooses codes, can't be had.
    """
    networks = _to_fit(options)
    there = [c.entropy.kind for c in taken] if networks is None else [c.kind for c in networks]
    _check_wanted(options, there)
    networks = _of_kind(networks or (), options.entropy)
    if networks:
        there = [config.kind for config in networks]
    quality = _quality(options, taken, there, fits=bool(networks))
    choosing = tuple(config for config in networks if config.kind in CHOOSING)
    if options.entropy == "auto" and choosing and quality < BEST:
        networks, there = choosing, [config.kind for config in choosing]
    if options.entropy == TableModel.kind:
        _check_table(quality, with_quality(taken, quality), fits=bool(networks))
    if options.entropy in MADE_OF_CODES:
        return Models(networks, (), (options.entropy,), quality)
    if options.entropy != "auto":
        return Models(networks, (options.entropy,), (), quality)
    # a codec that is given or fitted has a model of its own, which may have chosen the codes
    any_kind = options.codec is None and options.fit == "no"
    return Models(networks, tuple(there), MADE_OF_CODES if any_kind else (), quality)


def _to_fit(options: EncodeOptions) -> tuple[NetworkConfig, ...] | None:
    """The networks that a fit can make; None where no entropy model is fitted."""
    if options.fit not in ("scratch", "finetune"):
        return None
    return (OWN if options.preset is None else PRESETS[options.preset]).entropy


def _of_kind(networks: tuple[NetworkConfig, ...], wanted: str) -> tuple[NetworkConfig, ...]:
    """Those that are needed for the entropy model that is asked for."""
    if wanted in MADE_OF_CODES:
        return tuple(c for c in networks if c.kind in CHOOSING) or networks[:1]
    return tuple(c for c in networks if wanted in ("auto", c.kind))


def _check_wanted(options: EncodeOptions, there: Sequence[str]) -> None:
    """Raise OptionError if the entropy model that is asked for can't be had."""
    possible = [*there, *(kind for kind in MADE_OF_CODES if kind not in there)]
    if not CHOOSING & {*there}:
        possible.remove(AdaptedModel.kind)  # which corrects a context model
    if options.entropy in ("auto", *possible):
        return
    if options.preset is not None:
        found, fix = f"`preset={options.preset!r}`", "leave one of the two options out"
    else:
        fix = "leave the option out, or fit that model with `fit='finetune'`"
        found = str(options.codec)
        if options.codec is None:
            named = options.family is not None
            which = f"of `family={options.family!r}`" if named else "for images of this size"
            found = f"the codec {which} that comes with drrpack"
            having = [f"`family={f.name!r}`" for f in shipped.families_with(options.entropy)]
            fix = f"say {' or '.join(having)}, {fix}" if having else fix
    raise OptionError(
        f"`entropy={options.entropy!r}`: {found} has {' and '.join(possible)} alone; {fix}",
        option="entropy",
    )


def _quality(
    options: EncodeOptions, taken: Sequence[Codec], there: Sequence[str], *, fits: bool
) -> int:
    """That of the option, or of the codec's file, or the default; 100 if nothing can choose codes.

    Raises:
        OptionError: one below 100 is asked for, and no model can choose codes.
    """
    asked, chooses = options.quality, bool(CHOOSING & {*there})
    if asked is None:
        if not chooses and (fits or prices_of(taken) is None):
            return BEST
        known = [codec.encoder.quality for codec in taken]
        return next((one for one in known if one is not None), DEFAULT_QUALITY)
    if asked < BEST and not chooses:
        fix = "leave the option out, or fit one with `fit='finetune'`"
        if fits:
            fix = "leave the option out, or fit a context model"
        raise OptionError(
            f"`quality={asked}`: only a context model can choose cheaper codes, and this codec "
            f"has none; {fix}",
            option="quality",
        )
    return asked


def _check_table(quality: int, taken: Sequence[Codec], *, fits: bool) -> None:
    """Raise OptionError if a file with a table would lack what chooses the codes of images that are
    added later."""
    if quality == BEST or (not fits and can_choose(taken[0].encoder)):
        return
    raise OptionError(
        f"`entropy='table'`: codes of quality {quality} are chosen by a context model, and the "
        "file would lack it when images are added; leave the option out, or say "
        f"`quality={BEST}`",
        option="entropy",
    )
