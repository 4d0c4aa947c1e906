"""No method changes unnoticed: its code is recorded beside its revision.

Results record the revision of their method, and runs of another one do not go on. So whoever
changes what a method does raises `Method.revision`. This file, run as a program, records the code
as it is now.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import sys
import tokenize
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest

from drrpack.trainers.incremental.methods import METHODS, Method, drr, foster

RECORDED = Path(__file__).with_name("revisions.json")
METHODS_PACKAGE = "drrpack.trainers.incremental.methods."


def own_modules(method: type[Method]) -> list[ModuleType]:
    """The method's module and all that it takes from others of its folder, by name."""
    found = dict[str, ModuleType]()
    waiting = [method.__module__]
    while waiting:
        name = waiting.pop()
        if name.startswith(METHODS_PACKAGE) and name not in found:
            found[name] = sys.modules[name]
            tree = ast.parse(inspect.getsource(found[name]))
            waiting += [
                n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) if n.module
            ]
    return [found[name] for name in sorted(found)]


def code_alone(source: str) -> str:
    """A source without comments, docstrings and white space."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column] + "\n"
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                for row in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[row] = ""
    return "".join("".join(lines).split())


def as_recorded(name: str) -> dict[str, object]:
    """A method's revision, and the digest of its code."""
    parts = [code_alone(inspect.getsource(module)) for module in own_modules(METHODS[name])]
    code = sha256("\0".join(parts).encode()).hexdigest()[:16]
    return {"revision": METHODS[name].revision, "code": code}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_that_changed_has_another_revision(name: str) -> None:
    recorded = json.loads(RECORDED.read_text()).get(name)
    modules = [module.__name__ for module in own_modules(METHODS[name])]
    files = ", ".join(module.removeprefix(METHODS_PACKAGE) for module in modules)
    assert as_recorded(name) == recorded, (
        f"the code of {name} ({files}) or its revision is not what {RECORDED.name} has. If results "
        "of the method change by it, raise the method's `revision`, so that runs of before do not "
        f"go on with it. Then say `python {Path(__file__).name}`, and commit {RECORDED.name}"
    )


def test_what_counts_as_a_change() -> None:
    plain = 'def f(x):\n    """Twice."""\n    return 2 * x  # as said\n'
    assert code_alone(plain) == code_alone("def f(x):\n\n    return (\n2 * x)").replace(
        "(2*x)", "2*x"
    )
    assert code_alone(plain) != code_alone(plain.replace("2", "3"))
    assert code_alone('a = "# no comment"') == 'a="#nocomment"'
    taken = [module.__name__.rpartition(".")[2] for module in own_modules(foster.FOSTER)]
    assert {"exemplar_replay", "finetune", "foster", "lwf"} == set(taken)
    assert len(own_modules(drr.DRR)) == 2


if __name__ == "__main__":
    found = {name: as_recorded(name) for name in sorted(METHODS)}
    RECORDED.write_text(json.dumps(found, indent=1) + "\n")
