"""Ctrl-C and SIGTERM at any moment, and screens that are full, in a process of its own."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])

INTERRUPTED = """
    import os, sys
    from pathlib import Path
    from drrpack.cli.main import main

    number = int(sys.argv.pop(1))
    fsync = os.fsync

    def interrupted(descriptor):
        os.kill(os.getpid(), number)
        fsync(descriptor)

    def once_more(path, **options):
        os.kill(os.getpid(), number)
        unlink(path, **options)

    os.fsync = interrupted  # the file is written, and has not got its name yet
    unlink, Path.unlink = Path.unlink, once_more  # and again while what was written is removed
    main()
"""


def run(script: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


@BOTH
def test_nothing_is_left_and_nothing_is_lost(
    own_drr: Path, tmp_path: Path, number: signal.Signals
) -> None:
    before = own_drr.read_bytes()
    for command in (["drop", own_drr, "3"], ["merge", own_drr, "-o", tmp_path / "new.drr"]):
        done = run(INTERRUPTED, int(number), *command)
        assert done.returncode == 130, done.stderr
        assert "interrupted" in done.stderr and "Traceback" not in done.stderr
        assert list(tmp_path.iterdir()) == [own_drr]
        assert own_drr.read_bytes() == before


OTHER_SIGNAL = """
    import os, signal, time
    from drrpack.cli import interrupts

    interrupts.GRACE_SECONDS = 0.1
    interrupts.install()
    signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(1)
    print("still there", flush=True)
    if {stop}:
        os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("stop", [False, True])
def test_signals_that_the_program_handles_itself_end_nothing(stop: bool) -> None:
    """A scheduler's SIGUSR1, or SIGCHLD, which PyTorch handles where workers load data."""
    done = run(OTHER_SIGNAL.replace("{stop}", str(stop)))
    assert done.stdout == "still there\n", done.stderr
    assert done.returncode == (130 if stop else 0)


WITH_PARTS = """
    import os, signal, sys
    from pathlib import Path
    from drrpack.cli import interrupts

    interrupts.install()
    for name in sys.argv[2:]:
        interrupts.goes_on(name, f"another try of {name}")
        Path(name).mkdir(exist_ok=True)
    if sys.argv[1] == "finished":
        Path(sys.argv[-1], "part").touch()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_what_is_kept_is_named_and_an_empty_new_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = run(WITH_PARTS, "nothing", "mine", "new", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    done = run(WITH_PARTS, "finished", "mine", "new", cwd=tmp_path)
    assert done.returncode == 130 and done.stderr == (
        "interrupted; finished parts are in 'new': another try of new goes on from there\n"
    )
    assert (tmp_path / "new" / "part").exists()


AFTERWARDS = """
    import atexit, os, sys
    number = int(sys.argv.pop(1))
    from drrpack.cli import main as start

    def interrupted():
        os.kill(os.getpid(), number)

    if sys.argv.pop(1) == "at exit":
        atexit.register(interrupted)
    else:
        replace, os.replace = os.replace, lambda *paths: (replace(*paths), interrupted())
    start.main()
"""


@pytest.mark.parametrize(
    ("number", "when"), [(signal.SIGINT, "in place"), (signal.SIGTERM, "at exit")]
)
def test_what_is_done_is_not_called_interrupted(
    own_drr: Path, number: signal.Signals, when: str
) -> None:
    before = own_drr.read_bytes()
    done = run(AFTERWARDS, int(number), when, "drop", own_drr, "3")
    assert done.returncode == 0, done.stderr
    assert own_drr.read_bytes() != before
    assert ("had been written" in done.stderr) == (when == "in place")


STUCK = """
    import ctypes, os, sys
    from pathlib import Path
    from drrpack.cli import interrupts
    from drrpack.formats.files.unfinished import undone_by

    where = sys.argv[1]
    interrupts.GRACE_SECONDS = 0.2
    interrupts.install()
    half = Path(sys.argv[2])
    half.write_bytes(b"half")
    lock, libc = ctypes.create_string_buffer(256), ctypes.CDLL(None)

    def never_comes_back(*_):  # a lock taken twice, in C, out of reach of Python's handlers
        os.write(1, b"hangs\\n")
        libc.pthread_mutex_lock(lock)
        libc.pthread_mutex_lock(lock)

    with undone_by(half.unlink), undone_by(never_comes_back if where == "undoing" else int):
        print("begun", flush=True)
        if where == "main":
            never_comes_back()
        while True:
            pass
