"""``drrpack view`` as a process: what it prints, how it ends, and when it opens a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import Command
from viewed import ask

from drrpack.operations.view import View

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def started(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "drrpack", "view", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found is not None, (line, child.stderr.read() if child.stderr else "")
            yield child, found[0]
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(digits_drr: Path, number: signal.Signals) -> None:
    with started(digits_drr, "--port", "0", "--no-browser") as (child, address):
        assert ask(address).status == 200
        waiting = socket.create_connection(("127.0.0.1", int(address.split(":")[2][:-1])))
        child.send_signal(number)
        assert child.wait(30) == 130
        assert child.stderr is not None and child.stderr.read() == "interrupted\n"
        assert child.stdout is not None and child.stdout.read() == ""
        waiting.close()
        with pytest.raises(ConnectionRefusedError):
            ask(address)


def test_what_it_refuses(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = drrpack.refused("view", digits_drr, "--port", str(port), naming=("--port 0",))
        assert told.startswith(f"error: --port {port}: it can't be used (Address already in use)")
    drrpack.refused("view", digits_drr, "--port", "65536", naming=("--port 65536",))
    drrpack.refused("view", digits_drr, "--port", "-1", naming=("--port -1",))
    drrpack.refused("view", tmp_path / "absent.drr", naming=("absent.drr",))
    (tmp_path / "notes.txt").write_text("no memory")
    drrpack.refused("view", tmp_path / "notes.txt", naming=("notes.txt",), code=3)


@pytest.mark.parametrize(
    ("options", "screen", "opened"),
    [((), True, True), (("--no-browser",), True, False), ((), False, False)],
)
def test_the_browser(
    drrpack: Command, digits_drr: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], screen: bool, opened: bool,
) -> None:  # fmt: skip
    shown: list[str] = []

    def open_one(address: str, *_: Any) -> bool:
        assert ask(address).status == 200, "it is served before it is opened"
        shown.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", open_one)
    monkeypatch.setattr(View, "wait", lambda self: None)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", ":0")
    done = drrpack("view", digits_drr, "--port", "0", *options)
    assert done.code == 0 and done.errors == ""
    assert done.output.startswith(f"{digits_drr}: http://127.0.0.1:")
    assert len(shown) == opened and all(address in done.output for address in shown)
