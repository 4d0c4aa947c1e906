"""How the house is kept: who may import whom, what a file may do, what a wheel carries."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import drrpack

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "drrpack"
LINKS = ("cli", "formats", "trainers")
SOURCES = sorted(PACKAGE.rglob("*.py"))
CORE = sorted((PACKAGE / "core").rglob("*.py"))

# each imports from itself and from those before
LAYERS = ("core", "formats", "trainers", "operations", "cli")
SCREEN_AND_FILES = {
    "PIL", "click", "h5py", "io", "logging", "matplotlib", "os", "pathlib", "rich", "shutil",
    "socket", "subprocess", "sys", "tempfile", "typer", "urllib",
}  # fmt: skip
CALLS_OUTSIDE = {
    "input", "open", "print", "np.fromfile", "np.load", "np.memmap", "np.save", "np.savez",
    "torch.load", "torch.save",
}  # fmt: skip
MAX_WHEEL_BYTES = 8_000_000
MAX_LINES = 400


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a file imports: ``from drrpack import ans`` is drrpack.ans."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{short(path)}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def layer(parts: tuple[str, ...]) -> int:
    """Of a module inside drrpack, by the parts of its name after ``drrpack``."""
    return LAYERS.index(parts[0]) if parts and parts[0] in LAYERS else 0


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def tracked_files() -> list[Path]:
    """What git has or would take; skips outside a checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_imports_run_one_way(path: Path) -> None:
    if path in (PACKAGE / "__init__.py", PACKAGE / "__main__.py"):
        return  # the two doors: the names for Python, and `python -m drrpack`
    own = layer(path.relative_to(PACKAGE).parts)
    wrong = [
        f"{short(path)}:{line}: {LAYERS[own]} imports {name}"
        for line, name in imports(path)
        if name.split(".")[0] == "drrpack" and layer(tuple(name.split(".")[1:])) > own
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("path", CORE, ids=short)
def test_the_core_knows_no_file_and_no_screen(path: Path) -> None:
    wrong = [item for item in imports(path) if item[1].split(".")[0] in SCREEN_AND_FILES]
    wrong += [item for item in calls(path) if item[1] in CALLS_OUTSIDE]
    assert not wrong, f"{short(path)}: {wrong}"


def test_only_the_command_line_prints() -> None:
    library = [path for path in SOURCES if path.parent.name != "cli"]
    wrong = [
        f"{short(path)}:{line}" for path in library for line, name in calls(path) if name == "print"
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_LINES, f"{short(path)} has {lines} lines: split it by idea"


@pytest.mark.parametrize("name", LINKS)
def test_links_lead_into_the_package(name: str) -> None:
    link = ROOT / name
    if link.is_file():
        pytest.skip("a checkout without link support")
    assert link.is_symlink()
    assert link.readlink() == Path("drrpack") / name, "relative, or it breaks in another place"
    assert link.resolve() == PACKAGE / name


def test_every_public_name_is_there() -> None:
    assert sorted(drrpack.__all__) == drrpack.__all__ == dir(drrpack)
    for name in drrpack.__all__:
        assert getattr(drrpack, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        drrpack.nothing  # noqa: B018


def test_importing_drrpack_is_light() -> None:
    code = "import sys, drrpack; print({'torch', 'numpy', 'h5py'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.~$}*-])/(work|tmp|root|home|Users|mnt|opt)/[\w.-]")
    wrong = []
    for path in tracked_files():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture, an archived .drr
        wrong += [
            f"{short(path)}:{i}: {line}" for i, line in enumerate(lines, 1) if place.search(line)
        ]
    assert not wrong, wrong


@pytest.mark.slow
def test_the_wheel_holds_drrpack_alone(tmp_path: Path) -> None:
    pytest.importorskip("build")
    names, sdist_names = built(tmp_path)
    data = {short(path) for path in (PACKAGE / "data").iterdir()}
    assert len(data) == 3 and data <= names
    assert next((tmp_path / "out").glob("*.whl")).stat().st_size < MAX_WHEEL_BYTES
    home = f"drrpack-{drrpack.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"drrpack", home}
    assert {short(path) for path in SOURCES} | {"drrpack/py.typed"} <= names
    assert any(name.startswith(home) and name.endswith("LICENSE") for name in names)
    assert {"LICENSE", "pyproject.toml"} <= sdist_names
    assert not {name for name in sdist_names if name.split("/")[0] in LINKS}


def built(place: Path) -> tuple[set[str], set[str]]:
    """Names in the wheel, which is made from the sdist, and in the sdist, from a clean copy."""
    copy, out = place / "copy", place / "out"
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, copy / "drrpack", ignore=no_cache)
    for name in ("pyproject.toml", "LICENSE", "README.md", *LINKS):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    with tarfile.open(next(out.glob("*.tar.gz"))) as sdist:
        return names, {name.partition("/")[2] for name in sdist.getnames()}
