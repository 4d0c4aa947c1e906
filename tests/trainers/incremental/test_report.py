"""The page: what stands in it, and what a real browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from chromium import chromium
from command import Command
from protocol_data import SMALL, DigitsData, run
from tiny_memory import GOLDEN_CONTEXT

from drrpack import report, stats
from drrpack.core.errors import OptionError, OutputError, SourceError
from drrpack.formats.pages.look import style
from drrpack.trainers.incremental.chart import Point, Series, chart
from drrpack.trainers.incremental.report import find_results, write_report
from drrpack.trainers.incremental.report_memory import megabytes
from drrpack.trainers.incremental.rundir import check_run

RUNS = [("drr", 2, 0), ("drr", 2, 1), ("drr", 3, 0), ("ub", 2, 0), ("er", 2, 0)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    data = DigitsData(8)
    data.classes[3] = "<b>three</b> & co"
    for method, phases, seed in RUNS:
        options = SMALL | {"phases": phases, "seed": seed, "test_view": "both"}
        run(data, method, out=folder / f"{method}-{phases}-{seed}", **options)
    return folder


@pytest.fixture(scope="module")
def page(runs: Path, digits_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(find_results([runs]), path, digits_drr)
    return path


class Reader(HTMLParser):
    """Text of all table cells, and every address in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:  # those without an end lie above it
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    return reader


def test_it_holds_the_numbers_of_the_runs(page: Path, runs: Path) -> None:
    cells = read(page).cells
    results = {path.name: json.loads((path / "result.json").read_text()) for path in runs.iterdir()}
    one = results["ub-2-0"]
    assert f"{one['average_accuracy']:.2f}" in cells
    two = [results[f"drr-2-{seed}"]["last_accuracy"] for seed in (0, 1)]
    deviation = abs(two[0] - two[1]) / 2**0.5
    assert f"{sum(two) / 2:.2f} ± {deviation:.2f}" in cells
    assert f"{one['memory_bytes']['total'] / 1e6:.3f}" in cells  # small ones have two digits
    assert f"{one['through_codec']['last_accuracy']:.2f}" in cells
    both = [results[f"drr-2-{seed}"]["forgetting"] for seed in (0, 1)]
    assert f"{sum(both) / 2:.2f} ± {abs(both[0] - both[1]) / 2**0.5:.2f}" in cells


def test_it_holds_the_bits_of_the_memory(page: Path, digits_drr: Path) -> None:
    cells = read(page).cells
    bits = stats(digits_drr).bits_per_code
    for name, level in (("top", bits.top), ("bottom", bits.bottom), ("both", bits.all)):
        start = cells.index(name)
        shown = [f"{value:.3f}" for value in (level.coded, level.order0, level.lzma)]
        assert cells[start + 1 : start + 4] == shown


def test_names_are_text_and_nothing_is_loaded(page: Path) -> None:
    reader = read(page)
    assert "<b>three</b> & co" in reader.cells
    assert all(address.startswith("data:") for address in reader.addresses)
    assert not re.search(r"https?://(?!www\.w3\.org)", page.read_text("utf-8"))


