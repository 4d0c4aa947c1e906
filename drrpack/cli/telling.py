"""The lines that commands print about what they are going to do and what they found."""

from __future__ import annotations

from drrpack.cli.screen import duration
from drrpack.cli.terminal import note, warn
from drrpack.core.families import FAMILIES
from drrpack.core.progress import Notice
from drrpack.core.wording import counted, few, sides
from drrpack.operations.append_plan import AppendPlan
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.progress import EntropyChoice, Event, RunStarted
from drrpack.trainers.incremental.estimate import TimeEstimate
from drrpack.trainers.incremental.results import CodecClasses

WORTH_SAYING = 0.8  # of the time: what takes hardly less is no advice


def tell(event: Event) -> None:
    """Print an event that is a line of text; ignore those that move a progress bar."""
    match event:
        case Notice():
            (warn if event.warning else note)(event.text)
        case EntropyChoice():
            sizes = ", ".join(f"{kind} {size:,}" for kind, size in event.sizes.items())
            note(f"entropy model: {event.taken}; bytes with streams: {sizes}")
        case EncodePlan():
            _encode_plan(event)
        case AppendPlan():
            _append_plan(event)
        case TimeEstimate():
            _time_estimate(event)
        case RunStarted():
            _run_started(event)


def _shipped_family(plan: EncodePlan) -> str:
    """Which of the codecs that come with drrpack is taken; nothing where one is fitted anew."""
    strides = [codec.vqvae.config.stride for codec in plan.taken.codecs[:1]]
    names = [family.name for family in FAMILIES.values() if family.vqvae.stride in strides]
    return f"{', '.join(names)} (comes with drrpack)"


def _encode_plan(plan: EncodePlan) -> None:
    """What ``drrpack encode`` is about to do."""
    source, options, budget = plan.source, plan.options, plan.options.budget
    note(
        f"{source.place}: {counted(sum(source.images_per_class), 'image')} of "
        f"{sides(source.image_size)} in {counted(len(source.classes), 'class')}"
    )
    origin = _shipped_family(plan) if options.codec is None else str(options.codec)
    if options.fit == "no":
        note(f"codec: {origin}")
    else:
        spent = (
            f"{counted(budget.epochs, 'epoch')} each"
            if budget.epochs is not None
            else f"{budget.minutes:g} minutes in total (change with --minutes or --epochs)"
        )
        by = "" if options.preset is None else f" by the preset {options.preset}"
        start = {
            "scratch": f"from scratch{by}",
            "finetune": f"further, from {origin}",
            "decoder": f"its decoder alone, of {origin}",
        }[options.fit]
        first = counted(plan.fit_classes, "class")
        of = "" if options.class_order is None else " of the class order"
        note(f"codec: fitted on the first {first}{of}, {start}, {spent}")
    note(f"device: {options.device}")


def _append_plan(plan: AppendPlan) -> None:
    """What ``drrpack append`` is about to do."""
    source, options = plan.source, plan.options
    images = counted(sum(source.images_per_class), "image")
    note(f"{source.place}: {images} in {counted(len(source.classes), 'class')}")
    if not options.keep_entropy_model and plan.budget.minutes is not None:
        note(
            f"fine-tuning the entropy model for up to {plan.budget.minutes:g} minutes (change "
            "with --minutes, skip with --keep-entropy-model)"
        )


def _time_estimate(found: TimeEstimate) -> None:
    """How long ``drrpack train`` will take, and what would take less."""
    options = {
        f"--epochs {found.epochs}": found.fewer_seconds,
        f"--width {found.width}": found.narrower_seconds,
    }
    less = [
        f"with {option} {duration(seconds)}"
        for option, seconds in options.items()
        if seconds < WORTH_SAYING * found.seconds
    ]
    told = f"about {duration(found.seconds)} of training on {found.device}"
    note("; ".join([told, ", ".join(less)]) if less else told)


def _run_started(run: RunStarted) -> None:
    """Which training of ``drrpack train`` begins; before the first, what its codec has seen."""
    if run.number == 0:
        print_codec_classes(run.codec_classes)
    note(
        f"{run.method}: {counted(run.classes, 'class')}, {counted(run.phases, 'phase')}, "
        f"seed {run.seed}, device {run.device}, into {run.folder}"
    )


def print_codec_classes(known: CodecClasses | None) -> None:
    """Say whether the codec was fitted on classes that come after the base.

    Print nothing where the file does not record what the codec was fitted on.
    """
    if known is None:
        return
    fitted, later = known.fitted, known.after_base
    if later:
        warn(
            f"the codec was fitted on {len(fitted)} of these classes, {len(later)} of which come "
            f"after the base ({few(later)}): it has seen them before their phase. For a codec "
            "that has seen only the base, fit one on those classes, or say --class-order file "
            f"and --base {len(fitted)}"
        )
    elif fitted:
        note(f"the codec was fitted on {len(fitted)} classes, all of the base")
    else:
        note("the codec was fitted on none of these classes")
