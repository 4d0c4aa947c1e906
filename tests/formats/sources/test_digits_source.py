"""scikit-learn's digits by name: against scikit-learn itself, and behind a folder of that name."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from picture_folders import save

from drrpack.core.errors import SourceError
from drrpack.formats.sources import registry
from drrpack.formats.sources.source import open_source


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_all_scans_are_there_once() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    source = open_source("digits")
    assert (source.kind, source.name, source.root) == ("digits", "digits", None)
    assert source.classes == tuple("0123456789") and source.image_size == (8, 8)
    for digit in range(10):
        expected = np.rint(digits.images[digits.target == digit] * 255 / 16).astype(np.uint8)
        train, test = source.load(digit), source.load(digit, "test")
        np.testing.assert_array_equal(test[..., 0], expected[::5])
        np.testing.assert_array_equal(train[..., 2], np.delete(expected, np.s_[::5], axis=0))


def test_as_a_path_and_at_another_size() -> None:
    pytest.importorskip("sklearn")
    source = open_source(Path("digits"), size=16, splits=["train"])
    assert source.load(3).shape[1:] == (16, 16, 3) and not source.has_test
    assert source.digest() == open_source("digits").digest()


def test_a_folder_of_that_name_wins(tmp_path: Path) -> None:
    save(tmp_path / "digits" / "cat" / "0.png")
    for given in ("digits", Path("digits")):
        source = open_source(given)
        assert source.classes == ("cat",)
        assert [str(tmp_path / "digits") in text for text in source.remarks] == [True]
        assert "sklearn:digits" in source.remarks[0]
    assert open_source(tmp_path / "digits").remarks == ()
    (tmp_path / "sub").mkdir()
    with pytest.raises(SourceError, match="no such folder"):
        open_source("sub/digits")


def test_the_name_that_always_means_scikit_learns(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    alone = open_source("digits")
    save(tmp_path / "digits" / "cat" / "0.png")
    source = open_source("sklearn:digits")
    assert source.digest() == alone.digest() and (source.name, source.root) == ("digits", None)
    assert source.remarks == alone.remarks == ()


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SourceError, match=r"digits: .* pip install 'drrpack\[demo\]'"):
        open_source("digits")


def test_every_kind_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in registry.SOURCES]
    files = ["npz", "csv", "parquet", "tar"]
    assert names == ["dataset", "hub", "digits", "cifar", *files, "folder"]
    assert [registry.kind_named(name) for name in names] == list(registry.SOURCES)
    assert registry.kind_named("excel") is None


def test_another_kind_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reversed(type(registry.kind_of("digits"))):  # type: ignore[misc]
        name = "reversed"

        def recognises(self, given: object) -> bool:
            return given == "stigid"

    pytest.importorskip("sklearn")
    monkeypatch.setattr(registry, "SOURCES", (Reversed(), *registry.SOURCES))
    assert open_source("stigid").kind == "reversed"