"""


@pytest.mark.parametrize("where", ["main", "undoing"])
def test_a_call_that_never_comes_back(tmp_path: Path, where: str) -> None:
    """Where the main thread hangs one signal does it all; where the undoing does, a second ends."""
    half = tmp_path / "half"
    command = [sys.executable, "-c", textwrap.dedent(STUCK), where, str(half)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "begun\n"
        if where == "undoing":
            child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "hangs\n"
        time.sleep(0.3)  # longer than the grace
        assert child.poll() is None, "it ends by the next signal"
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 130
    assert half.exists() == (where == "undoing")


FORKED = """
    import os, signal, sys
    from pathlib import Path
    from drrpack.cli import interrupts
    from drrpack.formats.files.unfinished import undone_by

    interrupts.install()
    half = Path(sys.argv[1])
    half.write_bytes(b"half")
    with undone_by(half.unlink):
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
        assert half.exists(), "a fork has removed what its parent writes"
"""


def test_a_fork_leaves_alone_what_its_parent_writes(tmp_path: Path) -> None:
    done = run(FORKED, tmp_path / "half")
    assert done.returncode == 0, done.stderr


BARS = """
    import os, signal, sys
    from drrpack.cli import interrupts
    from drrpack.cli.progress import Bars

    interrupts.install()
    with Bars() as bars:
        bars.count("decoding", 1, 2)
        os.kill(os.getpid(), signal.SIGINT)
"""


def test_the_cursor_comes_back_after_progress_bars() -> None:
    screen, terminal = pty.openpty()
    command = [sys.executable, "-c", textwrap.dedent(BARS)]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(command, stdout=terminal, stderr=terminal, env=environment, timeout=120)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(screen, 4096):
            shown += part
    except OSError:  # the terminal's other end is closed
        pass
    os.close(screen)
    assert done.returncode == 130, shown
    assert shown.rfind(b"\x1b[?25l") < shown.rfind(b"\x1b[?25h"), "the cursor stays hidden"
    assert b"\x1b[?25l" in shown and shown.endswith(b"interrupted\r\n")


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_random_moments_of_the_first_second(own_drr: Path, digits_folder: Path) -> None:
    chance, before, ends = random.Random(0), own_drr.read_bytes(), set()
    output = own_drr.parent / "new"
    commands = (
        ["stats", own_drr], ["encode", digits_folder, "-o", output], ["export", own_drr, output],
        ["train", own_drr, "--out", output], ["compare", digits_folder],
    )  # fmt: skip
    for command in commands * 4:
        started = [sys.executable, "-m", "drrpack", *map(str, command)]
        with subprocess.Popen(started, stderr=subprocess.PIPE, text=True) as child:
            while not catches(child.pid, signal.SIGTERM):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.9))
            child.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
            ends.add((child.wait(60), child.stderr.read() if child.stderr else ""))
        assert own_drr.read_bytes() == before and list(own_drr.parent.iterdir()) == [own_drr]
    assert ends == {(130, "interrupted\n")}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_screen_that_is_full(own_drr: Path) -> None:
    for command in (["stats"], ["stats", "--json"], ["verify"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "drrpack", *command, str(own_drr)],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
            )  # fmt: skip
        assert done.returncode == 6, done.stderr
        assert "No space left" in done.stderr and "Traceback" not in done.stderr
