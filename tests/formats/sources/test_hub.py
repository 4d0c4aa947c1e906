"""Data sets of the Hugging Face hub, from a server on this machine that speaks like it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import same_pictures as made
from hub_server import CONVERTED, MAIN, Served, commit_of, serving
from picture_folders import noise

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats import originals, whereabouts
from drrpack.formats.sources.hub_name import HubName, is_hub_name, parsed
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.listing import listings
from drrpack.formats.sources.source import open_source

hub = pytest.importorskip("huggingface_hub", reason='pip install "drrpack[datasets]"')
pytest.importorskip("pyarrow", reason='pip install "drrpack[parquet]"')

REPO = "someone/animals"
TRAIN = {name: [noise(8, 8, 3) for _ in range(4)] for name in ("cat", "dog")}
TEST = {name: [noise(8, 8, 3) for _ in range(2)] for name in ("cat", "dog")}


def table(folder: Path, pictures: made.Pictures) -> bytes:
    return made.as_parquet(folder / "made.parquet", pictures).read_bytes()


@pytest.fixture
def data(tmp_path: Path) -> Served:
    train, test = table(tmp_path, TRAIN), table(tmp_path, TEST)
    files = {
        "README.md": b"",
        "data/train-00000-of-00001.parquet": train,
        "data/test-00000-of-00001.parquet": test,
    }
    return Served(REPO, {MAIN: files})


@pytest.fixture
def address(data: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server's, which the library takes for the hub; its caches are empty."""
    with serving(data) as place:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", place)
        template = f"{place}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        assets = "huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE"
        monkeypatch.setattr(assets, str(tmp_path / "assets"))
        yield place


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:a/b", HubName("a/b")),
        ("hf:a-1/b.c_d@v1.0", HubName("a-1/b.c_d", "v1.0")),
        ("hf:a/b@refs/convert/parquet:c", HubName("a/b", "refs/convert/parquet", "c")),
        ("hf:a/b:fine label/test", HubName("a/b", None, "fine label", "test")),
    ],
)
def test_a_name_has_parts(text: str, name: HubName) -> None:
    assert parsed(Path(text)) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text", ["hf:", "hf:a", "hf:a/b/c", "hf:a/b:c/d/e", "hf:a/b@", "hf:a/b:", "hf:ä/b", "hf:a b/c"]
)
def test_what_has_not_the_form_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match=r"expected hf:OWNER/NAME\[@REVISION\]"):
        open_source(text)


def test_a_folder_of_such_a_name_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made.as_folder(tmp_path / "hf:a" / "b", TRAIN)
    assert not is_hub_name("hf:a/b") and is_hub_name("hf:a/c")
    assert open_source("hf:a/b").kind == "folder"


# --- reading -------------------------------------------------------------------------------------


def test_pictures_and_digests_are_those_of_the_files(
    address: str, data: Served, tmp_path: Path
) -> None:
    for name, content in data.revisions[MAIN].items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    found, local = open_source(f"hf:{REPO}"), open_source(tmp_path / "copy" / "data")
    assert found.classes == ("cat", "dog") and found.has_test
    for number, name in enumerate(found.classes):
        np.testing.assert_array_equal(found.load(number), np.stack(TRAIN[name]))
        np.testing.assert_array_equal(found.load(number, "test"), np.stack(TEST[name]))
    assert found.digest() == local.digest() and found.digest("test") == local.digest("test")
    assert found.name == found.place == f"hf:{REPO}@{commit_of(MAIN)}:default"


def test_only_what_is_asked_for_is_fetched(address: str, data: Served) -> None:
    found = open_source(f"hf:{REPO}", splits=["train"])
    assert not found.has_test
    assert not any("test-00000" in path for path in data.asked)


def test_a_split_by_its_name(address: str) -> None:
    found = open_source(f"hf:{REPO}:default/test")
    assert found.images_per_class == (2, 2) and not found.has_test
    with pytest.raises(SourceError, match="found no split 'validation' among 'test', 'train'"):
        open_source(f"hf:{REPO}:default/validation")


def test_configurations(address: str, data: Served) -> None:
    files = data.revisions[MAIN]
    files["large/train-00000-of-00001.parquet"] = files.pop("data/train-00000-of-00001.parquet")
    files["small/validation.parquet"] = files["data/test-00000-of-00001.parquet"]
    files["small/train.parquet"] = files.pop("data/test-00000-of-00001.parquet")
    with pytest.raises(
        SourceError, match=f"several configurations, 'large', 'small'.*hf:{REPO}:large"
    ):
        open_source(f"hf:{REPO}")
    with pytest.raises(SourceError, match="no configuration 'medium' among 'large', 'small'"):
        open_source(f"hf:{REPO}:medium")
    assert open_source(f"hf:{REPO}:large").images_per_class == (4, 4)
    small = open_source(f"hf:{REPO}:small")
    assert small.images_per_class == (2, 2) and small.has_test


