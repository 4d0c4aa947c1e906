"""The directive ``command-options``: what a command of drrpack takes, as its ``--help`` has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from drrpack.cli.app import app as cli


def commands() -> dict[str, Any]:
    """Every command by its name, in the order of ``drrpack --help``."""
    found: dict[str, Any] = vars(typer.main.get_command(cli))["commands"]
    return found


def reference(name: str) -> str:
    """Usage, arguments and options of a command as MyST Markdown."""
    command = commands()[name]
    parameters = [p for p in command.params if not p.hidden]
    arguments = [p for p in parameters if not is_option(p)]
    lines = ["```text", usage(name, arguments), "```", f"```{{program}} drrpack {name}", "```"]
    for parameter in parameters:
        lines += [*entry(parameter), ""]
    return "\n".join(lines)


def usage(name: str, arguments: list[Any]) -> str:
    return " ".join(["drrpack", name, *(placeholder(a) for a in arguments), "[OPTIONS]"])


def entry(parameter: Any) -> Iterator[str]:
    """One argument or option: its spellings, what it does, and its default."""
    if is_option(parameter):
        value = "" if parameter.is_flag else f" {placeholder(parameter)}"
        spelt = ", ".join(o + value for o in (*parameter.opts, *parameter.secondary_opts))
    else:
        spelt = placeholder(parameter)
    yield f"```{{option}} {spelt}"
    yield f"{escaped(parameter.help or '')}{note(parameter)}"
    yield "```"


def note(parameter: Any) -> str:
    """What is said behind the help of a parameter: that it must be given, or its default."""
    if is_option(parameter) and parameter.required:
        return " Required."
    if parameter.is_flag if is_option(parameter) else True:
        return ""
    shown = parameter.default not in (None, (), []) and not callable(parameter.default)
    return f" Default: `{parameter.default}`." if shown else ""


def placeholder(parameter: Any) -> str:
    many = "..." if parameter.nargs == -1 else ""
    return (parameter.metavar or str(parameter.name).upper()) + many


def is_option(parameter: Any) -> bool:
    return str(parameter.opts[0]).startswith("-")


def escaped(text: str) -> str:
    """Text as it is, with options in it as code."""
    plain = "".join("\\" + c if c in "\\*`_|[<" else c for c in text)
    return re.sub(r"(?<![\w-])--[a-z][a-z-]*", r"`\g<0>`", plain)


class CommandOptions(SphinxDirective):
    """``command-options`` with the name of a command."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        text = StringList(reference(name).splitlines(), source=f"drrpack {name} --help")
        holder = nodes.container()
        self.state.nested_parse(text, self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-options", CommandOptions)
    return {"parallel_read_safe": True}
