"""The options of ``encode``, and what is wrong with them whatever the files contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import torch

from drrpack.core.errors import OptionError
from drrpack.core.families import DEFAULT, get_family
from drrpack.core.rdoq import BEST
from drrpack.formats import shipped
from drrpack.formats.sources.source import Given, Opening
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.fitting.presets import OWN, PRESETS
from drrpack.trainers.incremental.exemplars import SELECTIONS, Selection

DEFAULT_MINUTES = {"cpu": 60.0, "cuda": 20.0}  # the file of 50,000 small images is worth it

Fit = Literal["no", "scratch", "finetune", "decoder"]
Entropy = Literal["auto", "bitswap", "context", "adapted", "table"]


@dataclass(frozen=True)
class EncodeOptions:
    """What to encode, where to, and how to get the codec."""

    source: Given = field(repr=False)  # a list of images would fill screens
    output: Path
    device: torch.device
    budget: Budget
    opening: Opening = field(default_factory=Opening)  # how pictures are read
    force: bool = False
    class_order: str | int | Sequence[str] | None = None  # to learn in; None: that of the source
    fit_classes: int | None = None  # the first so many; default half of them, the paper's protocol
    codec: Path | None = None  # take this file's codec instead of the one that comes with drrpack
    fit: Fit = "no"  # or fit one from scratch, the one taken further, or its decoder alone
    family: str | None = None  # of the codec that is fitted or comes along; None: by image size
    preset: str | None = None  # the networks of a fit from scratch, and its way; None: drrpack's
    entropy: Entropy = "auto"
    quality: int | None = None  # 0 to 100; None: that of ``codec``, or 75 where codes can be chosen
    seed: int = 0
    raw_per_class: int = 0  # raw exemplars to keep of each class
    raw_select: Selection = "herding"
    decoder_only: bool = False  # leave the VQ-VAE's encoder out
    thin: bool = False  # leave out models that come with drrpack
    shard_bytes: int | None = None  # write several files of at most so many bytes


def check_options(options: EncodeOptions) -> None:
    """Raise OptionError for values that are wrong whatever the files contain."""
    _check_raw(options.raw_per_class, options.raw_select)
    for name, value, known in (
        ("entropy", options.entropy, get_args(Entropy)),
        ("fit", options.fit, get_args(Fit)),
    ):
        if value not in known:
            raise OptionError(f"`{name}={value!r}`: say one of {', '.join(known)}", option=name)
    if options.quality is not None and not 0 <= options.quality <= BEST:
        raise OptionError(f"`quality={options.quality}`: say 0 to {BEST}", option="quality")
    if options.preset is not None and options.preset not in PRESETS:
        raise OptionError(
            f"`preset={options.preset!r}`: say one of {', '.join(PRESETS)}", option="preset"
        )
    if options.family is not None:
        get_family(options.family)
    _check_together(options)


def _check_raw(per_class: int, select: Selection) -> None:
    if per_class < 0:
        raise OptionError(f"`raw_per_class={per_class}`: say 0 or more", option="raw_per_class")
    if select not in SELECTIONS:
        raise OptionError(
            f"`raw_select={select!r}`: say one of {', '.join(SELECTIONS)}", option="raw_select"
        )
    if per_class == 0 and select != EncodeOptions.raw_select:
        raise OptionError(
            f"`raw_select={select!r}` has no meaning where no raw images are kept: say how many of "
            "each class with `raw_per_class`, or leave it out",
            option="raw_select",
        )


def _check_together(options: EncodeOptions) -> None:
    """Raise OptionError for options that contradict each other."""
    if options.thin and options.decoder_only:
        raise OptionError(
            "`thin` leaves out the whole codec: `decoder_only` adds nothing to it",
            option="decoder_only",
        )
    if options.thin and options.fit != "no":
        raise OptionError(
            "`thin` leaves out a codec that comes with drrpack, and one that is fitted does not "
            "come with it; give one of the two options",
            option="thin",
        )
    if options.preset is not None and options.fit != "scratch":
        raise OptionError(
            "`preset` has no meaning unless a codec is fitted from scratch, as one that is taken "
            "has its networks already; say `fit='scratch'`, or leave it out",
            option="preset",
        )
    if options.family is not None and options.codec is not None and options.fit != "scratch":
        raise OptionError(shipped.FAMILY_BESIDE_CODEC, option="family")
    preset = PRESETS[options.preset] if options.preset is not None else OWN
    if preset.vqvae is not None and options.family not in (None, DEFAULT):
        raise OptionError(
            f"`preset={preset.name!r}` has a VQ-VAE of its own, of the family {DEFAULT}; leave "
            "`family` out",
            option="family",
        )
    if options.fit == "scratch" and options.codec is not None:
        raise OptionError(
            "`fit='scratch'` begins from scratch; to go on from `codec` say `fit='finetune'`",
            option="codec",
        )
