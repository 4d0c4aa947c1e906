"""Notes of a file may hold any JSON: no number in them ends a command."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import Command
from hypothesis import given, settings
from hypothesis import strategies as st

import drrpack as library
from drrpack.cli.screen import print_stats
from drrpack.formats import metadata
from drrpack.formats.container import Reader, write
from drrpack.formats.sources.reading import Reading
from drrpack.operations.edit import drop
from drrpack.operations.merged_notes import merged_notes

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = Path(__file__).parents[1] / "golden" / "context.drr"
BEYOND = 10**400  # all floats; JSON has no limit
NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([BEYOND, -BEYOND, 1e308, -1e5, 1e5, 5e-324, 0, -0.0, 2**63]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=4,
)


def some(*names: str, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these fields, of any value or as ``known``; or any value."""
    fields = {**{name: VALUES for name in names}, **known}
    return st.one_of(st.fixed_dictionaries({}, optional=fields), VALUES)


MEASURED = some("psnr_db", "psnr_images", "order0", "lzma", psnr_on=st.text(max_size=3))
ROWS = some(
    "size", "depth", "max_megapixels", "digest", "kind", "fitted",
    name=st.just("x"), classes=st.just(["0"]), range=st.lists(NUMBERS, min_size=2, max_size=2),
)  # fmt: skip
FIGURES = st.one_of(
    MEASURED,
    st.fixed_dictionaries(
        {"psnr_db": NUMBERS, "psnr_images": NUMBERS},
        optional={"reference_bits": some(top=MEASURED, bottom=MEASURED, all=MEASURED)},
    ),
)
NOTES = st.fixed_dictionaries(
    {}, optional={
        "figures": FIGURES, "sources": st.lists(ROWS, max_size=2), "quality": VALUES,
        "raw": some("per_class", "select"), "fit": some("source_digest", "classes", "names"),
        "class_order": VALUES,
    },
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(NOTES, NOTES)
def test_notes_that_are_merged(one: Any, two: Any) -> None:
    told = merged_notes([one, two], [])
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    if one.get("figures") != two.get("figures") and told["figures"]:
        assert 0 <= told["figures"]["psnr_db"] <= 150 and told["figures"]["psnr_images"] > 0
    for source in metadata.sources(one):
        assert Reading.from_json(source.reading.to_json()) == source.reading.check()


@settings(deadline=None, max_examples=40)
@given(NOTES)
def test_notes_that_are_shown(tmp_path_factory: pytest.TempPathFactory, notes: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "notes.drr"
    with_notes(GOLDEN, path, notes)
    found = library.stats(path)
    print_stats(found)
    json.dumps(found.to_json(), allow_nan=False)
    numbers = [found.psnr_db, found.bits_per_code.all.order0, found.bits_per_code.top.lzma]
    assert all(number is None or 0 <= number < math.inf for number in numbers)


def with_notes(source: Path, path: Path, notes: Any) -> Path:
    with Reader(source) as reader:
        write(path, replace(reader.memory(), metadata=notes), overwrite=True)
    return path


def hostile(content: dict[str, Any]) -> dict[str, Any]:
    figures = {"psnr_db": BEYOND, "psnr_images": BEYOND, "psnr_on": "x"}
    rows = [{**row, "max_megapixels": BEYOND, "range": [0, BEYOND]} for row in content["sources"]]
    return {**content, "figures": figures, "sources": rows, "raw": {"per_class": BEYOND}}


def test_commands_on_such_a_file(
    drrpack: Command, context_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    with Reader(context_drr) as reader:
        notes, names = hostile(reader.metadata), list(reader.classes)
    path = with_notes(context_drr, tmp_path / "odd.drr", notes)
    assert "PSNR not measured" in drrpack("stats", path).output
    shown = json.loads(drrpack("stats", path, "--json").output)
    assert shown["psnr_db"] is None and shown["psnr_images"] == 0
    assert drrpack("preview", path, "-o", tmp_path / "grid.png").code == 0
    shutil.copytree(digits_folder / "test" / "3", tmp_path / "more" / "new")
    done = drrpack("append", path, tmp_path / "more", "--keep-entropy-model")
    assert done.code == 0, done.errors
    with Reader(path) as reader:
        assert reader.classes == [*names, "new"]


@pytest.mark.parametrize("psnr_db", [-1e5, 1e5, pytest.param(BEYOND, id="beyond"), -1, 1e308])
def test_merging_with_a_psnr_that_can_not_be(
    drrpack: Command, context_drr: Path, tmp_path: Path, psnr_db: float
) -> None:
    with Reader(context_drr) as reader:
        content, names = reader.memory(), list(reader.classes)
    paths = [tmp_path / "1.drr", tmp_path / "2.drr"]
    for path, gone in zip(paths, (names[:5], names[5:]), strict=True):
        part = drop(path, content, gone)
        figures = {"psnr_db": 20.0 if path == paths[0] else psnr_db, "psnr_images": 5}
        write(path, replace(part, metadata={**part.metadata, "figures": figures}))
    done = drrpack("merge", *paths, "-o", tmp_path / "both.drr")
    assert done.code == 0, done.errors
    assert library.stats(tmp_path / "both.drr").psnr_db is None
