"""The scripts of benchmarks/ start with drrpack as it is now, and take what is said of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path for path in BENCHMARKS.rglob("*.py"))
IMPORTED = """
import importlib.util, sys
for path in sys.argv[1:]:
    name = path.rpartition("/")[2].removesuffix(".py")
    sys.path.insert(0, path.rpartition("/")[0])
    found = importlib.util.spec_from_file_location(f"script_{name}", path)
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    print(name)
"""


@pytest.mark.slow
def test_each_can_be_imported() -> None:
    pytest.importorskip("sklearn")
    command = [sys.executable, "-c", IMPORTED, *map(str, SCRIPTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [path.stem for path in SCRIPTS]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The scripts that a text calls, and the options that it gives them."""
    for line in re.sub(r"\\+\n", " ", text).splitlines():
        for script, rest in re.findall(r"(benchmarks/[\w/]+\.py)([^`;#]*)", line):
            yield script, re.findall(r"(?<=[\s\[])--?[a-zA-Z][\w-]*", rest)


def taken(script: Path) -> set[str]:
    """The options of a script, those of a parser that it has from another one included; the keys of
    a table may be options, too."""
    texts = [script.read_text("utf-8")]
    if "from workbench import" in texts[0]:
        texts.append((BENCHMARKS / "faults" / "workbench.py").read_text("utf-8"))
    words = (node.value for text in texts for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Constant) and isinstance(node.value, str))  # fmt: skip
    found = {word for word in words if re.fullmatch(r"--?[a-zA-Z][\w-]*", word)}
    return found | {f"--{name}" for name in re.findall(r"(?m)^    \"(\w+)\": ", texts[0])}


def spoken_of() -> Iterator[tuple[str, str]]:
    for script in SCRIPTS:
        yield script.name, ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
    for name in (*DOCUMENTS, "drrpack/data/README.md"):
        yield name, (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize(("where", "text"), [*spoken_of()], ids=lambda given: given[:30])
def test_what_is_called_is_there(where: str, text: str) -> None:
    for script, options in commands(text):
        assert (ROOT / script).is_file(), f"{where}: {script}"
        assert set(options) <= taken(ROOT / script), f"{where}: {script} {options}"


def test_calls_and_options_are_found() -> None:
    text = "    python benchmarks/a.py x -o y \\\n        --two 2 [--three]  # --no\n"
    assert list(commands(text)) == [("benchmarks/a.py", ["-o", "--two", "--three"])]
    assert {"--staged", "-o", "--runs"} <= taken(BENCHMARKS / "faults" / "kills.py")
