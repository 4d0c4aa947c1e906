"""The options of ``drrpack train`` as a file: ``--config`` reads it, and every run leaves one."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import typer

from drrpack.core.errors import OptionError, ReadError
from drrpack.formats.files.addresses import is_address, shown
from drrpack.formats.sources.hub_name import is_hub_name

NOT_KEPT = ("config", "json", "quiet", "resume")  # options that don't describe a run
SEVERAL = ("options", "value_range")  # options that take more than one value
PLACES = ("memory", "out", "test", "source")


def from_file(context: typer.Context, path: Path | None) -> Path | None:
    """The callback of ``--config``: options in the file become defaults of those not given.

    Raises:
        ReadError: there is no such file. OptionError: it is no TOML, or names an unknown option.
    """
    if path is not None:
        context.default_map = {**(context.default_map or {}), **_options(context, path)}
    return path


def _options(context: typer.Context, path: Path) -> dict[str, object]:
    """The values in the file, by the names of parameters."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}; give the path of a TOML file") from error
    except ValueError as error:  # of TOML and of UTF-8
        raise OptionError(
            f'{path}: found no TOML: {error}; expected lines such as method = "drr"'
        ) from error
    known = _names(context)
    values = {}
    for key, value in found.items():
        name = known.get(key.replace("_", "-"))
        if name is None:
            there = ", ".join(sorted(known))
            raise OptionError(f"{path}: found {key!r}, expected options of this command: {there}")
        if isinstance(value, dict):
            raise OptionError(f"{path}: found a table {key!r}, expected a value: write {key} = ...")
        values[name] = _as_text(value) if isinstance(value, list) and name not in SEVERAL else value
    return values


def _as_text(values: list[object]) -> str:
    """Several values as the command line has them, such as ``5,10``."""
    return ",".join(map(str, values))


def _names(context: typer.Context) -> dict[str, str]:
    """The parameter behind each option's name, which is written without its dashes."""
    names = {}
    for parameter in context.command.params:
        if parameter.name is not None and parameter.name not in NOT_KEPT:
            longest = max(parameter.opts, key=len).lstrip("-")
            names[longest.replace("_", "-")] = parameter.name
    return names


def write(context: typer.Context, folder: Path) -> None:
    """Leave the options that differ from their defaults in the folder of a run.

    Paths are absolute, so the file works in any working folder. Addresses lose their secrets.
    """
    from drrpack.formats.files.own import RUN_CONFIG
    from drrpack.formats.files.places import make_folder
    from drrpack.formats.files.publish import write_atomic

    defaults = {parameter.name: parameter.default for parameter in context.command.params}
    lines = ["# repeat this run: drrpack train --config run.toml --out another-folder\n"]
    lines += [
        f"{option} = {_toml(name, value)}\n"
        for option, name in _names(context).items()
        if (value := context.params[name]) not in (None, [], ()) and value != defaults[name]
    ]
    content = "".join(lines).encode("utf-8", "surrogateescape")  # a path need not be UTF-8
    write_atomic(make_folder(folder) / RUN_CONFIG, lambda file: file.write(content))


def _toml(name: str, value: object) -> str:
    """A value as TOML writes it; its strings are those of JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(name, one) for one in value)}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    if name in PLACES and is_address(text):
        text = shown(text)
    elif name in PLACES and not is_hub_name(text):
        text = os.path.abspath(text)
    return json.dumps(text, ensure_ascii=False)
