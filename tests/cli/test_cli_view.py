"""``drrpack view`` as a process: what it prints, how it ends, and when it opens a browser."""

from __future__ import annotations

import json
import os
import pty
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
        assert child.wait(100) == 0, "a signal is its usual end"
        assert child.stderr is not None and child.stderr.read() == "stopped\n"
        assert child.stdout is not None and child.stdout.read() == ""
        waiting.close()
        with pytest.raises(ConnectionRefusedError):
            ask(address)


def test_programs_learn_the_address(digits_drr: Path) -> None:
    command = [sys.executable, "-m", "drrpack", "view", str(digits_drr), "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-browser", "--quiet", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(3)]
        assert ask(json.loads("".join(lines))["address"]).status == 200
        child.send_signal(signal.SIGINT)
        assert child.wait(100) == 0 and child.stdout.read() == ""


ON_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C there goes to this process
os.execv(sys.executable, [sys.executable, "-m", "drrpack", *sys.argv[1:]])
"""


def test_on_a_terminal_its_last_word_has_a_line_of_its_own(digits_drr: Path) -> None:
    leader, screen = pty.openpty()  # which echoes Ctrl-C as ^C, without a line's end
    command = [sys.executable, "-c", ON_THE_TERMINAL, "view", str(digits_drr), "--port", "0"]
    child = subprocess.Popen(
        [*command, "--no-browser"], stdin=screen, stdout=screen, stderr=screen,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}, start_new_session=True,
    )  # fmt: skip
    os.close(screen)
    shown = b""
    while b"Ctrl-C ends it" not in shown:
        shown += os.read(leader, 1024)
    os.write(leader, b"\x03")
    assert child.wait(100) == 0
    while b"stopped" not in shown:
        shown += os.read(leader, 1024)
    os.close(leader)
    assert shown.splitlines()[-2:] == [b"^C", b"stopped"]


INTERRUPTED = """
import os, signal
from drrpack.cli.main import main
from drrpack.operations.view import View

wait = View.wait

def interrupted(page):
    os.kill(os.getpid(), signal.SIGINT)
    wait(page)

View.wait = interrupted  # as soon as it serves
main()
"""


@pytest.mark.parametrize(("options", "last_word"), [([], "stopped\n"), (["--quiet"], "")])
def test_quiet_says_nothing_at_the_end(
    digits_drr: Path, options: list[str], last_word: str
) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "view", str(digits_drr), "--port", "0"]
    done = subprocess.run(
        [*command, "--no-browser", *options], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, last_word)
    assert ("http://127.0.0.1:" in done.stdout) == (options == [])


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
