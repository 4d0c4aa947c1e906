"""Dataclass fields are documented by the comment behind them; autodoc alone reads only ``#:``."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from dataclasses import is_dataclass

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer


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


def document_fields(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """Give a dataclass's fields, also inherited ones, their comments, and no signature: the fields
    stand below it."""
    if what != "class" or not isinstance(thing, type) or not is_dataclass(thing):
        return None
    for owner in filter(is_dataclass, thing.__mro__):
        known = ModuleAnalyzer.for_module(owner.__module__)
        known.analyze()
        for field, comment in comments(owner).items():
            known.attr_docs.setdefault((owner.__qualname__, field), [comment, ""])
    return "", ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", document_fields)
    return {"parallel_read_safe": True}
