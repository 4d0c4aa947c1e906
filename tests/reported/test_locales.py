"""Reported: composer/composer#7303: under a Turkish locale an i that was no i broke the program;
other programs ended where the locale was plain C and a name was not.

Right: locale, time zone and the encoding of the terminal change no byte of a memory, no class and
no order, and end no command.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from samples import contents, folder, run

NAMES = ["I\u0131", "TITLE", "caf\u00e9", "iI", "\u0130stanbul", "\U0001f98a"]  # as text sorts
PLACES = {
    "turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Europe/Istanbul"},
    "plain": {"LC_ALL": "C", "LANG": "C", "TZ": "Asia/Kathmandu"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},  # names are bytes
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("locales") / "src", *NAMES, images=1)


@pytest.fixture(scope="module")
def expected(source: Path) -> Path:
    output = source.parent / "here.drr"
    assert run("encode", source, "-o", output).returncode == 0
    assert contents(output)[0] == sorted(NAMES) == NAMES
    return output


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("turkish", "plain")]


@pytest.mark.parametrize("place", ["ascii", *SLOW])
def test_it_is_the_same_file(source: Path, expected: Path, tmp_path: Path, place: str) -> None:
    output = tmp_path / "there.drr"
    done = run("encode", source, "-o", output, env=PLACES[place], errors="replace")
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == expected.read_bytes()


def test_an_export_has_the_names(expected: Path, tmp_path: Path) -> None:
    done = run("export", expected, tmp_path / "out", env=PLACES["ascii"], errors="replace")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(NAMES)


def test_names_are_typed_in_any_locale(expected: Path, tmp_path: Path) -> None:
    for place in ("turkish", "plain"):
        copy = Path(shutil.copy(expected, tmp_path / f"{place}.drr"))
        done = run("drop", copy, NAMES[2], NAMES[4], env=PLACES[place], errors="replace")
        assert done.returncode == 0, done.stderr
        assert contents(copy)[0] == [NAMES[n] for n in (0, 1, 3, 5)]
