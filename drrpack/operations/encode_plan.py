"""What ``drrpack encode`` is about to do: its options, and what can be checked before the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from drrpack.core.errors import OptionError, SourceError
from drrpack.core.rdoq import BEST
from drrpack.formats import container, shipped
from drrpack.formats.account import entropy_model
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import beside
from drrpack.formats.hdf5.build import check_classes
from drrpack.formats.layout import MAX_SIDE
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Source, open_as
from drrpack.trainers.fitting.loop import Budget, FitProgress
from drrpack.trainers.incremental.exemplars import SELECTIONS, Selection

DEFAULT_MINUTES = {"cpu": 60.0, "cuda": 20.0}  # the file of 50,000 small images is worth it

Fit = Literal["no", "scratch", "finetune", "decoder"]
Entropy = Literal["auto", "bitswap", "context"]


@dataclass(frozen=True)
class EncodeOptions:
    """What to encode, where to, and how to get the codec."""

    source: Path
    output: Path
    device: torch.device
    budget: Budget
    size: int | None = None
    skip_bad: bool = False
    force: bool = False
    fit_classes: int | None = None  # the first so many; default half of them, the paper's protocol
    codec: Path | None = None  # take this file's codec instead of the one that comes with drrpack
    fit: Fit = "no"  # or fit one from scratch, the one taken further, or its decoder alone
    entropy: Entropy = "auto"
    quality: int | None = None  # 0 to 100; None: that of ``codec``, or 75 where codes can be chosen
    seed: int = 0
    raw_per_class: int = 0  # raw exemplars to keep of each class
    raw_select: Selection = "herding"
    decoder_only: bool = False  # leave the VQ-VAE's encoder out: nothing can be appended then
    thin: bool = False  # leave out models that come with drrpack
    depth: int | None = None  # what is white in deep grey pictures: see `Reading`
    value_range: tuple[float, float] | None = None
    max_megapixels: float | None = None

    @property
    def reading(self) -> Reading:
        """How pictures become pixels."""
        return Reading(self.size, self.depth, self.value_range, self.max_megapixels)


@dataclass(frozen=True)
class Plan:
    """What is about to be done; shown before the work starts."""

    source: Source
    options: EncodeOptions
    fit_classes: int  # 0 where a codec is taken over

    @property
    def checkpoints(self) -> Path:
        """The folder beside the output from which an interrupted fit goes on; hidden, so that it is
        no class where the output lies in the source."""
        return beside(self.options.output, ".fit")


@dataclass(frozen=True)
class Step:
    """Progress of a step that is no fit: what, and how many of how many images."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Choice:
    """The entropy model that was taken, and the bytes that each would take, streams included."""

    taken: str
    sizes: dict[str, int]


Event = FitProgress | Step | Choice
Report = Callable[[Event], None]


def plan_encode(options: EncodeOptions) -> Plan:
    """Check everything that can be checked before the work: output, source, codec file.

    Raises:
        OutputError, SourceError, OptionError, FormatError: each names the path and the fix.
    """
    container.check_output(options.output, overwrite=options.force)
    if options.raw_per_class < 0 or options.raw_select not in SELECTIONS:
        raise OptionError(
            f"--raw-per-class must be 0 or more and --raw-select one of {', '.join(SELECTIONS)}, "
            f"not {options.raw_per_class} and {options.raw_select!r}"
        )
    _check_entropy(options)
    if options.thin:
        _check_thin(options)
    source = open_as(options.source, options.reading, skip_bad=options.skip_bad)
    if max(source.image_size) > MAX_SIDE:
        raise SourceError(
            "{}: its images are {}x{}, and a side has {} pixels at most; bring them to a smaller "
            "size with --size".format(source.root, *source.image_size, MAX_SIDE)
        )
    check_classes(options.output, list(source.classes))
    return Plan(source, options, _fit_classes(source, options))


def _check_entropy(options: EncodeOptions) -> None:
    """Whether there will be the entropy model that is asked for, and one that chooses codes."""
    wanted, quality = options.entropy, options.quality
    if wanted not in get_args(Entropy):
        raise OptionError(f"--entropy {wanted}: say one of {', '.join(get_args(Entropy))}")
    if quality is not None and not 0 <= quality <= BEST:
        raise OptionError(f"--quality {quality}: say 0 to {BEST}")
    files, kinds = codec_files(options), []
    for path in files:
        with Reader(path) as reader:
            kinds.append(entropy_model(reader))
    if options.fit in ("scratch", "finetune"):
        kinds = ["context", "bitswap"] if wanted == "auto" else [wanted]
    if wanted not in ("auto", *kinds):
        raise OptionError(
            f"--entropy {wanted}: {options.codec} holds {' and '.join(kinds)}; "
            "leave the option out, or fit that model with --finetune"
        )
    if quality is not None and quality < BEST and "context" not in kinds:
        raise OptionError(
            f"--quality {quality}: a context model chooses the codes, and there is none here; "
            f"leave the option out, or fit one with --finetune"
        )


def _check_thin(options: EncodeOptions) -> None:
    """Whether there will be a codec that can be left out."""
    if options.decoder_only:
        raise OptionError("--thin leaves out the whole codec: --decoder-only adds nothing to it")
    if options.fit != "no":
        raise OptionError(
            "--thin leaves out codecs that come with drrpack, and one that is fitted does not; "
            "say one of the two"
        )
    for path in codec_files(options):
        with Reader(path) as reader:
            shipped.thin(shipped.whole(reader.entropy_model, path))


def codec_files(options: EncodeOptions) -> list[Path]:
    """Files whose codecs are taken over or fitted further, all with the same VQ-VAE."""
    if options.fit == "scratch":
        if options.codec is not None:
            raise OptionError("--fit begins from scratch; to go on from --codec say --finetune")
        return []
    return shipped.paths() if options.codec is None else [options.codec]


def _fit_classes(source: Source, options: EncodeOptions) -> int:
    if options.fit == "no":
        if options.fit_classes is not None:
            raise OptionError("--fit-classes has no meaning unless something is fitted: see --fit")
        return 0
    wanted = options.fit_classes
    if wanted is None:
        return max(1, len(source.classes) // 2)
    if not 1 <= wanted <= len(source.classes):
        raise OptionError(
            f"--fit-classes {wanted}: {source.root} has {len(source.classes)} classes; "
            f"say 1 to {len(source.classes)}"
        )
    return wanted
