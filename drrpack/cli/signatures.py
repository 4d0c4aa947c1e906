"""Give a command options that it shares with others; typer reads them from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import get_args, get_type_hints

Command = Callable[..., object]  # typer calls it with an argument for each parameter


def option(name: str, kind: object) -> inspect.Parameter:
    """A parameter that typer makes an option of; ``kind`` is an ``Annotated`` type. A switch is
    off, and another option None, where it is not given."""
    switch = get_args(kind)[0] is bool
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=False if switch else None, annotation=kind
    )


def declare(
    taking: Command, command: Command, added: Sequence[inspect.Parameter], instead_of: str = ""
) -> None:
    """Let ``taking`` have the parameters of ``command`` and those that are ``added``: in the place
    of the one called ``instead_of``, or else at the end."""
    hints = get_type_hints(command, include_extras=True)
    parameters = list[inspect.Parameter]()
    for name, one in inspect.signature(command).parameters.items():
        own = one.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += added if name == instead_of else [own]
    parameters += [] if instead_of else added
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
