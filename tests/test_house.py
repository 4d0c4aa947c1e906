"""How the house is kept: who may import whom, how large a file may be, what a wheel carries."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
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
LAYERS = ("core", "formats", "trainers", "operations", "integrations", "cli")
SCREEN_AND_FILES = {
    "PIL", "click", "h5py", "io", "logging", "matplotlib", "os", "pathlib", "rich", "shutil",
    "socket", "subprocess", "sys", "tempfile", "typer", "urllib",
}  # fmt: skip
CALLS_OUTSIDE = {
    "input", "open", "print", "np.fromfile", "np.load", "np.memmap", "np.save", "np.savez",
    "torch.load", "torch.save",
}  # fmt: skip
MAX_WHEEL_BYTES = 8_000_000
MAX_LINES = 300  # of a file, unless its head says why: "# Long because ..."
HEAD_LINES = 20  # in which a long file says why it is one
MAX_SHARE = 1 / 6  # of all lines, in one folder's own files
MAX_ANY = 30  # lines that hold `Any`, in the whole package


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


def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    names = {}
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported_modules() -> dict[str, set[str]]:
    """Which modules of the package each of them imports, wherever in its text that stands.

    What stands under ``if TYPE_CHECKING:`` counts as well: two files that need each other's types
    belong together. Importing a module imports the packages around it, but those are empty.
    """
    known = modules()
    return {
        name: {found for _, full in imports(path) if (found := module_of(full, known)) != name}
        - {""}
        for name, path in known.items()
    }


def module_of(name: str, known: dict[str, Path]) -> str:
    """The module that a full name is, or lies in; empty for one of another package."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one twice; empty where none do."""
    done: set[str] = set()

    def search(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        found = next((f for n in sorted(graph[name]) if (f := search(n, [*way, name]))), [])
        done.add(name)
        return found

    return next((found for name in sorted(graph) if (found := search(name, []))), [])


def layer(parts: tuple[str, ...]) -> int:
    """Of a module inside drrpack, by the parts of its name after ``drrpack``."""
    return LAYERS.index(parts[0]) if parts and parts[0] in LAYERS else -1


def test_every_room_has_a_layer() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(
        LAYERS
    )


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def lines_with_any(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (isinstance(node, ast.Name) and node.id == "Any") or (
            isinstance(node, ast.alias) and node.name == "Any"
        ):
            yield node.lineno


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


def test_no_module_imports_itself_by_others() -> None:
    graph = imported_modules()
    del graph["drrpack"]  # the door, which imports a public name when it is first used
    found = circle({name: others & graph.keys() for name, others in graph.items()})
    assert not found, " -> ".join(found)


def test_a_circle_is_found() -> None:
    graph = {"a": {"b", "d"}, "b": {"c"}, "c": {"b"}, "d": set[str]()}
    assert circle(graph) == ["b", "c", "b"]
    assert circle({**graph, "c": {"d"}}) == []


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
    lines = path.read_text("utf-8").splitlines()
    if not any(line.startswith("# Long because ") for line in lines[:HEAD_LINES]):
        assert len(lines) <= MAX_LINES, f"{short(path)} has {len(lines)} lines: split it by idea"


def test_no_room_is_too_large() -> None:
    """A room is a folder's own files; those of the folders in it are rooms of their own."""
    rooms = Counter[str]()
    for path in SOURCES:
        rooms[short(path.parent)] += len(path.read_text("utf-8").splitlines())
    room, lines = rooms.most_common(1)[0]
    share = lines / rooms.total()
    assert share <= MAX_SHARE, f"{room}: {lines} lines are {share:.0%} of all: divide it"


def test_what_is_anything_is_rare() -> None:
    """`Any` switches off what mypy knows: Json, a protocol, object or a dataclass says more."""
    found = sorted({(short(path), line) for path in SOURCES for line in lines_with_any(path)})
    assert len(found) < MAX_ANY, f"{len(found)} lines: {found}"


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


def test_no_two_test_files_have_one_name() -> None:
    """pytest takes them for one module where folders are no packages, and leaves one out."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name, count in names.items() if count > 1 and name != "conftest.py"] == []


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
    data = {short(path) for path in (PACKAGE / "data").rglob("*") if path.is_file()}
    assert len(data) == 6 and data <= names
    assert next((tmp_path / "out").glob("*.whl")).stat().st_size < MAX_WHEEL_BYTES
    home = f"drrpack-{drrpack.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"drrpack", home}
    assert {short(path) for path in SOURCES} | {"drrpack/py.typed"} <= names
    for kind in ("css", "html", "js", "svg"):  # the files of pages
        found = {short(path) for path in PACKAGE.rglob(f"*.{kind}")}
        assert found and found <= names
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
