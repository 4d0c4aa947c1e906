"""Dataclass fields are documented by the comment behind them; autodoc alone reads only ``#:``."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from dataclasses import is_dataclass
from importlib import import_module

from sphinx.application import Sphinx


def comments(owner: type) -> dict[str, str]:
    """What stands behind each field of a class, by its name."""
    source = textwrap.dedent(inspect.getsource(owner))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    behind = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        node.target.id: behind[node.lineno]
        for node in body.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.lineno in behind
    }


def add_comment(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """The comment of a field in place of an empty docstring, or of that of the field's type."""
    if what != "attribute":
        return
    path, field = name.rsplit(".", 1)
    module, owner = path.rsplit(".", 1)
    found = getattr(import_module(module), owner, None)
    if isinstance(found, type) and field in (known := comments(found)):
        lines[:] = [known[field], ""]


def leave_out_fields(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """No signature of a dataclass: its fields stand below, each with what it is."""
    return ("", "") if what == "class" and is_dataclass(thing) else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", add_comment)
    app.connect("autodoc-process-signature", leave_out_fields)
    return {"parallel_read_safe": True}
