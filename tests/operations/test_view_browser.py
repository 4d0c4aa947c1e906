"""The page of `drrpack view` in Chromium: keys, history, dark and small screens, hostile names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from viewed import HOSTILE, hostile_memory

import drrpack

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

ESCAPE, RIGHT, LEFT, DOWN, TAB, ENTER = (
    "\ue00c", "\ue014", "\ue012", "\ue015", "\ue004", "\ue007",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(
    digits_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    path = tmp_path_factory.mktemp("view") / "mem.drr"
    with drrpack.view(hostile_memory(digits_drr, digits_folder, path), port=0) as page:
        yield page.address[:-1]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with chromium() as made:
        made.set_window_size(1200, 900)
        yield made


@pytest.fixture
def browser(driver: Any) -> Iterator[Any]:
    """With nothing to complain of in its log at the end: no script fails, nothing is blocked."""
    yield driver
    assert driver.get_log("browser") == []


def until(browser: Any, script: str, *arguments: object) -> Any:
    """What a script returns, once that is true."""
    end = time.monotonic() + 60
    while not (found := browser.execute_script(f"return {script}", *arguments)):
        assert time.monotonic() < end, script
        time.sleep(0.05)
    return found


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def at(browser: Any, path: str) -> None:
    until(browser, "location.pathname + location.search + location.hash === arguments[0]", path)
    until(browser, "document.readyState === 'complete'")


def focused(browser: Any) -> str:
    return str(browser.execute_script("return document.activeElement.id"))


def test_keys_between_images(browser: Any, address: str) -> None:
    browser.get(f"{address}/class/2")
    press(browser, RIGHT)
    assert focused(browser) == "i60"
    press(browser, RIGHT, RIGHT, LEFT)
    assert focused(browser) == "i61"
    press(browser, DOWN)
    below = browser.execute_script(
        "const [a, b] = ['i61', document.activeElement.id].map(id => "
        "document.getElementById(id).getBoundingClientRect()); "
        "return [b.top > a.top, Math.abs(b.left - a.left) < 5]"
    )
    assert below == [True, True]
    press(browser, ENTER)
    image = int(browser.current_url.rsplit("/", 1)[1])
    at(browser, f"/image/{image}")
    press(browser, RIGHT)
    at(browser, f"/image/{image + 1}")
    press(browser, LEFT)
    at(browser, f"/image/{image}")
    press(browser, ESCAPE)
    at(browser, f"/class/2#i{image}")
    assert focused(browser) == f"i{image}"
    press(browser, ESCAPE)
    at(browser, "/")


def test_keys_across_pages_and_classes(browser: Any, address: str) -> None:
    browser.get(f"{address}/image/149")
    press(browser, RIGHT)
    at(browser, "/image/150")
    browser.get(f"{address}/class/3")
    browser.execute_script("[...document.querySelectorAll('.grid a')].at(-1).focus()")
    press(browser, RIGHT)
    at(browser, "/class/3?page=2")
    browser.get(f"{address}/image/149")
    press(browser, ESCAPE)
    at(browser, "/class/3?page=2#i149")
    browser.get(f"{address}/image/0")
    press(browser, LEFT)
    assert browser.current_url.endswith("/image/0")


def test_the_filter(browser: Any, address: str) -> None:
    browser.get(f"{address}/file")
    press(browser, "/")
    at(browser, "/#filter")
    assert focused(browser) == "filter"
    press(browser, "t", "a", "k")
    rows = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[1].textContent)"
    until(browser, f"{rows}.length === 2")
    assert browser.execute_script(f"return {rows}") == list(HOSTILE[:2])
    assert focused(browser) == "filter" and "filter=tak" in browser.current_url
    press(browser, "/")
    until(browser, "document.querySelector('[role=status]').textContent.startsWith('0 of 10')")
    browser.get(f"{address}/?filter=ordin")
    browser.find_element("partial link text", "bytes").click()
    at(browser, "/?filter=ordin&sort=bytes")
    assert browser.execute_script(f"return {rows}") == ["ordinary"]
    heads = "[...document.querySelectorAll('th')].map(head => head.ariaSort)"
    assert browser.execute_script(f"return {heads}") == ["none"] * 3 + ["ascending", "none"]


def test_back_forward_and_reload(browser: Any, address: str) -> None:
    browser.get(f"{address}/?sort=bytes&down=1")
    names = "[...document.querySelectorAll('td.name')].map(cell => cell.textContent)"
    order = browser.execute_script(f"return {names}")
    browser.find_element("link text", "ordinary").click()
    at(browser, "/class/8")
    browser.find_element("css selector", ".grid a").click()
    at(browser, "/image/240")
    browser.back()
    at(browser, "/class/8")
    browser.back()
    at(browser, "/?sort=bytes&down=1")
    assert browser.execute_script(f"return {names}") == order
    browser.forward()
    browser.forward()
    at(browser, "/image/240")
    browser.refresh()
    at(browser, "/image/240")


def test_one_image_in_full(browser: Any, address: str) -> None:
    browser.get(f"{address}/image/95")
    until(browser, "document.querySelectorAll('dl dt').length >= 4")
    until(browser, "!document.querySelector('main').textContent.includes('So far')"
          " && document.querySelectorAll('[data-load] .grid a').length === 12")  # fmt: skip
    sizes = "[...document.querySelectorAll('.pictures img')].map(i => [i.naturalWidth, i.alt])"
    until(browser, "[...document.querySelectorAll('.pictures img')].every(i => i.complete)")
    found = browser.execute_script(f"return {sizes}")
    assert [width for width, _ in found] == [32, 32, 4, 8]
    assert found[0][1] == "Original (raw exemplar)" and found[1][1] == "Reconstruction"
    browser.execute_script("document.querySelector('details').open = true")
    numbers = browser.find_elements("css selector", "pre")
    assert [len(pre.text.split()) for pre in numbers] == [16, 64]


def test_everything_can_be_reached_by_tab(browser: Any, address: str) -> None:
    browser.get(f"{address}/image/95")
    until(browser, "document.querySelectorAll('[data-load] .grid a').length === 12")
    until(browser, "!document.querySelector('main').textContent.includes('So far')")
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('a, summary, input, button')].length"
    )
    reached: list[Any] = []
    outlines = set()
    for _ in range(wanted):
        press(browser, TAB)
        element = browser.switch_to.active_element
        reached.append(element.id)
        outlines.add(element.value_of_css_property("outline-style"))
    assert len(set(reached)) == wanted and outlines == {"solid"}


@pytest.mark.parametrize("path", ["/", "/class/0", "/image/0", "/file"])
def test_names_stay_text(browser: Any, address: str, path: str) -> None:
    browser.get(address + path)
    until(browser, "document.readyState === 'complete'")
    assert browser.title != "taken"
    scripts = browser.execute_script("return [...document.scripts].map(s => s.src)")
    assert scripts == [f"{address}/view.js"]
    if path == "/class/0":
        assert browser.find_element("css selector", "h1").text == HOSTILE[0]


def brightness(colour: str) -> float:
    red, green, blue = (float(x) for x in colour.partition("(")[2].rstrip(")").split(",")[:3])
    return red + green + blue


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark(browser: Any, address: str, scheme: str, dark: bool) -> None:
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        for path in ("/", "/class/3"):
            browser.get(address + path)
            colours = browser.execute_script(
                "const style = getComputedStyle(document.body); "
                "return [style.backgroundColor, style.color]"
            )
            assert (brightness(colours[0]) < brightness(colours[1])) == dark
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize(
    "path", ["/", "/class/3", "/class/9", "/class/3?only=raw", "/image/95", "/image/299", "/file"]
)
def test_on_a_phone_nothing_hangs_over(browser: Any, address: str, path: str) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(address + path)
        until(browser, "document.readyState === 'complete'")
        if path.startswith("/image"):
            until(browser, "document.querySelectorAll('[data-load] .grid a').length === 12")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_originals_appear_without_a_reload(
    browser: Any, digits_drr: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drrpack.operations.viewing import originals

    found: Callable[..., Any] = originals.open_originals
    go_on: list[bool] = []

    def later(*arguments: Any, **options: Any) -> Any:
        while not go_on:
            time.sleep(0.02)
        return found(*arguments, **options)

    monkeypatch.setattr(originals, "open_originals", later)
    with drrpack.view(digits_drr, source=digits_folder, port=0, report=lambda _: None) as page:
        browser.get(f"{page.address}class/1")
        until(browser, "document.body.textContent.includes('being compared')")
        assert not browser.find_elements("css selector", "img[alt^=original]")
        go_on.append(True)
        until(browser, "document.querySelectorAll('img[alt^=original]').length === 30")
        until(browser, "[...document.images].every(image => image.complete)")


def test_when_the_server_has_ended(driver: Any, digits_drr: Path) -> None:
    with drrpack.view(digits_drr, port=0) as page:
        driver.get(f"{page.address}")
        driver.execute_script(
            "const place = document.createElement('div'); place.id = 'late'; "
            "place.dataset.load = '/file'; document.body.append(place)"
        )
    driver.execute_script("load(document.querySelector('#late'))")
    until(driver, "document.querySelector('#late').textContent.includes('start `drrpack view`')")
    driver.get_log("browser")  # it tells of the refused connection
