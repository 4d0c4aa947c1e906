"""Find methods: those of drrpack by name, those of users by ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import TypeVar

from drrpack.core.errors import DrrError, OptionError
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.phase_data import NEEDS

METHODS: dict[str, type[Method]] = {}
AnyMethod = TypeVar("AnyMethod", bound=type[Method])


def register(method: AnyMethod) -> AnyMethod:
    """Class decorator: makes a method known by its name."""
    assert METHODS.get(method.name, method) is method, f"two methods are called {method.name}"
    METHODS[method.name] = method
    return method


def get_method(wanted: str | type[Method]) -> type[Method]:
    """The method of a name such as ``drr``, of ``package.module:Class``, or the class itself.

    A module is imported as ``python -m`` would: the current folder goes before all others.

    Raises:
        OptionError: there is no such method, module or class, importing the module fails, or the
            class is not a whole method.
    """
    if isinstance(wanted, str) and ":" not in wanted:
        if wanted in METHODS:
            return METHODS[wanted]
        raise OptionError(
            f"no method is called {wanted!r}; there are: {', '.join(sorted(METHODS))}. For one in "
            "a file of your own say package.module:Class"
        )
    return _checked(_imported(wanted) if isinstance(wanted, str) else wanted)


def origin(method: type[Method]) -> str | None:
    """Where a method of users comes from, as ``package.module:Class``; None for one of the tree.

    Two of them that have one name in common are so told apart.
    """
    if METHODS.get(method.name) is method and method.__module__.startswith("drrpack."):
        return None
    return f"{method.__module__}:{method.__qualname__}"


def _imported(wanted: str) -> object:
    module, _, name = wanted.partition(":")
    called = f"`method={wanted!r}`"
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise OptionError(
                f"{called}: {module} imports {error.name!r}, which is not installed; install it"
            ) from error
        raise OptionError(
            f"{called}: found no module {module!r}, expected the file "
            f"{module.replace('.', '/')}.py in the current folder, or an installed package"
        ) from error
    except DrrError:
        raise
    except Exception as error:  # whatever a user's file raises
        raise OptionError(
            f"{called}: importing {module!r} failed with {type(error).__name__}: {error}"
        ) from error
    if not hasattr(found, name):
        classes = [n for n, value in vars(found).items() if _is_method(value)]
        there = ", ".join(f"{module}:{one}" for one in classes) or "no method at all"
        raise OptionError(f"{called}: found no {name!r} in {found.__file__}; it holds: {there}")
    return getattr(found, name)


def _is_method(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Method) and not inspect.isabstract(value)


def _checked(found: object) -> type[Method]:
    """A class that is a whole method; raises OptionError that says what it lacks."""
    if not (inspect.isclass(found) and issubclass(found, Method)):
        raise OptionError(
            f"found {found!r}, expected a class derived from {Method.__module__}.Method, or the "
            "name of a method such as 'drr'"
        )
    called = f"{found.__module__}:{found.__qualname__}"
    wrong = _faults(found)
    if wrong:
        raise OptionError(f"{called} is not a whole method: {'; '.join(wrong)}")
    other = METHODS.get(found.name, found)
    if other is not found:
        raise OptionError(
            f"{called} is called {found.name!r}, as a method of drrpack is; give it another name"
        )
    return found


def _faults(found: type[Method]) -> list[str]:
    wrong = [f"it lacks {name}()" for name in sorted(found.__abstractmethods__)]
    if not isinstance(getattr(found, "name", None), str):
        wrong.append('it lacks a name, such as name = "mine"')
    elif not found.name.replace("-", "").replace("_", "").isalnum():
        wrong.append(f"its name is {found.name!r}, expected letters, digits and hyphens")
    needs = getattr(found, "needs", None)
    if not isinstance(needs, frozenset) or not needs <= set(NEEDS):
        wrong.append(f"its needs are {needs!r}, expected a frozenset of: {', '.join(NEEDS)}")
    if not issubclass(found.Options, MethodOptions):
        wrong.append("its Options are not derived from MethodOptions")
    return wrong or _unmade(found)


def _unmade(found: type[Method]) -> list[str]:
    """What keeps an object of the class from being made of options, or options of nothing."""
    try:
        found.Options()
        inspect.signature(found).bind(found.Options())
    except TypeError as error:
        return [
            f"{error}; expected options that all have a default, and, where the class has an "
            "__init__, def __init__(self, options=None): super().__init__(options)"
        ]
    return []