@pytest.mark.parametrize("name", ["page", "page.docx", "page.drr"])
def test_a_page_is_called_one(runs: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"end its name in \.html for the page, or in \.png"):
        report(runs, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_sizes_of_small_memories_are_told() -> None:
    assert [megabytes(size) for size in (None, 0, 3_749, 99_999, 184_270, 5_000_000)] == [
        "-", (0, "0.00"), (3_749, "0.0037"), (99_999, "0.1"), (184_270, "0.18"),
        (5_000_000, "5.00"),
    ]  # fmt: skip


def test_class_changes(page: Path, runs: Path) -> None:
    result = json.loads((runs / "er-2-0" / "result.json").read_text())
    place = result["class_order"].index(
        2
    )  # the seventh of ten: phase 1 of two after a base of four
    new, last = (result["phases"][k]["class_accuracy"][place] for k in (1, -1))
    cells = read(page).cells
    assert [f"{new:.1f}", f"{last:.1f}", f"{last - new:+.1f}"] in [
        cells[k + 1 : k + 4] for k, cell in enumerate(cells) if cell == "digit 2"
    ]


def test_results_are_found_once(runs: Path, tmp_path: Path) -> None:
    assert len(find_results([runs])) == len(RUNS)
    assert len(find_results([runs, runs / "ub-2-0", runs / "ub-2-0" / "result.json"])) == len(RUNS)
    for memory in (GOLDEN_CONTEXT, shutil.copy(GOLDEN_CONTEXT, tmp_path / "no-suffix")):
        with pytest.raises(SourceError, match=r"found a memory, .*`drrpack train .* --out run`"):
            find_results([runs, Path(memory)])
    with pytest.raises(SourceError, match=r"holds no result.json"):
        find_results([tmp_path])
    with pytest.raises(SourceError, match=r"absent: found nothing there, expected .*check the"):
        find_results([runs, tmp_path / "absent"])
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(SourceError, match="lacks"):
        find_results([tmp_path])


def test_a_training_that_left_no_result_is_unfinished(tmp_path: Path) -> None:
    """It was interrupted in its first phase, or several processes spread its phases."""
    folder = tmp_path / "study" / "drr-2phases-seed0"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{}")
    with pytest.raises(SourceError, match=r"unfinished, with no checkpoint yet: .*`resume=True`"):
        find_results([tmp_path])
    phases = tmp_path / "study" / "phases"
    phases.mkdir()
    for name in ("drr-0004-ab.pt", "drr-0007-cd.pt"):
        (phases / name).touch()
    (tmp_path / "study" / "run.toml").touch()
    found = "holds no result.json, but a training that is unfinished, with checkpoints of 2 phases"
    how = f"`drrpack train --config {tmp_path}/study/run.toml --out {tmp_path}/study --resume`"
    with pytest.raises(SourceError, match=re.escape(f"{found}: {how}")):
        find_results([tmp_path / "study"])
    with pytest.raises(OutputError, match=re.escape(how)):
        check_run(tmp_path / "study", {}, resume=False)


def test_runs_that_all_are_unfinished_go_on(runs: Path, tmp_path: Path) -> None:
    """A killed run has the result of the phases so far, and those of several lie below the options
    of all."""
    found = json.loads((runs / "er-2-0" / "result.json").read_text("utf-8"))
    half = found | {"complete": False, "phases": found["phases"][:1]}
    one, study = tmp_path / "one", tmp_path / "study"
    folders = [one, study / "er-2phases-seed0", study / "er-2phases-seed1"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(half))
    with pytest.raises(OptionError, match=r"none of these runs is complete yet$"):
        find_results([one])
    for folder in (one, study):
        (folder / "run.toml").touch()
        (folder / "phases").mkdir()
        (folder / "phases" / "er-0004-ab.pt").touch()
    for folder in folders:
        (folder / "settings.json").write_text("{}")
    for place, first in ((one, one), (study, folders[1]), (folders[2], folders[2])):
        root = one if place == one else study
        how = f"`drrpack train --config {root}/run.toml --out {root} --resume` goes on with it"
        said = f"the first, in {first}, is a training that is unfinished, with checkpoints of 1 ph"
        with pytest.raises(OptionError, match=f"{re.escape(said)}ase: {re.escape(how)}"):
            find_results([place])
    assert len(find_results([one, runs / "er-2-0"])) == 2


def test_recipes_never_share_a_page(runs: Path, tmp_path: Path) -> None:
    results = find_results([runs])
    results[0] = replace(results[0], epochs=99)
    with pytest.raises(OptionError, match="can't share"):
        write_report(results, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_runs_under_way_stand_apart(runs: Path, page: Path, tmp_path: Path) -> None:
    results = find_results([runs])
    one = replace(results[0], phases=results[0].phases[:2], complete=False)
    write_report([one, *results[1:]], tmp_path / "some.html")
    assert read(tmp_path / "some.html").cells.count("no") == 1
    with pytest.raises(OptionError, match="none of these runs is complete"):
        write_report([one], tmp_path / "x.html")


def test_the_command_says_how_many_are_on_the_page(
    drrpack: Command, runs: Path, tmp_path: Path
) -> None:
    half = json.loads((runs / "er-2-0" / "result.json").read_text("utf-8"))
    half |= {"complete": False, "phases": half["phases"][:2]}
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "result.json").write_text(json.dumps(half))
    done = drrpack("report", runs, tmp_path / "half", "-o", tmp_path / "page.html")
    told = " ".join((done.output + done.errors).split())
    assert f"{len(RUNS)} runs in" in told and "and 1 not complete, in the list of runs" in told


# --- charts --------------------------------------------------------------------------------------


def elements(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search("<svg.*</svg>", svg, re.S)[0])  # type: ignore[index]


def test_points_lie_where_the_axes_say() -> None:
    series = [Series("a", [Point(50, 20.0), Point(100, 60.0, 40.0, 80.0)])]
    root = elements(chart(series, "x", "y", lines=True))
    ticks = {t.text: t for t in root.iter("text") if "tick" in (t.get("class") or "")}
    circles = list(root.iter("circle"))
    for circle, (x, y) in zip(circles, [("50", "20"), ("100", "60")], strict=True):
        row = next(t for t in root.iter("text") if t.get("class") == "tick y" and t.text == y)
        column = next(t for t in root.iter("text") if t.get("class") == "tick x" and t.text == x)
        assert float(circle.get("cx", 0)) == float(column.get("x", 0))
        assert float(circle.get("cy", 0)) == pytest.approx(float(row.get("y", 0)) - 4)
    assert len(ticks) >= 6 and len(list(root.iter("polygon"))) == 1


def test_no_two_of_many_series_look_alike() -> None:
    series = [Series(f"s{n}", [Point(n, n), Point(n + 1, n)]) for n in range(24)]
    looks = re.findall(r'class="line ([^"]*)"', chart(series, "x", "y", lines=True))
    assert len(set(looks)) == 24
    own = (files("drrpack.trainers.incremental") / "report.html").read_text("utf-8")
    rules = style() + own
    for name in {part for look in looks for part in look.split()}:
        assert f".{name} {{" in rules


@pytest.mark.parametrize("value", [0.0, 1e-9, 3.0, 100.0, 12345.678, -4.0])
def test_a_single_point_has_axes(value: float) -> None:
    root = elements(chart([Series("<&>", [Point(value, value)])], "x", "y", lines=False))
    assert len(list(root.iter("circle"))) == 1 and len(list(root.iter("line"))) >= 2


def test_equal_factors_are_equally_far_apart() -> None:
    series = [Series("a", [Point(x, 1.0) for x in (0.7, 7.0, 70.0)])]
    root = elements(chart(series, "x", "y", lines=False, by_factors=True))
    places = [float(circle.get("cx", 0)) for circle in root.iter("circle")]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    ticks = [t for t in root.iter("text") if t.get("class") == "tick x"]
    assert [t.text for t in ticks] == ["0.5", "1", "2", "5", "10", "20", "50", "100"]
    at = {t.text: float(t.get("x", 0)) for t in ticks}
    assert at["10"] - at["1"] == pytest.approx(places[1] - places[0], abs=0.2)
    assert places[0] < at["1"] < places[1] < at["10"]


def test_charts_side_by_side_look_alike(page: Path) -> None:
    """A method has one look in both, and one height is one accuracy."""
    text = page.read_text("utf-8").partition("<h2>Accuracy by phase")[2].partition("<h2>")[0]
    figures = text.split("<figure>")[1:]
    assert len(figures) == 2
    looks = [
        {name: look for look, name in re.findall(r'class="key ([^"]*)"></span>([^<]*)<', figure)}
        for figure in figures
    ]
    shared = looks[0].keys() & looks[1].keys()
    assert shared and all(looks[0][name] == looks[1][name] for name in shared)
    heights = [re.findall(r'class="tick y"[^>]*>([^<]*)<', figure) for figure in figures]
    assert heights[0] == heights[1]


# --- a real browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.mark.slow
def test_in_a_browser(browser: Any, page: Path) -> None:
    browser.set_window_size(1200, 1000)
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    column = "[...document.querySelectorAll('table')[2].tBodies[0].rows].map(r => r.cells[{}].{})"
    names = browser.execute_script(f"return {column.format(0, 'textContent')}")
    heads = browser.find_elements("css selector", "table")[2].find_elements("css selector", "th")
    heads[0].find_element("css selector", "button").click()
    again = browser.execute_script(f"return {column.format(0, 'textContent')}")
    assert again == sorted(names) and heads[0].get_attribute("aria-sort") == "ascending"
    heads[-1].find_element("css selector", "button").click()
    heads[-1].find_element("css selector", "button").click()
    totals = browser.execute_script(f"return {column.format(len(heads) - 1, 'dataset.value')}")
    numbers = [float(total) for total in totals]
    assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) > 1
    assert [head.get_attribute("aria-sort") for head in (heads[0], heads[-1])] == [
        "none", "descending",
    ]  # fmt: skip
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_on_a_phone_nothing_hangs_over(browser: Any, page: Path) -> None:
    size = {"width": 375, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 375
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
