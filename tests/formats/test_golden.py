"""Files of version 1.0, kept as they were made: read for ever as on that day, or refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from make import BAD, MODELS, RECODED, outcome  # noqa: E402

from drrpack import DrrError, UnsafeError  # noqa: E402
from drrpack.core.entropy.model import kind_of  # noqa: E402
from drrpack.formats.container import Reader  # noqa: E402
from drrpack.formats.dataset import DRRDataset  # noqa: E402
from drrpack.formats.memory import load_codec, read_codes  # noqa: E402
from drrpack.operations.export import export  # noqa: E402

EXPECTED = json.loads((GOLDEN / "golden.json").read_text())
GOOD = {"digits.drr", *(f"{name}.drr" for name in (*MODELS, *RECODED))}
SOUND = {*GOOD, "later-minor-version.drr", "path-like-name.drr"}
UNSAFE = {
    "soft-link", "external-link", "external-storage", "virtual-dataset", "cyclic-group", "petabyte",
    "filter-bomb", "wrong-dtype", "overlapping-rows", "rows-beyond-the-file", "image-bomb",
    "not-utf8-name",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def test_all_are_here() -> None:
    assert set(EXPECTED) == {path.name for path in GOLDEN.glob("*.drr")}
    assert set(EXPECTED) == {*GOOD, *(f"{name}.drr" for name in BAD)}
    assert {name for name, found in EXPECTED.items() if "pixels" in found} == SOUND
    codes = {name: found.get("exit_code") for name, found in EXPECTED.items()}
    assert {name for name, code in codes.items() if code == 5} == {f"{n}.drr" for n in UNSAFE}
    assert {name for name, code in codes.items() if code == 4} == {
        "version-2.drr", "required-feature.drr",
    }  # fmt: skip


def test_all_versions_of_models_are_among_them() -> None:
    found = set()
    for name in GOOD:
        with Reader(GOLDEN / name) as reader:
            vqvae, entropy = reader.vqvae, reader.entropy_model
        encoder = vqvae.config.get("encoder")
        found.add((vqvae.version, encoder, entropy.version, kind_of(entropy)))
    assert found == {
        ("1.0", None, "1.0", "bitswap"), ("2.0", True, "2.0", "bitswap"),
        ("2.0", True, "2.0", "context"), ("2.0", False, "2.0", "context"),
        ("3.0", True, "2.0", "context"), ("2.0", True, "3.0", "table"),
        ("2.0", True, "3.0", "adapted"), ("2.0", True, "3.0", "bitswap"),
        ("4.0", True, "2.0", "context"),
    }  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_it_comes_to_what_it_came_to(name: str) -> None:
    assert outcome(GOLDEN / name) == EXPECTED[name]


@pytest.mark.parametrize("name", [n for n in BAD if "error" in EXPECTED[f"{n}.drr"]])
def test_what_is_refused_can_be_made_again(name: str, tmp_path: Path) -> None:
    """Of the sound file. Its bytes may be others, as libhdf5 has versions."""
    made = Path(shutil.copy(GOLDEN / "digits.drr", tmp_path / "x.drr"))
    BAD[name](made)
    assert {**outcome(made), "sha256": ""} == {**EXPECTED[f"{name}.drr"], "sha256": ""}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_the_same_codes_give_the_same_streams(name: str) -> None:
    """A writer of today puts what is in each file into the bits that are there."""
    with Reader(GOLDEN / name) as reader:
        codec = load_codec(reader, torch.device("cpu"))
        classes = range(len(reader.classes))
        codes = read_codes(reader, codec, classes)
        assert reader.index["class"].tolist() == [*classes]
        made = codec.compress([codes[number] for number in classes])
        found = [*reader.streams(classes)]
        digests = reader.index["codes_digest"].tolist()
    words = [tuple(w.astype("<u4").tobytes() for w in (one.top, one.bottom)) for one in made]
    assert words == found
    assert [one.codes_digest for one in made] == digests


def test_each_has_a_message_of_its_own(tmp_path: Path) -> None:
    messages = set()
    for name in sorted(UNSAFE):
        path = shutil.copy(GOLDEN / f"{name}.drr", tmp_path / "x.drr")
        with pytest.raises(UnsafeError) as caught, Reader(path) as reader:
            DRRDataset(path).preload()
            reader.verify()
        messages.add(str(caught.value))
    assert len(messages) == len(UNSAFE)


def test_export_does_not_leave_its_folder(tmp_path: Path) -> None:
    inside = tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    with pytest.raises(DrrError, match="would write outside"):
        export(DRRDataset(GOLDEN / "path-like-name.drr"), inside / "out", "png")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "c"]
