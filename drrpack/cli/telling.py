"""The lines that commands print about what they are going to do and what they found."""

from __future__ import annotations

from drrpack.cli.terminal import console, note, warn
from drrpack.core.progress import Notice
from drrpack.core.wording import counted
from drrpack.operations.append_plan import AppendPlan
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.progress import Choice, Event


def tell(event: Event) -> None:
    """Print an event that is a line of text; ignore those that move a progress bar."""
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
        f"{source.place}: {counted(sum(source.images_per_class), 'image')} of {height}x{width} in "
        f"{counted(len(source.classes), 'class')}"
    )
    origin = "the one that comes with drrpack" if options.codec is None else str(options.codec)
    if options.fit == "no":
        note(f"codec: {origin}")
    else:
        spent = (
            f"{counted(budget.epochs, 'epoch')} each"
            if budget.epochs is not None
            else f"{budget.minutes:g} minutes in total (change with --minutes or --epochs)"
        )
        start = {
            "scratch": "from scratch",
            "finetune": f"further, from {origin}",
            "decoder": f"its decoder alone, of {origin}",
        }[options.fit]
        first = counted(plan.fit_classes, "class")
        note(f"codec: fitted on the first {first}, {start}, {spent}")
        if plan.checkpoints.exists():
            note(f"checkpoints in {plan.checkpoints}: continuing from those with these settings")
    note(f"device: {options.device}")


def _append_plan(plan: AppendPlan) -> None:
    """What ``drrpack append`` is about to do."""
    source, options = plan.source, plan.options
    images = counted(sum(source.images_per_class), "image")
    note(f"{source.place}: {images} in {counted(len(source.classes), 'class')}")
    if not options.keep_entropy_model and options.budget.minutes is not None:
        note(
            f"fine-tuning the entropy model for up to {options.budget.minutes:g} minutes (change "
            "with --minutes, skip with --keep-entropy-model)"
        )
