"""What the site is made of: lists of options, pictures, links, figures, and the notebook."""

from __future__ import annotations

import json
import re
import runpy
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from check_site import faults, main
from command import Command
from command_options import commands, reference
from dark_pictures import DarkPictures
from documents import ROOT
from field_comments import comments
from nbclient import NotebookClient
from root_pages import LINK, PAGES, from_stub

import drrpack
from drrpack.formats.account import Bytes

DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "gallery.ipynb"

# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", commands())
def test_the_list_of_options_is_that_of_help(name: str, drrpack: Command) -> None:
    """Every option that --help shows, and no other."""
    shown = drrpack(name, "--help").output
    left = [re.match(r"[│|*\s]*((?:--?[a-z][\w-]*[ ,/]*)+)", line) for line in shown.splitlines()]
    offered = {option for found in left if found for option in re.findall(r"--[a-z-]+", found[1])}
    entries = re.findall(r"^```\{option\} (.*)$", reference(name), re.M)
    listed = {option for entry in entries for option in re.findall(r"--[a-z-]+", entry)}
    assert "--help" in offered
    assert listed == offered - {"--help"}


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_page(name: str) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# drrpack {name}\n")
    assert f"```{{command-options}} {name}\n" in page and f"\ndrrpack {name}" in page
    assert f"]({name}.md)" in (DOCS / "commands" / "index.md").read_text("utf-8")


def test_an_entry_has_help_and_default() -> None:
    text = reference("encode")
    assert "```{option} --output OUTPUT, -o OUTPUT\nThe .drr file to write. Required.\n```" in text
    assert "Random seed of initial weights, batches and noise. Default: `0`." in text
    assert "or what `--fit` begins with" in text and "drrpack encode SOURCE [OPTIONS]" in text


# --- the Python API ------------------------------------------------------------------------------


def test_every_public_name_is_on_a_page() -> None:
    pages = "".join(path.read_text("utf-8") for path in (DOCS / "api").glob("*.md"))
    shown = set(re.findall(r"^\.\. auto\w+:: drrpack\.(\w+)$", pages, re.M))
    assert shown == set(drrpack.__all__) - {"__version__"}


def test_the_table_of_exit_codes() -> None:
    table = re.findall(r"^\| (\d) \| (.*) \|$", (DOCS / "api" / "errors.md").read_text(), re.M)
    shown = {name: int(code) for code, names in table for name in re.findall(r"`(\w+)`", names)}
    errors = [name for name in drrpack.__all__ if name.endswith("Error")]
    assert shown == {name: getattr(drrpack, name).exit_code for name in errors}


def test_fields_are_told_by_the_comments_behind_them() -> None:
    found = comments(Bytes)
    assert found["payload"] == "streams" and "vqvae" not in found


# --- pictures and links --------------------------------------------------------------------------


@pytest.mark.slow
def test_pictures_are_drawn_anew(tmp_path: Path) -> None:
    """The script writes the pictures that docs/method.md shows, whole and in both variants."""
    draw = runpy.run_path(str(DOCS / "pictures" / "draw.py"))
    made = draw["draw_all"](tmp_path)
    names = sorted(path.name for path in (DOCS / "pictures").glob("*.svg"))
    assert sorted(path.name for path in made) == names
    for path in made:
        root = ElementTree.parse(path).getroot()
        drawn = ElementTree.parse(DOCS / "pictures" / path.name).getroot()
        assert root.get("viewBox") == drawn.get("viewBox")
        assert 'href="http' not in path.read_text("utf-8")


def test_every_picture_of_the_method_has_both_variants() -> None:
    shown = re.findall(r"\]\((pictures/[\w-]+)\.svg\)", (DOCS / "method.md").read_text("utf-8"))
    assert len(shown) == 5 and DarkPictures.default_priority < 500  # before images are collected
    assert all((DOCS / f"{name}{end}.svg").is_file() for name in shown for end in ("", "-dark"))


@pytest.mark.parametrize(
    ("body", "wrong"),
    [('<a href="other.html#there">', None),
     ('<a href="other.html#elsewhere">', "there is no such place in it"),
     ('<a href="none.html">', "there is no such file"),
     ('<a href="https://example.org">', None),
     ('<img src="data:image/png;base64,AA">', None),
     ('<script src="https://example.org/a.js"></script>', "is loaded from a network"),
     ('<link href="//example.org/a.css">', "is loaded from a network")],
)  # fmt: skip
def test_the_check_of_a_built_site(tmp_path: Path, body: str, wrong: str | None) -> None:
    (tmp_path / "other.html").write_text('<h1 id="there">')
    (tmp_path / "index.html").write_text(body)
    found = list(faults(tmp_path))
    assert [line.split(": ")[-1] for line in found] == ([] if wrong is None else [wrong])
    assert main(tmp_path) == (0 if wrong is None else 1)


def test_a_site_without_pages_is_no_site(tmp_path: Path) -> None:
    assert main(tmp_path) == 1


@pytest.mark.parametrize("page", PAGES)
def test_links_of_top_pages_lead_somewhere_from_their_stubs(page: str) -> None:
    targets = [found[1] for found in LINK.finditer((ROOT / PAGES[page]).read_text("utf-8"))]
    stub = DOCS / f"{page}.md"
    assert stub.is_file()
    assert all((stub.parent / from_stub(target)).exists() for target in targets)


# --- figures -------------------------------------------------------------------------------------

DERIVED = {  # by arithmetic
    "66.1": 3.15 * 2**20 / 50_000,
}


@pytest.mark.parametrize("page", ["choosing", "tutorial"])
def test_figures_of_tables_are_those_of_results(page: str) -> None:
    """A number with a decimal point in a table stands in results.md or rate.md."""
    measured = "".join((DOCS / f"{name}.md").read_text("utf-8") for name in ("results", "rate"))
    known = set(re.findall(r"[\d,]*\d\.\d+", measured))
    rows = [
        line for line in (DOCS / f"{page}.md").read_text("utf-8").splitlines() if line[:1] == "|"
    ]
    shown = {number for row in rows for number in re.findall(r"\d+\.\d+", row)}
    assert len(shown) > 10
    for number in shown - known:
        assert float(number) == pytest.approx(DERIVED[number], abs=0.05), number


# --- the notebook --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    printed: list[str]  # by cell
    pictures: int


def outputs(notebook: Any) -> Ran:
    """What the cells of a notebook have printed and drawn."""
    cells = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    printed = [
        "".join("".join(one["text"]) for one in found if one["output_type"] == "stream")
        for found in cells
    ]
    drawn = [one for found in cells for one in found if "image/png" in one.get("data", {})]
    return Ran([text for text in printed if text], len(drawn))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook's client
def test_the_notebook_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DRRPACK_STATE", str(tmp_path / "state"))
    kept = outputs(json.loads(NOTEBOOK.read_text("utf-8")))
    notebook = nbformat.read(NOTEBOOK, 4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    ran = outputs(notebook)
    assert ran.pictures == kept.pictures == 3
    assert ran.printed[:2] == kept.printed[:2]  # bytes are the same on every machine
    accuracy = [int(found) for found in re.findall(r"(\d+) %", ran.printed[-1])]
    assert len(accuracy) == 2 and accuracy[-1] > 40  # guessing gives 10


def test_the_notebook_is_small() -> None:
    assert NOTEBOOK.stat().st_size < 200_000
