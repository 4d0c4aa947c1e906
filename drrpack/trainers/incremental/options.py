"""Options of a method: a frozen dataclass, with values from the command line or from Python."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from drrpack.core.errors import OptionError

Value = bool | int | float | str | None
AnyValue = TypeVar("AnyValue")
AnyOptions = TypeVar("AnyOptions", bound="MethodOptions")
_BEFORE = "before"  # the key of a field's metadata
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class MethodOptions:
    """Base class of the options of a method.

    Each field has a default and is a bool, int, float, str, a `Literal` of strings, or one of these
    or None. ``__post_init__`` may raise ValueError for values that are out of range.
    """

    def recorded(self) -> dict[str, Value]:
        """The values that settings, results and checkpoints record.

        These are all values, except those that equal the ``before`` of an `option`.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        before = {field.name: field.metadata.get(_BEFORE) for field in dataclasses.fields(self)}
        return {
            name: value
            for name, value in values.items()
            if before[name] is None or value != before[name]
        }

    def check_range(self, *names: str, above: float | None = None, least: float = 0) -> None:
        """Raise ValueError unless each of these options is ``least`` or more, or over ``above``."""
        for name in names:
            value = getattr(self, name)
            if above is not None and not value > above:
                raise ValueError(f"found {name}={value}, expected more than {above:g}")
            if above is None and not value >= least:
                raise ValueError(f"found {name}={value}, expected {least:g} or more")


def option(default: AnyValue, *, before: AnyValue) -> AnyValue:
    """A field that replaces an earlier constant ``before``.

    With this value a run equals runs from before the option existed, and continues from their
    checkpoints. New options do not need this.
    """
    made: AnyValue = dataclasses.field(default=default, metadata={_BEFORE: before})
    return made


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """Values by name from texts such as ``temperature=2``, as of ``--set``; raises OptionError."""
    found: dict[str, str] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set {text}: found no '=' after a name; say --set NAME=VALUE")
        if name.strip() in found:
            raise OptionError(f"--set {text}: {name.strip()} was set before; set it once")
        found[name.strip()] = value.strip()
    return found


def make_options(kind: type[AnyOptions], method: str, values: Mapping[str, object]) -> AnyOptions:
    """Options of a method with some ``values``, which may be text.

    Raises:
        OptionError: a name that there is not, or a value of another type; the message lists the
            options that there are.
    """
    if not isinstance(values, Mapping):
        raise OptionError(
            f"`options={values!r}`: expected a dict of values by name, such as {{'temperature': 2}}"
        )
    types = get_type_hints(kind)
    fields = {field.name: types[field.name] for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise OptionError(
                f"the method {method!r} has no option {name!r}; {_listed(kind, fields)}"
            )
    typed = {
        name: _typed(value, fields[name], f"{method}'s option {name}")
        for name, value in values.items()
    }
    try:
        return kind(**typed)
    except ValueError as error:
        raise OptionError(f"{method}'s options: {error}") from error


def _listed(kind: type[MethodOptions], fields: Mapping[str, object]) -> str:
    if not fields:
        return "it has none"
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    listed = (f"{name} ({_named(of)}, {defaults[name]!r})" for name, of in fields.items())
    return f"it has: {', '.join(listed)}"


def _typed(value: object, wanted: object, what: str) -> Value:
    """``value`` as the type ``wanted``; raises OptionError that says which was found."""
    for kind in get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,):
        try:
            return _as(value, kind)
        except ValueError:
            continue
    raise OptionError(f"{what}: found {value!r}, expected {_named(wanted)}")


def _as(value: object, kind: object) -> Value:
    """``value`` as one plain type; raises ValueError."""
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
    elif kind is type(None):
        if value is None or value == "none":
            return None
    elif kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _WORDS:
            return _WORDS[value.lower()]
    elif kind is str and isinstance(value, str):
        return value
    elif kind is int and isinstance(value, str | int) and not isinstance(value, bool):
        return int(value)
    elif kind is float and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _finite(float(value))
    raise ValueError


def _finite(number: float) -> float:
    """JSON has neither infinity nor NaN."""
    if not math.isfinite(number):
        raise ValueError
    return number


def _named(kind: object) -> str:
    """A type as a message names it."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_named, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if kind is type(None):
        return "none"
    return kind.__name__ if isinstance(kind, type) else str(kind)