def test_the_card_says_which_files_are_meant(address: str, data: Served) -> None:
    """In each of the forms that the hub's documentation of cards has."""
    first, second = "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"
    data.card = {
        "configs": [
            {
                "config_name": "objects",
                "data_files": [
                    {"split": "train", "path": "data/test-*"},
                    {"split": "test", "path": [second]},
                ],
            },
            {"config_name": "mapping", "data_files": {"train": first}},
            {"config_name": "text", "data_files": "tr*.parquet", "data_dir": "data"},
        ]
    }
    objects = open_source(f"hf:{REPO}:objects")
    assert objects.images_per_class == (2, 2) and objects.load(0, "test").shape[0] == 4
    assert open_source(f"hf:{REPO}:mapping").images_per_class == (2, 2)
    assert open_source(f"hf:{REPO}:text").images_per_class == (4, 4)


def test_what_the_hub_has_converted(address: str, data: Served, tmp_path: Path) -> None:
    """A data set of loose pictures: the hub itself keeps Parquet files of it on a branch."""
    data.revisions[CONVERTED] = {
        "plain/train/0000.parquet": table(tmp_path, {"cat": TRAIN["cat"], "dog": TRAIN["dog"][:1]}),
        "plain/train/0001.parquet": table(tmp_path, {"cat": [], "dog": TRAIN["dog"][1:]}),
        "plain/test/0000.parquet": table(tmp_path, TEST),
    }
    data.revisions[MAIN] = {"cat/1.png": b"", "dog/1.png": b""}
    found = open_source(f"hf:{REPO}")
    assert found.name == f"hf:{REPO}@{commit_of(CONVERTED)}:plain"
    assert found.images_per_class == (4, 4) and found.load(1, "test").shape == (2, 8, 8, 3)
    with pytest.raises(SourceError, match=r"no \.parquet files in the data set"):
        open_source(f"hf:{REPO}@main")


def test_a_part_of_a_data_set_is_not_taken_for_all_of_it(address: str, data: Served) -> None:
    files = data.revisions[MAIN]
    content = files.pop("data/train-00000-of-00001.parquet")
    files["data/train-00000-of-00002.parquet"] = content
    with pytest.raises(SourceError, match="found 1 of the 2 files"):
        open_source(f"hf:{REPO}")
    data.revisions = {MAIN: {}, CONVERTED: {"default/partial-train/0000.parquet": content}}
    with pytest.raises(SourceError, match="only a part of the split 'train'"):
        open_source(f"hf:{REPO}")
    assert open_source(f"hf:{REPO}:default/partial-train").images_per_class == (4, 4)


def test_columns_are_chosen_as_in_a_table(address: str) -> None:
    with pytest.raises(OptionError, match="no such column, and the columns image, label"):
        open_source(f"hf:{REPO}", labelling=Labelling(label_column="fine_label"))
    with pytest.raises(OptionError, match="`classes_from`, which has no meaning"):
        open_source(f"hf:{REPO}", labelling=Labelling(classes_from="top"))


# --- the network ---------------------------------------------------------------------------------


def test_names_that_are_not_there(address: str) -> None:
    with pytest.raises(SourceError, match="no such data set, or one that you may not read"):
        open_source("hf:someone/plants")
    with pytest.raises(SourceError, match=r"hf:someone/animals@v9: found no revision 'v9'"):
        open_source(f"hf:{REPO}@v9")


def test_no_network(address: str, data: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read once is read again without; nothing else is."""
    before = open_source(f"hf:{REPO}")
    data.asked.clear()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9 can't be read.*HF_HUB_OFFLINE=1"):
        open_source(f"hf:{REPO}")
    pinned = open_source(f"hf:{REPO}@{commit_of(MAIN)}")  # a commit never changes
    assert pinned.digest() == before.digest()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again = open_source(f"hf:{REPO}")
    assert again.digest() == before.digest() and again.name == before.name
    with pytest.raises(SourceError, match="hf:someone/plants: is not whole in this machine's"):
        open_source("hf:someone/plants")
    assert not data.asked


def test_files_that_climb_out_of_the_data_set_are_not_seen(address: str, data: Served) -> None:
    data.revisions[MAIN]["../../train-00000-of-00001.parquet"] = b""
    data.revisions[MAIN]["/elsewhere/train-00000-of-00001.parquet"] = b""
    assert open_source(f"hf:{REPO}").images_per_class == (4, 4)
    assert not any(".." in path or "elsewhere" in path for path in data.asked)


def test_without_the_library(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SourceError, match=r'pip install "drrpack\[datasets\]"'):
        open_source(f"hf:{REPO}")


def test_where_it_was_is_remembered(address: str) -> None:
    found = open_source(f"hf:{REPO}")
    kept = originals.record(found)
    assert kept["name"] == found.name and "kind" not in kept
    assert kept["listing"] == listings(Path(found.name), Labelling()) != {}
    originals.remember(found)
    assert whereabouts.find(found.digest()) == Path(found.name)


@pytest.mark.slow
def test_the_command(data: Served, tmp_path: Path) -> None:
    """In processes of their own, with the variables that users set. Originals are found again
    without a network."""
    with serving(data) as place:
        variables = {**os.environ, "HF_ENDPOINT": place, "HF_HOME": str(tmp_path / "home")}

        def run(*arguments: str) -> str:
            command = [sys.executable, "-m", "drrpack", *arguments]
            done = subprocess.run(
                command, env=variables, cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "8 images of 8x8 in 2 classes" in run("encode", f"hf:{REPO}", "-o", "mem.drr")
    assert f"originals (above) from hf:{REPO}@" in run("preview", "mem.drr", "-o", "grid.png")
