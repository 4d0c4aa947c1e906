"""What many tests share: a small image folder and ``.drr`` files made of it, once a session.

`digits_drr` is what a user of many images gets by default: the codec that comes along, with its
context model, at quality 75. `bitswap_drr` holds the same images by Bit-Swap. A test of what must
hold for both takes `each_drr`; one that is about neither takes `context_drr`, which costs a tenth
of the time to read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# Networks this small lose more time between threads than in them, in child processes, too. What
# is about threads sets their number itself. Threads that wait sleep: by default they keep a
# processor busy that the thread they wait for may need.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import pytest
import torch
from command import Command
from hypothesis import settings

settings.register_profile("drrpack", deadline=None)  # that a machine is busy is no fault
settings.load_profile("drrpack")


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where drrpack remembers folders while tests run, child processes included: not at home.

    Nor does it keep there what it fetched; the tests of that cache choose a folder of their own.
    """
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRRPACK_STATE", str(folder))
        patch.setenv("DRRPACK_CACHE_BYTES", "0")
        yield folder


@pytest.fixture(autouse=True)
def remembered(state: Path) -> Iterator[Path]:
    """What is remembered, as it was before each test: one has no copies of another's in mind."""
    file = state / "sources.json"
    before = file.read_bytes() if file.exists() else b"{}"
    yield file
    file.write_bytes(before)


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits: train/ and test/, 10 classes, 30 and 8 pictures of 32 x 32 each."""
    from tiny_memory import write_digits

    return write_digits(tmp_path_factory.mktemp("digits") / "digits")


@pytest.fixture(scope="session")
def digits_drr(digits_folder: Path) -> Path:
    """The folder as a ``.drr`` file; read only, as all tests share it.

    So few images would get a table of frequencies by default.
    """
    from tiny_memory import encode_tiny

    output = digits_folder.parent / "digits.drr"
    return encode_tiny(digits_folder, output, fit="no", entropy="context")


@pytest.fixture(scope="session")
def bitswap_drr(digits_folder: Path) -> Path:
    """The same by Bit-Swap: a codec of a few kilobytes, with the nearest codes; read only, too."""
    from tiny_memory import GOLDEN_BITSWAP, encode_tiny

    return encode_tiny(digits_folder, digits_folder.parent / "bitswap.drr", codec=GOLDEN_BITSWAP)


@pytest.fixture(scope="session")
def context_drr(digits_folder: Path) -> Path:
    """The same by a context model of a few kilobytes, where nothing is about the codec."""
    from tiny_memory import GOLDEN_CONTEXT, encode_tiny

    return encode_tiny(digits_folder, digits_folder.parent / "context.drr", codec=GOLDEN_CONTEXT)


@pytest.fixture(scope="session")
def fitted_drr(digits_folder: Path) -> Path:
    """The same by a codec that was fitted to the first five classes; read only, too."""
    from tiny_memory import encode_tiny

    return encode_tiny(digits_folder, digits_folder.parent / "fitted.drr", epochs=1)


@pytest.fixture(scope="session", params=["context", "bitswap"])
def each_drr(request: pytest.FixtureRequest, digits_drr: Path) -> Path:
    """The one and the other."""
    if request.param == "context":
        return digits_drr
    found: Path = request.getfixturevalue("bitswap_drr")
    return found


@pytest.fixture
def own_drr(digits_drr: Path, tmp_path: Path) -> Path:
    """A copy of the file that a test may damage or move."""
    return Path(shutil.copy(digits_drr, tmp_path / "mem.drr"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def drrpack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with lines so long that no message is broken."""
    monkeypatch.setenv("COLUMNS", "300")
    return Command(monkeypatch, capsys)
