"""The page of `drrpack view` as a server sends it: addresses, headers, refusals, hostile names."""

from __future__ import annotations

import http.client
import io
import os
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image
from viewed import HOSTILE, KEPT, Answer, Page, ask, hostile_memory, spread

import drrpack
from drrpack import DRRDataset, MissingError, OptionError
from drrpack.formats.container import Reader
from drrpack.formats.raw import read_raw

pytestmark = pytest.mark.usefixtures("one_thread")

PAGES = (
    "/", "/?sort=bytes&down=1", "/?filter=taken", "/class/0", "/class/2", "/class/3?page=2",
    "/class/3?only=raw", "/class/5", "/image/0", "/image/95", "/image/95?among=file", "/facts/95",
    "/nearest/95", "/file", "/originals",
)  # fmt: skip


@pytest.fixture(scope="module")
def memory(digits_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_memory(digits_drr, digits_folder, tmp_path_factory.mktemp("view") / "mem.drr")


@pytest.fixture(scope="module")
def address(memory: Path) -> Iterator[str]:
    with drrpack.view(memory, port=0) as page:
        yield page.address


@pytest.fixture(scope="module")
def decoded(memory: Path) -> np.ndarray:  # type: ignore[type-arg]
    """All images (300, 32, 32, 3), by one call of the network."""
    return DRRDataset(memory).to_numpy()[0]


def pixels(answer: Answer) -> np.ndarray:  # type: ignore[type-arg]
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


# --- what is there ---


@pytest.mark.parametrize("target", PAGES)
def test_every_page_is_whole_and_every_address_on_it_is_there(address: str, target: str) -> None:
    answer = ask(address, target)
    assert answer.status in (200, 202) and answer.headers["Content-Type"].startswith("text/html")
    found = answer.page
    links = {v for v in found.values("href", "src", "data-load", "action") if not v.startswith("#")}
    assert len(links) >= 5 and all(link.startswith("/") for link in links)
    waiting = {link for link in links if link.startswith(("/facts", "/nearest"))}
    for link in sorted(links - waiting)[:: max(1, len(links) // 12)]:
        assert ask(address, link).status in (200, 202), link
    assert all(given.get("alt") for name, given in found.elements if name == "img")
    ids = Counter(found.values("id"))
    assert ids and max(ids.values()) == 1


def test_a_class_page_shows_its_images(
    address: str,
    memory: Path,
    decoded: np.ndarray,  # type: ignore[type-arg]
) -> None:
    dataset = DRRDataset(memory)
    labels = dataset.targets
    for number, pages in ((3, 2), (0, 1)):
        shown: list[str] = []
        for at in range(1, pages + 1):
            found = ask(address, f"/class/{number}?page={at}").page
            shown += [v for v in found.values("src") if v.endswith("reconstruction.png")]
        numbers = [int(source.split("/")[3]) for source in shown]
        assert numbers == [n for n, label in enumerate(labels) if label == number]
        assert ask(address, f"/class/{number}?page={pages + 1}").status == 404
    for image in spread(len(dataset)):
        digest = dataset.reader.fingerprint[:16]
        answer = ask(address, f"/picture/{digest}/{image}/reconstruction.png")
        np.testing.assert_array_equal(pixels(answer), decoded[image])
        assert "immutable" in answer.headers["Cache-Control"]


def test_raw_exemplars_stand_beside_their_images(
    address: str,
    memory: Path,
    decoded: np.ndarray,  # type: ignore[type-arg]
) -> None:
    found = ask(address, "/class/3?only=raw").page
    sources = [v for v in found.values("src") if v.startswith("/picture")]
    assert [v.split("/")[4] for v in sources] == ["original.png", "reconstruction.png"] * len(KEPT)
    with Reader(memory) as reader:
        exemplars = read_raw(reader, 3)
    for raw, source in zip(exemplars.images, sources[::2], strict=True):
        np.testing.assert_array_equal(pixels(ask(address, source)), raw)
        image = int(source.split("/")[3])
        squares = ((raw.astype(float) - decoded[image].astype(float)) ** 2).mean()
        psnr = 10 * np.log10(255**2 / squares)
        assert f"{psnr:.2f} dB, against the raw exemplar" in ask(address, f"/facts/{image}").text
    assert "not known" in ask(address, "/facts/0").text


def test_the_file_page_has_the_figures_of_stats(address: str, memory: Path) -> None:
    found, text = drrpack.stats(memory), ask(address, "/file").page.text
    parts = found.bytes
    for size in (parts.payload, parts.vqvae, parts.entropy_model, parts.raw, parts.container):
        assert f"{size:,} bytes, {100 * size / memory.stat().st_size:.1f} %" in text
    for bits in (found.bits_per_code.top, found.bits_per_code.bottom, found.bits_per_code.all):
        assert f"{bits.coded:.3f}" in text
    rects = [given for name, given in ask(address, "/file").page.elements if name == "rect"]
    assert sum(float(one["width"]) for one in rects) == pytest.approx(1000, abs=0.05)


def test_nearest_images_come_in_the_end(address: str) -> None:
    end = time.monotonic() + 120
    while (answer := ask(address, "/nearest/95")).status == 202:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert answer.status == 200 and "So far" not in answer.page.text
    assert "all 299 other images of the file" in answer.page.text
    assert sum(v.endswith("reconstruction.png") for v in answer.page.values("src")) == 12


def test_the_mean_of_a_class_where_no_image_has_a_part(bitswap_drr: Path) -> None:
    with drrpack.view(bitswap_drr, port=0) as page:
        text = ask(page.address, "/facts/0").page.text
        row = next(iter(ask(page.address, "/class/0").page.text.split("streams of ")[1].split()))
        assert f"{int(row.replace(',', '')) / 30:.1f} on average" in text
        assert "no part of a stream is one image's" in text


def test_originals_that_are_checked_while_the_page_is_there(
    digits_drr: Path, digits_folder: Path
) -> None:
    with drrpack.view(digits_drr, source=digits_folder, port=0, report=lambda _: None) as page:
        end = time.monotonic() + 60
        while ask(page.address, "/originals").status == 202:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert str(digits_folder) in ask(page.address, "/originals").page.text
        sources = ask(page.address, "/class/1").page.values("src")
        assert sum(v.endswith("original.png") for v in sources) == 30


# --- what is not ---

NOTHING = (
    "/nothing", "/class/", "/class/10", "/class/-1", "/class/1e1", "/class/٣", "/class/3x",
    "/image/300", "/image/-1", "/image/9999999999999999999999", "/image/0x1", "/image/",
    "/facts/300",
    "/nearest/300", "/class/0?page=0", "/class/0?page=2", "/class/0?page=-1", "/class/0?page=a",
    "/?page=2", "/?sort=nothing", "/?sort=__class__", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd", "/style.css/../../view.py", "/picture/0123456789abcdef/0/top.png",
    "/picture/../../0/top.png", "//example.com/", "/page.html", "/view.css", "/http://[",
    "/?" + "a=1&" * 50,
    "http://[/", "/class/3\\..", "/\x00",
)  # fmt: skip


@pytest.mark.parametrize("target", NOTHING)
def test_addresses_of_nothing(address: str, target: str) -> None:
    host = urlsplit(address)
    with socket.create_connection((host.hostname or "", host.port or 0), timeout=30) as raw:
        request = f"GET {target} HTTP/1.1\r\nHost: {host.netloc}\r\nConnection: close\r\n\r\n"
        raw.sendall(request.encode())
        head, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == 404 and b"root:" not in body
    assert b"Traceback" not in body


def test_a_picture_of_another_file_or_one_that_is_not_there(address: str, memory: Path) -> None:
    digest = DRRDataset(memory).reader.fingerprint[:16]
    assert ask(address, f"/picture/{digest}/0/top.png").status == 200
    for target in (
        f"/picture/{digest}/300/top.png", f"/picture/{digest}/0/middle.png",
        f"/picture/{digest}/0/original.png", f"/picture/{digest}/0/../0/top.png",
        f"/picture/{'0' * 16}/0/top.png", f"/picture/{digest}/-1/top.png",
    ):  # fmt: skip
        assert ask(address, target).status == 404, target


# --- who may ask, and how ---


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:{port}", 200), ("localhost:{port}", 200), ("LOCALHOST", 200), ("localhost:9", 200),
     ("evil.example", 403), ("evil.example:{port}", 403), ("127.0.0.1.evil.example", 403),
     ("localhost.evil.example:{port}", 403), ("127.0.0.1@evil.example", 403), ("", 403),
     ("localhost:80:80", 403), ("0.0.0.0:{port}", 403), ("[::1]:{port}", 403),
     ("127.0.0.1:x", 403)],
)  # fmt: skip
def test_hosts(address: str, host: str, status: int) -> None:
    given = host.format(port=urlsplit(address).port)
    for target in ("/", "/style.css", "/image/0"):
        answer = ask(address, target, headers={"Host": given})
        assert answer.status == status, given
        assert status == 200 or HOSTILE[8] not in answer.text


def test_a_request_without_a_host_or_with_two(address: str) -> None:
    assert ask(address, headers={}).status == 400
    host = urlsplit(address)
    with socket.create_connection((host.hostname or "", host.port or 0), timeout=30) as raw:
        twice = f"Host: {host.netloc}\r\nHost: evil.example\r\n"
        raw.sendall(f"GET / HTTP/1.1\r\n{twice}Connection: close\r\n\r\n".encode())
        assert raw.recv(4096).split()[1] == b"400"


@pytest.mark.parametrize("target", ["/", "/file", "/style.css", "/nothing"])
def test_head_has_the_headers_and_no_body(address: str, target: str) -> None:
    whole, head = ask(address, target), ask(address, target, "HEAD")
    assert head.body == b"" and head.status == whole.status
    assert int(head.headers["Content-Length"]) == len(whole.body) > 0
    assert set(head.headers) == set(whole.headers)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
)
def test_other_methods(address: str, method: str) -> None:
    answer = ask(address, "/", method)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("target", [*PAGES, "/nothing", "/style.css"])
