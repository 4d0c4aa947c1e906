"""Fit the codecs that come with drrpack, and put them where they belong.

    python benchmarks/ship.py SOURCE --minutes 60 -o drrpack/data --figures FILE.json
    python benchmarks/ship.py SOURCE --codec START.drr ...    # go on from another codec
    python benchmarks/ship.py SOURCE --decoder ...    # the decoder alone, of those that come along
    python benchmarks/ship.py SOURCE --bitswap ...    # Bit-Swap alone, beside those that come along
    python benchmarks/ship.py SOURCE --family medium --name photos-medium ...    # for larger images

They are fitted on the first half of the classes; figures are of the other half. An interrupted fit
goes on when the same command is given again. The first file holds the VQ-VAE and the context model,
the second names that VQ-VAE by its digest and holds Bit-Swap.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.pricing import with_quality
from drrpack.core.quality import psnr_db, ssim
from drrpack.core.rdoq import DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.formats import memory, shipped
from drrpack.formats.container import Memory, write
from drrpack.formats.sources.source import Source
from drrpack.operations.encode_codecs import obtain_codecs
from drrpack.operations.encode_plan import EncodePlan, plan_encode
from drrpack.operations.encoding.options import EncodeOptions, Fit
from drrpack.operations.progress import Event
from drrpack.trainers.comparison.memories import QUALITIES
from drrpack.trainers.fitting.entropy import fit_beside
from drrpack.trainers.fitting.estimate import bits_of_codes
from drrpack.trainers.fitting.loop import Budget, FitProgress, checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.fitting.presets import OWN
from drrpack.trainers.versions import versions

EACH = 40  # images of each class that figures are of
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--codec", type=Path)
    parser.add_argument("--decoder", action="store_true")
    parser.add_argument("--bitswap", action="store_true")
    parser.add_argument("--family", help="that a fit from scratch begins with; default: by size")
    parser.add_argument("--entropy", default="auto", help="fit this kind of entropy model alone")
    parser.add_argument("--classes", type=int, help="fit on the first so many; default: half")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--name", default="photos")
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    further = given.codec or given.bitswap
    fit: Fit = "decoder" if given.decoder else "finetune" if further else "scratch"
    plan = plan_encode(
        EncodeOptions(
            given.source, given.output / given.name, device, Budget(minutes=given.minutes),
            codec=given.codec, fit=fit, family=given.family, entropy=given.entropy,
            fit_classes=given.classes, force=True,
        )
    )  # fmt: skip
    if given.bitswap:
        codecs, networks = with_bitswap(plan)
        log = {"classes": plan.fit_classes, "device": device.type, "networks": networks}
    else:
        codecs, log = obtain_codecs(with_every_model(plan), _print)
    place = given.output / given.name
    publish(codecs, log, plan.source, plan.fit_classes, place, given.figures, given.bitswap)
    shutil.rmtree(plan.left.checkpoints)


def with_every_model(plan: EncodePlan) -> EncodePlan:
    """The plan of a fit that makes Bit-Swap, too, unless one kind alone is asked for."""
    if plan.options.entropy != "auto":
        return plan
    models = replace(plan.models, fitted=OWN.entropy)
    return replace(plan, taken=replace(plan.taken, models=models))


def with_bitswap(plan: EncodePlan) -> tuple[list[Codec], Json]:
    """The shipped codec with the context model, and the same with a Bit-Swap that is fitted on the
    codes that it chooses; one that is shipped is fitted further. The log is of its networks."""
    taken, budget = plan.taken.codecs, plan.options.budget
    (codec,) = with_quality([c for c in taken if c.entropy.kind == "context"], DEFAULT_QUALITY)
    (config,) = [config for config in OWN.entropy if config.kind == "bitswap"]
    images = np.concatenate([plan.source.load(number) for number in plan.fitted])
    fit_plan = FitPlan(budget, plan.options.device, start=taken, checkpoints=plan.left.checkpoints)
    with checkpoint_folder(plan.left.checkpoints):
        model, log = fit_beside(codec, config, images, fit_plan, _print)
    return [codec, replace(codec, entropy=model)], log


def publish(
    codecs: list[Codec], log: Json, source: Source, fit_classes: int, place: Path, report: Path,
    second: bool,
) -> None:  # fmt: skip
    """Write the files ``place``-KIND.drr, the context model's first, and the figures; or the
    ``second`` file alone."""
    codecs = sorted(codecs, key=lambda codec: codec.entropy.kind != "context")
    found = {
        "fit": log,
        "bytes": _write(place, codecs, source, log, second),
        **{f"quality {q}": figures(source, fit_classes, codecs, q) for q in QUALITIES},
        "versions": versions(),
    }
    report.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def figures(source: Source, fit_classes: int, codecs: list[Codec], quality: int) -> Json:
    """PSNR and SSIM of unseen classes, and bits a code of classes seen and unseen."""
    groups = {"seen": range(fit_classes), "unseen": range(fit_classes, len(source.classes))}
    codecs, out = with_quality(codecs, quality), Json()
    for name, classes in groups.items():
        images = np.concatenate([source.load(c)[:EACH] for c in classes])
        codes: Codes = codecs[0].encode(images)
        decoded = codecs[0].decode(codes, source.image_size)
        out[name] = {
            "images": len(images),
            "psnr_db": psnr_db(images, decoded),
            "ssim": ssim(images, decoded),
            "bits_per_code": {codec.entropy.kind: bits_of_codes(codec, codes) for codec in codecs},
        }
    return out


def _write(place: Path, codecs: list[Codec], source: Source, log: Json, second: bool) -> Json:
    sizes = {}
    for number, codec in enumerate(codecs):
        vqvae, entropy_model = memory.sections(codec)
        kind = codec.entropy.kind
        sizes[kind] = {"vqvae": len(vqvae.data), "entropy_model": len(entropy_model.data)}
        if number:  # the first file has it
            vqvae = Section(shipped.VERSION, {"sha256": shipped.key(vqvae)}, b"")
        if second and not number:
            continue
        bare = Memory(source.image_size, [place.name], [], vqvae, entropy_model, {"fit": log})
        sizes[kind]["file"] = write(
            place.with_name(f"{place.name}-{kind}.drr"), bare, overwrite=True
        )
    return sizes


_shown = 0.0


def _print(event: Event) -> None:
    global _shown
    if isinstance(event, FitProgress) and time.monotonic() - _shown > 20:
        _shown = time.monotonic()
        metrics = {name: round(value, 4) for name, value in event.metrics.items()}
        left = round(event.seconds_left)
        print(event.stage, f"{event.fraction:.3f}", metrics, left, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
