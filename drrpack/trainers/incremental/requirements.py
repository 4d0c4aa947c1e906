"""Check before the first training all that a run will need, so that no run fails after hours.

The method declares its needs: its `Need`s and, if there is a budget, `Method.least`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.phase_data import Need
from drrpack.trainers.incremental.registry import METHODS

# How each need is read of the classes that a phase adds: all phases together, of all classes.
READ: dict[Need, Callable[[PhaseContext], object]] = {
    "raw_new": lambda context: context.raw(context.new),
    "raw_seen": lambda context: context.raw(context.new),
    "ranked": lambda context: [context.ranking(label) for label in context.new],
    "replayed": lambda context: context.replayed(context.new),
}
Known = set[tuple[str, tuple[int, ...]]]  # what was read of which classes


def check_needs(
    method: Method, contexts: Sequence[PhaseContext], through_codec: bool, known: Known
) -> None:
    """Raise the errors that a phase would raise if images, exemplars, encoder or room are missing.

    ``contexts`` are those of all phases of a run, so only classes in use are checked. Data that are
    ``known`` are not read again; data that are read are added to it.

    Raises:
        SourceError, OptionError, FormatError: what is missing, and the fix.
    """
    for context in contexts:
        _once("test", context, known, _tested)
    if through_codec:
        first = contexts[0].new[:1]  # the encoder is one for all classes
        _once("codec", contexts[0], known, lambda c: c.data.test_through_codec(first))
    if "exemplars" in method.needs:
        _check_exemplars(method, contexts[:-1])  # the last classes never become old ones
    for need in READ:
        for context in contexts if need in method.needs - {"exemplars"} else ():
            _once(need, context, known, READ[need])
    for context in contexts:
        _check_room(method, context)


def _once(
    what: str, context: PhaseContext, known: Known, read: Callable[[PhaseContext], object]
) -> None:
    if (what, context.new) not in known:
        read(context)
        known.add((what, context.new))


def _tested(context: PhaseContext) -> None:
    context.tensors(*context.data.test(context.new), context.new, "test")


def _check_exemplars(method: Method, contexts: Sequence[PhaseContext]) -> None:
    for context in contexts:
        for label in context.new:
            positions, _ = context.exemplars(label)
            if len(positions):
                continue
            others = sorted(
                name
                for name, other in METHODS.items()
                if other.needs < method.needs and "exemplars" not in other.needs
            )
            raise OptionError(
                f"{method.name} needs raw exemplars of old classes, and the memory keeps none of "
                f"{context.data.classes[label]!r}: encode with `raw_per_class=20`, or choose "
                f"another `method`{': ' + ' or '.join(others) if others else ''}"
            )


def _check_room(method: Method, context: PhaseContext) -> None:
    for label in context.new if context.budget_bytes is not None else ():
        least = method.least(context, label)
        if least is not None:
            context.room(*least)