def test_the_policy_for_content(address: str, target: str) -> None:
    answer = ask(address, target)
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'" and "unsafe" not in str(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers
    if target != "/style.css":
        scripts = [given for name, given in answer.page.elements if name == "script"]
        assert scripts == [{"src": "/view.js", "defer": ""}]
        attributes = {name for _, given in answer.page.elements for name in given}
        assert not {name for name in attributes if name.startswith("on") or name == "style"}


def test_many_at_once(
    address: str,
    memory: Path,
    decoded: np.ndarray,  # type: ignore[type-arg]
) -> None:
    digest = DRRDataset(memory).reader.fingerprint[:16]
    wanted = [(n * 37) % 300 for n in range(80)]
    with ThreadPoolExecutor(16) as pool:
        targets = [f"/picture/{digest}/{n}/reconstruction.png" for n in wanted]
        answers = list(pool.map(lambda target: ask(address, target), targets))
    for number, answer in zip(wanted, answers, strict=True):
        np.testing.assert_array_equal(pixels(answer), decoded[number])


def test_it_listens_on_this_machine_alone(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
    port = urlsplit(address).port or 0
    socket.create_connection(("127.0.0.1", port), timeout=30).close()
    with pytest.raises(OSError):  # another address of this machine, whatever network it has
        socket.create_connection(("127.0.0.2", port), timeout=5)


# --- names that mean harm ---

ALLOWED = {*re.findall("[a-z0-9]+", (
    "html head meta title link script body a header nav p kbd main h1 h2 h3 svg rect ul ol li span "
    "div form label input button table thead tbody tr th td bdi figure figcaption img dl dt dd "
    "details summary pre code strong"
))}  # fmt: skip


@pytest.mark.parametrize("target", PAGES)
def test_no_name_becomes_an_element(address: str, target: str) -> None:
    found = ask(address, target).page
    assert {name for name, _ in found.elements} <= ALLOWED
    pictures = [given for name, given in found.elements if name == "img"]
    assert all(given["src"].startswith("/picture/") for given in pictures)


def test_names_are_shown(address: str) -> None:
    text = ask(address).page.text
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[3], HOSTILE[5], HOSTILE[7], HOSTILE[9]):
        assert name in text
    assert r"new\nline\tand \x1b[31m" in text and r"\u202eright to left" in text
    assert "'   '" in text
    for number, name in enumerate(HOSTILE):
        heading = ask(address, f"/class/{number}").page
        titles = [one for one, _ in heading.elements if one == "title"]
        assert len(titles) == 1 and (name in heading.text or repr(name)[1:-1] in heading.text)


