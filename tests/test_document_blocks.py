"""Every block of code in README and docs/ is run here, in a test named below, or marked as not run.

``cifar100/`` and other folders and files of a reader are stand-ins (tests/stand_ins.py), and
commands that would take minutes get the options of `SMALLER`. All blocks of a page run in order in
one folder.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import Command
from documents import DOCUMENTS, ROOT, Block, blocks, command_lines
from stand_ins import write_stand_ins
from tiny_memory import GOLDEN_BITSWAP, one_thread_alone, tiny_networks

LANGUAGES = {"python", "sh", "text", "indented"}  # and directives of the site, in braces
SITE = re.compile(r"\{[\w-]+\}")

# blocks that other tests run, by document and language
ELSEWHERE = {
    ("README.md", "python"): "tests/test_readme.py",
    ("docs/integrations.md", "python"): "tests/integrations/test_integration_examples.py",
    ("docs/integrations.md", "indented"): "tests/integrations/test_library_recipes.py",
    ("docs/online.md", "python"): "tests/test_online.py",
    ("docs/remote.md", "python"): "tests/formats/remote/test_remote_page.py",
    ("docs/sources.md", "python"): "tests/test_docs_examples.py",
    ("docs/view.md", "python"): "tests/test_view_document.py",
}

# the first line of every block that says `<!-- not run: reason -->`, by document
NOT_RUN = {
    "CONTRIBUTING.md": ["git clone <this repository> drrpack && cd drrpack"],
    "README.md": ["git clone <this repository> drrpack && cd drrpack"],
    "docs/command-line.md": [
        "drrpack --install-completion      # for your shell: bash, zsh or fish; then open another"
    ],
    "docs/commands/compare.md": ["drrpack compare cifar100/ --classes 0:20 --train --epochs 16"],
    "docs/commands/encode.md": ["drrpack encode cifar100/ -o downloaded.drr --download cifar100"],
    "docs/commands/view.md": ["drrpack view mem.drr --source cifar100/"],
    "docs/online.md": ["python benchmarks/replay_buffer.py stream cifar100/"],
    "docs/remote.md": ['pip install "drrpack[remote]"'],
    "docs/scale.md": ["torchrun --nproc-per-node=4 -m drrpack encode images/ -o mem.drr"],
    "docs/sources.md": ['pip install "drrpack[datasets]"'],
    "docs/results.md": [
        "drrpack compare cifar100 --classes 0:20 --train --epochs 16 --seeds 3 --json",
        "drrpack compare tin100 --train --epochs 30 --seeds 3 --json",
        "benchmarks/methods.sh cifar100 mem.drr OUT 9 --width 32 --epochs 10",
    ],
    "docs/view.md": ["drrpack view mem.drr  # opens http://127.0.0.1:8765/ in the browser"],
    "docs/tutorial.md": ["drrpack encode data/ -o mem.drr --download cifar100"],
}

CODEC = ("--codec", str(GOLDEN_BITSWAP))  # a tiny one, in place of the codec that comes along


@dataclass(frozen=True)
class Addition:
    """Options for a command that would take minutes, unless it has one of some options."""

    options: tuple[str, ...]
    unless: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()  # of these the command must have one

    def fits(self, arguments: list[str]) -> bool:
        given = set(arguments)
        return not self.unless & given and (not self.only or bool(self.only & given))


# A page may name a file that an earlier line has written; later values of an option count.
SMALLER = {
    "append": [Addition(("--epochs", "1"), unless=frozenset({"--keep-entropy-model"}))],
    "compare": [Addition((*CODEC, "--classes", "0:2"))],
    "encode": [
        Addition(("--force",)),
        Addition(CODEC, unless=frozenset({"--codec", "--fit", "--quality", "--thin"})),
        Addition(("--epochs", "1"), only=frozenset({"--fit"})),
    ],
    "merge": [Addition(("--force",))],
    "preview": [Addition(("--force",))],
    "train": [Addition(("--epochs", "1", "--width", "4"), unless=frozenset({"--config"}))],
}


def runnable(document: str) -> list[Block]:
    """The blocks that this module runs."""
    return [
        block
        for block in blocks(document)
        if block.language in ("python", "sh")
        and block.reason is None
        and (document, block.language) not in ELSEWHERE
    ]


# A page that trains, fits, compares or encodes all digits takes more than a few seconds.
TRAINING = ("append", "compare", "doctor", "encode", "report", "train")
SLOW = {"README.md", *(f"docs/commands/{name}.md" for name in TRAINING)} | {
    f"docs/{name}.md" for name in ("choosing", "index", "scale", "training", "tutorial")
}
PAGES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in DOCUMENTS
    if runnable(name)
]


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_ins(tmp_path_factory.mktemp("stand_ins") / "reader")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("document", PAGES)
def test_the_blocks_of_a_page_run(
    document: str,
    stand_ins: Path,
    tmp_path: Path,
    drrpack: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "reader"
    shutil.copytree(stand_ins, place)
    monkeypatch.chdir(place)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in runnable(document):
        if block.file:
            Path(block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, f"{document}:{block.line}", "exec"), names)
        else:
            run_lines(block, drrpack)


def run_lines(block: Block, drrpack: Command) -> None:
    """Run each line of a shell block: a command of drrpack, or the installation of an extra."""
    for words in command_lines(block.text):
        if words[:2] == ["pip", "install"]:
            check_installable(words[2])
            continue
        assert words[0] == "drrpack", f"{block.document}:{block.line}: {' '.join(words)}"
        target = words[words.index(">") + 1] if ">" in words else None
        arguments = words[1 : words.index(">")] if target else words[1:]
        if arguments[0] == "view":
            check_served(arguments)
            continue
        with tiny_networks(), one_thread_alone():
            done = drrpack(*smaller(arguments))
        assert done.code == 0, f"{' '.join(words)}: {done.errors}"
        if target:
            Path(target).write_text(done.output)


def check_served(arguments: list[str]) -> None:
    """The command serves until it is interrupted."""
    command = [sys.executable, "-m", "drrpack", *arguments, "--port", "0", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        printed = run.stdout.readline()
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0 and "http://127.0.0.1:" in printed


def smaller(arguments: list[str]) -> list[str]:
    """The same command, with what makes it take seconds."""
    added: list[str] = []
    for addition in SMALLER.get(arguments[0], []):
        if addition.fits(arguments):
            added += addition.options
    return [*arguments, *added]


def check_installable(what: str) -> None:
    """The project itself, by ``.`` or its name, with extras that it has."""
    found = re.fullmatch(r"(?:\.|drrpack)(?:\[([\w,]+)\])?", what)
    assert found, f"pip install {what}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = found[1].split(",") if found[1] else []
    assert set(extras) <= set(project["optional-dependencies"]), what


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_says_what_it_is(document: str) -> None:
    unknown = [
        f"{block.document}:{block.line}: {block.language!r}"
        for block in blocks(document)
        if block.language not in LANGUAGES and not SITE.match(block.language)
    ]
    assert not unknown


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_is_in_a_fence_unless_a_test_knows_it(document: str) -> None:
    """An indented block may be a drawing; commands and Python in it would not be run."""
    code = [
        block.first
        for block in blocks(document)
        if block.language in ("indented", "text")
        and (document, block.language) not in ELSEWHERE
        and re.match(r"(drrpack|python|import|from) ", block.first)
        and " [OPTIONS]" not in block.first
    ]
    assert not code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_that_are_not_run_are_listed(document: str) -> None:
    marked = [block for block in blocks(document) if block.reason is not None]
    listed = NOT_RUN.get(document, [])
    assert len(marked) == len(listed)
    for block, start in zip(marked, listed, strict=True):
        assert block.first.startswith(start) and len(block.reason or "") > 10


@pytest.mark.parametrize(("document", "language"), ELSEWHERE)
def test_other_tests_run_what_is_left_to_them(document: str, language: str) -> None:
    assert any(block.language == language for block in blocks(document))
    assert Path(document).name in (ROOT / ELSEWHERE[document, language]).read_text("utf-8")


def test_blocks_are_found() -> None:
    shell = "<!-- not run: a download of 1 GB -->\n```sh\ndrrpack a \\\n  b # c\n```\n\n"
    text = shell + "    d\n\n```python\n1\n```\n"
    marked, indented, python = blocks("page.md", text)
    assert (marked.language, marked.line, marked.reason) == ("sh", 2, "a download of 1 GB")
    assert list(command_lines(marked.text)) == [["drrpack", "a", "b"]]
    assert (indented.language, indented.text, indented.reason) == ("indented", "d\n", None)
    assert (python.language, python.line, python.text) == ("python", 9, "1\n")


def test_a_command_is_made_smaller_only_where_it_is_large() -> None:
    assert smaller(["stats", "m"]) == ["stats", "m"]
    assert smaller(["encode", "a", "--fit"]) == ["encode", "a", "--fit", "--force", "--epochs", "1"]
    assert smaller(["append", "m", "n"])[-2:] == ["--epochs", "1"]


@pytest.mark.parametrize("what", [".[fastest]", "other", "drrpack[]"])
def test_what_can_not_be_installed_is_noticed(what: str) -> None:
    with pytest.raises(AssertionError):
        check_installable(what)
