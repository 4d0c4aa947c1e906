"""The plan of ``encode``: all that can be checked before the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from drrpack.core.codec import Codec
from drrpack.core.errors import OptionError, OutputError, SourceError
from drrpack.core.families import DEFAULT, FAMILIES, Family, for_size, get_family
from drrpack.core.wording import sides
from drrpack.formats import container, shipped
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import Left, left_beside
from drrpack.formats.hdf5.limits import check_classes, check_notes
from drrpack.formats.layout import MAX_SIDE, Json
from drrpack.formats.memory import load_codec
from drrpack.formats.shards import check_shards
from drrpack.formats.sources.source import Source, open_as
from drrpack.operations.encoding.models import Models, plan_models
from drrpack.operations.encoding.options import EncodeOptions, check_options
from drrpack.trainers.fitting.presets import PRESETS
from drrpack.trainers.incremental.class_order import order_classes
from drrpack.trainers.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Taken:
    """The codecs that come from files, all with one VQ-VAE; empty for a fit from scratch.

    ``models`` says what is done with their entropy models, and with others. ``fit`` records how the
    networks were fitted.
    """

    models: Models
    codecs: tuple[Codec, ...] = field(default=(), repr=False)
    fit: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class EncodePlan:
    """What ``encode`` is going to do; reported before the work starts."""

    source: Source
    options: EncodeOptions
    taken: Taken
    family: Family  # that a fit from scratch begins with
    class_order: tuple[int, ...]  # numbers of all classes, as they are to be learned
    fit_classes: int  # the first so many of them; 0 where a codec is taken over

    @property
    def models(self) -> Models:
        """What is done with entropy models."""
        return self.taken.models

    @property
    def fitted(self) -> tuple[int, ...]:
        """Numbers of the classes that the codec is fitted on, as they lie in the source."""
        return tuple(sorted(self.class_order[: self.fit_classes]))

    @cached_property
    def left(self) -> Left:
        """The folders that an interrupted encode leaves, from which the next one goes on."""
        return left_beside(self.options.output)


def plan_encode(options: EncodeOptions, processes: Ranks = ALONE) -> EncodePlan:
    """Check everything that can be checked before the work: output, source, codec file.

    Several ``processes`` share the pictures of the source out, and all have the same plan.

    Raises:
        OutputError, SourceError, OptionError, FormatError: each names the path and the fix.
    """
    check_options(options)
    check = container.check_output if options.shard_bytes is None else check_shards
    check(options.output, overwrite=options.force)
    named = _named_codecs(options)
    taken = None if named is None else take_codecs(options, named)
    source = open_as(options.source, replace(options.opening, sharing=processes))
    if max(source.image_size) > MAX_SIDE:
        raise SourceError(
            f"{source.place}: its images are {sides(source.image_size)}, and a side has {MAX_SIDE} "
            "pixels at most; bring them to a smaller size with `size`"
        )
    if source.holds(Path(options.output)):
        raise OutputError(
            f"{options.output}: the source {source.place} is read from this file; expected "
            "another one to write: name a new file"
        )
    if taken is None:
        taken = take_codecs(options, shipped.paths_for(source.image_size))
    check_classes(options.output, list(source.classes))
    wanted = "file" if options.class_order is None else options.class_order
    order = tuple(order_classes(source.classes, wanted))
    check_notes(options.output, _known_notes(options, source, order))
    family = _fitted_family(options, source.image_size)
    return EncodePlan(source, options, taken, family, order, _fit_classes(source, options))


def _known_notes(options: EncodeOptions, source: Source, order: Sequence[int]) -> Json:
    """What will stand in the metadata of each file, as far as it grows with the classes."""
    # of shards each has the names of its own classes, but the whole order
    rows = [{"classes": [*source.classes]}] if options.shard_bytes is None else []
    names = None if options.class_order is None else [source.classes[n] for n in order]
    return {"sources": rows, **({} if names is None else {"class_order": names})}


def _fitted_family(options: EncodeOptions, size: tuple[int, int]) -> Family:
    """What a fit from scratch begins with; a preset's own VQ-VAE counts as that of `DEFAULT`."""
    if options.preset is not None and PRESETS[options.preset].vqvae is not None:
        return FAMILIES[DEFAULT]
    return get_family(options.family) if options.family else for_size(size, FAMILIES.values())


def _named_codecs(options: EncodeOptions) -> Sequence[Path] | None:
    """The files of codecs that are known before any image is; None: their size decides."""
    if options.fit == "scratch":
        return []
    if options.codec is not None:
        return [options.codec]
    return None if options.family is None else shipped.paths(get_family(options.family))


def take_codecs(options: EncodeOptions, paths: Sequence[Path]) -> Taken:
    """Open each file whose codec is taken over or fitted further, once.

    Raises:
        FormatError: a file can't be read. OptionError: with ``thin``, its codec can't be left out;
            or the entropy model that is asked for, or that chooses codes, is not there.
    """
    codecs, fit = list[Codec](), Json()
    for path in paths:
        with Reader(path) as reader:
            if options.thin:
                shipped.thin(shipped.whole(reader.vqvae, path))
            codecs.append(load_codec(reader, options.device, encoder=True))
            fit = shipped.fit_of(reader)
    return Taken(plan_models(options, codecs), tuple(codecs), fit)


def _fit_classes(source: Source, options: EncodeOptions) -> int:
    if options.fit == "no":
        if options.fit_classes is not None:
            raise OptionError(
                "`fit_classes` has no meaning unless something is fitted: see `fit`",
                option="fit_classes",
            )
        return 0
    wanted = options.fit_classes
    if wanted is None:
        return max(1, len(source.classes) // 2)
    if not 1 <= wanted <= len(source.classes):
        raise OptionError(
            f"`fit_classes={wanted}`: {source.place} has {len(source.classes)} classes; "
            f"say 1 to {len(source.classes)}",
            option="fit_classes",
        )
    return wanted
