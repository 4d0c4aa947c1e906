"""Reported: paiml/aprender#3773: a benchmark printed a rival's speed, and a ratio to it, that it
had never measured: the number was a literal in the script.
Right: a figure in a script's JSON is counted or measured in that run. A fault that happens is
counted, and does not end the script before it is written.
"""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from drrpack.core.errors import WriteError

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))


def literal_figures(text: str) -> Iterator[str]:
    """Entries of dictionaries inside functions whose value is a number as it stands."""
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(value, ast.Constant) and type(value.value) in (int, float):
                        yield f"line {value.lineno}: {ast.unparse(key) if key else ''}"


def test_literal_figures_are_found() -> None:
    text = 'def f(n):\n    return {"torn": 0, "runs": n, "all": True, "seconds": 0.7}\n'
    assert list(literal_figures(text)) == ["line 2: 'torn'", "line 2: 'seconds'"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_figure_of_a_script_is_a_literal(path: Path) -> None:
    assert not list(literal_figures(path.read_text("utf-8")))


def test_no_script_knows_a_figure_that_somebody_published() -> None:
    for path in SCRIPTS:
        text = path.read_text("utf-8").lower()
        assert "reference_images" not in text and "published code's" not in text, path.name


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "faults"))
    return importlib.import_module("workbench")


def bench_of(faults: ModuleType, place: Path, file: Path) -> Any:
    place.mkdir()
    for name in ("mem.drr", "other.drr"):
        shutil.copy(file, place / name)
    return faults.Bench(place, file, {})


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_torn_file_is_counted(
    faults: ModuleType, digits_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = importlib.import_module("kills")

    def in_place(bench: Any, place: Path) -> None:
        content = (place / "mem.drr").read_bytes()
        (place / "stray").touch()
        with open(place / "mem.drr", "r+b", buffering=0) as file:
            file.truncate(100)
            time.sleep(0.5)
            file.seek(100)
            file.write(content[100:])

    changes = {"drop": ("mem.drr", in_place)}
    for module in (faults, kills):
        monkeypatch.setattr(module, "CHANGES", changes)
    bench = bench_of(faults, tmp_path / "bench", digits_drr)
    found = kills.campaign(bench, tmp_path, runs=6, seed=0)
    assert found["runs"] == 6
    assert found["torn"] == found["outcomes"]["drop: torn"] > 0
    assert found["strays"] > 0 and len(found["faults"]) >= found["torn"]


def test_what_a_failed_call_leaves_is_counted(
    faults: ModuleType, digits_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = importlib.import_module("failures")

    def careless(bench: Any, place: Path) -> None:
        content = (place / "mem.drr").read_bytes()
        (place / "left").touch()
        descriptor = os.open(place / "mem.drr", os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, content)
        except OSError as error:
            raise WriteError("something failed") from error
        finally:
            os.close(descriptor)

    for module in (faults, failures):
        monkeypatch.setattr(module, "CHANGES", {"drop": ("mem.drr", careless)})
    monkeypatch.setattr(failures, "PLAIN", ["drop"])
    monkeypatch.setattr(failures, "FUNCTIONS", ("write",))
    bench, tally = bench_of(faults, tmp_path / "bench", digits_drr), failures.Tally()
    wanted = faults.states(bench, tmp_path / "states")
    counts = failures.failed_calls(bench, tmp_path, wanted, tally)
    assert counts == {"drop: write": len(failures.REASONS)}
    found = tally.to_json()
    for what in ("damaged originals", "leftovers", "errors that name no file"):
        assert found[what] == len(failures.REASONS), what
    assert len(found["faults"]) == len(failures.REASONS) and found["errors passed over"] == 0