def test_what_is_searched_for_is_escaped(address: str) -> None:
    wanted = '"><script>alert(1)</script>'
    answer = ask(address, f"/?filter={quote(wanted)}")
    (filled,) = [g for name, g in answer.page.elements if name == "input" and g["name"] == "filter"]
    assert filled["value"] == wanted and "0 of 10 classes" in answer.page.text
    assert {name for name, _ in answer.page.elements} <= ALLOWED
    nowhere = ask(address, f"/{quote(wanted)}?{wanted.replace(' ', '')}").page
    assert {name for name, _ in nowhere.elements} <= ALLOWED


# --- a file that changes while it is viewed ---


def test_a_file_that_changes(own_drr: Path, memory: Path) -> None:
    with drrpack.view(own_drr, port=0) as page:
        digest = DRRDataset(own_drr).reader.fingerprint[:16]
        picture = f"/picture/{digest}/0/reconstruction.png"
        assert ask(page.address, picture).status == 200
        shutil.copy(memory, own_drr.parent / "new")
        os.replace(own_drr.parent / "new", own_drr)
        changed = ask(page.address, "/class/3")
        assert changed.status == 409 and "found another content than before" in changed.page.text
        assert "60 images" in ask(page.address, "/class/3").page.text
        assert ask(page.address, picture).status == 404, "the picture of another file"


