"""What operations report in words: lines about what is about to be done, and what was found."""

from __future__ import annotations

from drrpack.cli.terminal import console, note, warn
from drrpack.core.progress import Notice
from drrpack.operations.append_plan import AppendPlan
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.progress import Choice, Event


def tell(event: Event) -> None:
    """Print what is said in words and moves no bar."""
    match event:
        case Notice():
            (warn if event.warning else note)(event.text)
        case Choice():
            sizes = ", ".join(f"{kind} {size:,}" for kind, size in event.sizes.items())
            console.print(f"entropy model: {event.taken}; bytes with streams: {sizes}")
        case EncodePlan():
            _encode_plan(event)
        case AppendPlan():
            _append_plan(event)


def _encode_plan(plan: EncodePlan) -> None:
    """What ``drrpack encode`` is about to do."""
    source, options, budget = plan.source, plan.options, plan.options.budget
    height, width = source.image_size
    note(
        f"{source.place}: {sum(source.images_per_class)} images of {height}x{width} in "
        f"{len(source.classes)} classes"
    )
    origin = "the one that comes with drrpack" if options.codec is None else str(options.codec)
    if options.fit == "no":
        note(f"codec: {origin}")
    else:
        spent = (
            f"{budget.epochs} epochs each"
            if budget.epochs is not None
            else f"{budget.minutes:g} minutes in all (--minutes or --epochs to change)"
        )
        start = {
            "scratch": "from scratch",
            "finetune": f"further, from {origin}",
            "decoder": f"its decoder alone, of {origin}",
        }[options.fit]
        note(f"codec: fitted on the first {plan.fit_classes} classes, {start}, {spent}")
        if plan.checkpoints.exists():
            note(f"checkpoints in {plan.checkpoints}: going on from there where they fit")
    note(f"device: {options.device}")


def _append_plan(plan: AppendPlan) -> None:
    """What ``drrpack append`` is about to do."""
    source, options = plan.source, plan.options
    note(f"{source.place}: {sum(source.images_per_class)} images in {len(source.classes)} classes")
    if not options.keep_entropy_model and options.budget.minutes is not None:
        note(
            f"tuning the entropy model for up to {options.budget.minutes:g} minutes (--minutes to "
            "change, --keep-entropy-model for none)"
        )
