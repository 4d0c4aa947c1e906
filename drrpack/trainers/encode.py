"""Image folder -> ``mem.drr``: what ``drrpack encode`` does, from source to checked file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from drrpack.codec import ClassCodes, Codec, lay_out
from drrpack.errors import OptionError, OutputError
from drrpack.formats import container, memory, originals, shipped
from drrpack.formats.account import entropy_model
from drrpack.formats.container import Memory, Reader, Section
from drrpack.formats.sources import Source, open_source
from drrpack.rdoq import BEST, DEFAULT_QUALITY, context_of, with_quality
from drrpack.trainers import entropy, exemplars, figures
from drrpack.trainers.exemplars import SELECTIONS, Selection
from drrpack.trainers.fit_codec import FitPlan, fit_codec
from drrpack.trainers.fitting import Budget, FitProgress

DEFAULT_MINUTES = {"cpu": 60.0, "cuda": 20.0}  # the file of 50,000 small images is worth it


Fit = Literal["no", "scratch", "finetune"]
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
    fit: Fit = "no"  # or fit one, from scratch or from the one taken
    entropy: Entropy = "auto"
    quality: int | None = None  # 0 to 100; None is the default, or 100 where there is no choice
    seed: int = 0
    raw_per_class: int = 0  # raw exemplars to keep of each class
    raw_select: Selection = "herding"
    decoder_only: bool = False  # leave the VQ-VAE's encoder out: nothing can be appended then
    thin: bool = False  # leave out models that come with drrpack


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
        return self.options.output.with_name(f".{self.options.output.name}.fit")


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


Log = dict[str, Any]  # how the codec was fitted; goes into the file
Event = FitProgress | Step | Choice
Report = Callable[[Event], None]


def _silent(_: Event) -> None:
    pass


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
    if options.thin and options.decoder_only:
        raise OptionError("--thin leaves out the whole codec: --decoder-only adds nothing to it")
    _check_entropy(options)
    source = open_source(options.source, size=options.size, skip_bad=options.skip_bad)
    return Plan(source, options, _fit_classes(source, options))


def _check_entropy(options: EncodeOptions) -> None:
    """Whether there will be the entropy model that is asked for, and one that chooses codes."""
    wanted, quality = options.entropy, options.quality
    if wanted not in get_args(Entropy):
        raise OptionError(f"--entropy {wanted}: say one of {', '.join(get_args(Entropy))}")
    if quality is not None and not 0 <= quality <= BEST:
        raise OptionError(f"--quality {quality}: say 0 to {BEST}")
    files, kinds = _codec_files(options), []
    for path in files:
        with Reader(path) as reader:
            kinds.append(entropy_model(reader))
    if options.fit != "no":
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


def _codec_files(options: EncodeOptions) -> list[Path]:
    """Files whose codecs are taken over or fitted further, all with the same VQ-VAE."""
    if options.fit == "scratch":
        if options.codec is not None:
            raise OptionError("--fit begins from scratch; to go on from --codec say --finetune")
        return []
    return shipped.paths() if options.codec is None else [options.codec]


def _fit_classes(source: Source, options: EncodeOptions) -> int:
    if options.fit == "no":
        if options.fit_classes is not None:
            raise OptionError("--fit-classes has no meaning without --fit or --finetune")
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


def encode(plan: Plan, report: Report = _silent) -> Path:
    """Carry out ``plan``: fit or load the codec, encode, check, measure, write. Returns the path.

    Raises:
        DrrError: what was coded does not decode to the same codes; nothing is written then.
    """
    source, options = plan.source, plan.options
    candidates, log = obtain_codecs(plan, report)
    quality = _quality(candidates, options)
    candidates = _wanted(with_quality(candidates, quality), options)
    codes = encode_classes(source, candidates[0], report)
    codec, sizes = _smallest(candidates, codes, options, report)
    report(Step("streams", 0, len(codes)))
    codec, streams = lay_out(codec, codes)
    report(Step("figures", 0, 1))
    measured = figures.measure(source, codec, codes, _seen_classes(log, source))
    vqvae, entropy_section = _stored(codec, options)
    content = Memory(
        image_size=source.image_size,
        classes=list(source.classes),
        chunks=[memory.chunk(number, made) for number, made in enumerate(streams)],
        vqvae=vqvae,
        entropy_model=entropy_section,
        metadata={
            **_origin(plan, log),
            "quality": quality,
            "figures": {**measured, "entropy_bytes": sizes},
        },
        raw=exemplars.records(
            options.raw_select, options.raw_per_class, {n: n for n in range(len(codes))}, codes,
            source.load, codec.vqvae, options.seed,
        ),
    )  # fmt: skip
    container.write(options.output, content, overwrite=options.force)
    shutil.rmtree(plan.checkpoints, ignore_errors=True)
    return options.output


def _stored(codec: Codec, options: EncodeOptions) -> tuple[Section, Section]:
    """The models as the file holds them."""
    vqvae, entropy_model = memory.sections(codec)
    if options.thin:
        return shipped.thin(vqvae), shipped.thin(entropy_model)
    return (memory.decoder_alone(vqvae) if options.decoder_only else vqvae), entropy_model


def obtain_codecs(plan: Plan, report: Report) -> tuple[list[Codec], Log]:
    """The codecs to choose from, all with one VQ-VAE, and how they were fitted."""
    options = plan.options
    taken, log = _taken(options)
    if options.fit == "no":
        return taken, log
    classes = [plan.source.load(c) for c in range(plan.fit_classes)]
    labels = np.repeat(np.arange(len(classes)), [len(images) for images in classes])
    seen = ~figures.kept_back(len(labels), plan.source, plan.fit_classes)
    images, labels = np.concatenate(classes)[seen], labels[seen]
    try:
        plan.checkpoints.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.checkpoints}: no place for checkpoints: {error}") from error
    fit_plan = FitPlan(
        options.budget, options.device, options.seed, start=taken, checkpoints=plan.checkpoints,
        quality=DEFAULT_QUALITY if options.quality is None else options.quality,
    )  # fmt: skip
    of_kind = [c for c in fit_plan.entropy if options.entropy in ("auto", c.kind)]
    fitted, networks = fit_codec(images, replace(fit_plan, entropy=of_kind), report, labels)
    of = {"source_digest": plan.source.digest(), "classes": plan.fit_classes}
    before = {"before": log} if log else {}
    return fitted, {**of, "device": options.device.type, "networks": networks, **before}


def _taken(options: EncodeOptions) -> tuple[list[Codec], Log]:
    """The codecs of files, none where one is fitted from scratch, and how they were fitted."""
    codecs, log = [], {}
    for path in _codec_files(options):
        with Reader(path) as reader:
            codecs.append(memory.load_codec(reader, options.device, encoder=True))
            log = dict(reader.metadata.get("fit", {}))
    return codecs, log


def _quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    if options.quality is not None:
        return options.quality
    return BEST if context_of(codecs) is None else DEFAULT_QUALITY


def _wanted(codecs: list[Codec], options: EncodeOptions) -> list[Codec]:
    return [c for c in codecs if options.entropy in ("auto", c.bitswap.config.kind)]


def _smallest(
    codecs: list[Codec], codes: list[ClassCodes], options: EncodeOptions, report: Report
) -> tuple[Codec, dict[str, int]]:
    """The codec that makes the smaller file, and what each of several would take."""
    if len(codecs) == 1:
        return codecs[0], {}
    report(Step("entropy models", 0, len(codecs)))

    def model_bytes(codec: Codec) -> int:
        return len(_stored(codec, options)[1].data)

    images = sum(len(of_class) for of_class in codes)
    codec, sizes = entropy.smallest(codecs, entropy.spread(codes), images, model_bytes)
    report(Choice(codec.bitswap.config.kind, sizes))
    return codec, sizes


def _seen_classes(log: Log, source: Source) -> int:
    """How many of the source's classes the codec was fitted on: its first ones, or none."""
    return int(log.get("classes", 0)) if log.get("source_digest") == source.digest() else 0


def encode_classes(source: Source, codec: Codec, report: Report) -> list[ClassCodes]:
    """The codes of each class of a source."""
    done, total, out = 0, sum(source.images_per_class), []
    for number in range(len(source.classes)):
        out.append(codec.encode(source.load(number)))
        done += len(out[-1])
        report(Step("codes", done, total))
    return out


def _origin(plan: Plan, log: Log) -> dict[str, Any]:
    """Where the images came from, so that the originals and the test split can be found again."""
    options = plan.options
    kept = [originals.record(plan.source, options.size)]
    raw = {"per_class": options.raw_per_class, "select": options.raw_select}
    return {"sources": kept, "fit": log, **({"raw": raw} if options.raw_per_class else {})}