@pytest.mark.parametrize(
    ("harm", "status", "words"),
    [("gone", 404, "put it back"), ("cut", 500, "the file is damaged"),
     ("other", 500, "not a .drr")],
)  # fmt: skip
def test_a_file_that_is_harmed(own_drr: Path, harm: str, status: int, words: str) -> None:
    content = own_drr.read_bytes()
    with drrpack.view(own_drr, port=0) as page:
        assert ask(page.address, "/").status == 200
        if harm == "gone":
            own_drr.unlink()
        else:
            own_drr.write_bytes(content[:5000] if harm == "cut" else b"something else")
        for target in ("/", "/image/3", "/file"):
            answer = ask(page.address, target)
            assert answer.status == status and words in answer.page.text, answer.text
            assert "Traceback" not in answer.text and str(own_drr) in answer.page.text
        own_drr.write_bytes(content)
        assert ask(page.address, "/").status == 200, "it is back"


# --- the function ---


def test_ports(own_drr: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=rf"`port={port}`: .*expected a free port") as caught:
            drrpack.view(own_drr, port=port)
        assert caught.value.option == "port"
    with drrpack.view(own_drr, port=port) as page:
        assert page.address == f"http://127.0.0.1:{port}/"
    with drrpack.view(own_drr, port=port):
        pass
    for wrong in (-1, 65_536):
        with pytest.raises(OptionError, match=f"`port={wrong}`"):
            drrpack.view(own_drr, port=wrong)


def test_closing(own_drr: Path) -> None:
    page = drrpack.view(own_drr, port=0)
    assert ask(page.address).status == 200
    host = urlsplit(page.address)
    kept = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)
    kept.request("GET", "/")
    assert kept.getresponse().read()
    page.close()
    page.close()
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        kept.request("GET", "/")
        kept.getresponse()
    kept.close()
    page.wait()
    with pytest.raises(ConnectionRefusedError):
        ask(page.address)


def test_what_can_not_be_viewed(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"absent\.drr"):
        drrpack.view(tmp_path / "absent.drr", port=0)
    (tmp_path / "notes.txt").write_text("no memory")
    with pytest.raises(drrpack.FormatError, match=r"notes\.txt"):
        drrpack.view(tmp_path / "notes.txt", port=0)


def test_an_address_of_a_file(own_drr: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://view/mem.drr", "wb") as remote:
        remote.write(own_drr.read_bytes())
    with drrpack.view("memory://view/mem.drr", port=0) as page:
        assert "300 images" in ask(page.address).page.text
        assert ask(page.address, "/facts/0").status == 200


def test_the_parser_of_these_tests_sees_elements() -> None:
    found = Page()
    found.feed("<p onclick='x'>a<script>b</script></p>")
    assert found.elements == [("p", {"onclick": "x"}), ("script", {})] and "a" in found.text
