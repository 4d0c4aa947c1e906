"""The entropy model of a file is the one that makes it smallest."""

from __future__ import annotations

import lzma
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import CONTEXT, small_model, small_vqvae, structured_codes
from tiny_memory import GOLDEN_CONTEXT, write_digits

import drrpack
from drrpack.core.codec import finish
from drrpack.core.codes import Codes
from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.operations.entropy_models import smallest


def model_of(path: Path) -> str:
    return drrpack.stats(path).entropy_model


def codes_of(path: Path) -> np.ndarray:
    dataset = DRRDataset(path)
    grids = dataset.codes(range(len(dataset)))
    return np.concatenate([np.asarray(grid).reshape(len(dataset), -1) for grid in grids], axis=1)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of each digit."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", train=3, test=1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty images of each digit."""
    return write_digits(tmp_path_factory.mktemp("many") / "digits", train=50, test=0)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 32 x 32 pixels, cut from scikit-learn's two photographs."""
    load = pytest.importorskip("sklearn.datasets").load_sample_image
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("china", "flower"):
        pixels = load(f"{name}.jpg")
        (folder / name).mkdir()
        for n in range(60):
            row, column = divmod(n, 10)
            cut = pixels[60 * row : 60 * row + 32, 60 * column : 60 * column + 32]
            Image.fromarray(cut).save(folder / name / f"{n}.png")
    return folder


def test_few_strange_images_get_a_table(few: Path, tmp_path: Path) -> None:
    taken = drrpack.encode(few, tmp_path / "auto.drr")
    context = drrpack.encode(few, tmp_path / "context.drr", entropy="context")
    assert (taken.entropy_model, context.entropy_model) == ("table", "context")
    assert taken.bytes.file < context.bytes.file - 200_000
    assert taken.bytes.payload < context.bytes.payload  # digits are no photographs
    np.testing.assert_array_equal(
        codes_of(tmp_path / "auto.drr"), codes_of(tmp_path / "context.drr")
    )
    assert drrpack.verify(tmp_path / "auto.drr", "full")


def test_many_strange_images(few: Path, many: Path, tmp_path: Path) -> None:
    """A thin file need not hold the context model, so a correction of it is all that it takes."""
    less = drrpack.encode(few, tmp_path / "less.drr", thin=True)
    more = drrpack.encode(many, tmp_path / "more.drr", thin=True)
    assert (less.entropy_model, more.entropy_model) == ("context", "adapted")
    assert drrpack.verify(tmp_path / "more.drr", "full")
    packed = lzma.compress(codes_of(tmp_path / "more.drr").astype("<u2").tobytes(), preset=9)
    taken = more.bytes.payload + more.bytes.entropy_model
    assert taken < len(packed)
    plain = drrpack.encode(many, tmp_path / "plain.drr", thin=True, entropy="context")
    table = drrpack.encode(many, tmp_path / "table.drr", thin=True, entropy="table")
    assert taken < 0.85 * (plain.bytes.payload + plain.bytes.entropy_model)
    assert taken < 0.9 * (table.bytes.payload + table.bytes.entropy_model)
    np.testing.assert_array_equal(codes_of(tmp_path / "more.drr"), codes_of(tmp_path / "plain.drr"))


@pytest.mark.slow
def test_a_file_that_holds_an_adapted_model_needs_nothing_else(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same codes by a whole file and by a thin one, which takes its model from drrpack."""
    drrpack.encode(many, tmp_path / "thin.drr", thin=True, entropy="adapted")
    drrpack.encode(many, tmp_path / "whole.drr", entropy="adapted")
    whole = codes_of(tmp_path / "whole.drr")
    np.testing.assert_array_equal(codes_of(tmp_path / "thin.drr"), whole)
    with Reader(tmp_path / "whole.drr") as one, Reader(tmp_path / "thin.drr") as two:
        assert one.entropy_model.data.endswith(two.entropy_model.data)  # equal corrections
        assert len(two.entropy_model.data) < 7_000
    monkeypatch.setattr("drrpack.formats.shipped.FOLDER", tmp_path / "nothing")
    np.testing.assert_array_equal(codes_of(tmp_path / "whole.drr"), whole)
    with pytest.raises(drrpack.VersionError, match="it leaves out the model"):
        codes_of(tmp_path / "thin.drr")


@pytest.mark.slow
def test_append_adapts_to_all_images(many: Path, photographs: Path, tmp_path: Path) -> None:
    path = tmp_path / "mem.drr"
    drrpack.encode(many, path, thin=True)
    before, size = codes_of(path), path.stat().st_size
    made = drrpack.append(path, photographs, epochs=1)
    assert made.tuned_bytes is not None
    assert model_of(path) == "adapted" and size < path.stat().st_size < made.kept_bytes + 1
    assert drrpack.verify(path, "full")
    np.testing.assert_array_equal(codes_of(path)[: len(before)], before)


def test_photographs_keep_the_context_model_where_it_costs_nothing(
    photographs: Path, tmp_path: Path
) -> None:
    thin = drrpack.encode(photographs, tmp_path / "thin.drr", thin=True)
    whole = drrpack.encode(photographs, tmp_path / "whole.drr")
    assert (thin.entropy_model, whole.entropy_model) == ("context", "table")
    assert thin.bytes.payload < whole.bytes.payload  # a table costs payload, and saves a model


def test_a_table_can_be_asked_for(photographs: Path, tmp_path: Path) -> None:
    found = drrpack.encode(photographs, tmp_path / "mem.drr", entropy="table", thin=True)
    assert found.entropy_model == "table"


def test_no_table_where_a_context_model_must_stay(few: Path, tmp_path: Path) -> None:
    """This codec's context model has chosen the codes, and nothing else could choose more."""
    found = drrpack.encode(few, tmp_path / "mem.drr", codec=GOLDEN_CONTEXT, quality=75)
    assert found.entropy_model == "context"
    with pytest.raises(drrpack.OptionError, match="chosen by a context model"):
        drrpack.encode(
            few, tmp_path / "table.drr", codec=GOLDEN_CONTEXT, quality=75, entropy="table"
        )
    assert not (tmp_path / "table.drr").exists()
    nearest = drrpack.encode(
        few, tmp_path / "nearest.drr", codec=GOLDEN_CONTEXT, quality=100, entropy="table"
    )
    assert nearest.entropy_model == "table"


@pytest.mark.slow
def test_files_of_different_entropy_models_merge(
    few: Path, photographs: Path, tmp_path: Path
) -> None:
    table, context, both = (tmp_path / f"{name}.drr" for name in ("table", "context", "both"))
    drrpack.encode(few, table)
    drrpack.encode(photographs, context, entropy="context")
    drrpack.merge([context, table], both)
    with Reader(both) as reader:
        assert reader.classes == ["china", "flower", *map(str, range(10))]
    np.testing.assert_array_equal(
        codes_of(both), np.concatenate([codes_of(context), codes_of(table)])
    )
    assert drrpack.verify(both, "full")
    size = both.stat().st_size
    assert size < context.stat().st_size  # a table of both is smaller than a context model


@pytest.mark.slow
def test_tables_merge_to_a_model_that_no_file_holds(
    few: Path, photographs: Path, tmp_path: Path
) -> None:
    """It comes with drrpack, and a thin file need not hold it; `append` takes it as well."""
    one, two, both, appended = (tmp_path / f"{name}.drr" for name in ("1", "2", "12", "21"))
    drrpack.encode(few, one, thin=True, entropy="table")
    drrpack.encode(photographs, two, thin=True, entropy="table")
    shutil.copy(one, appended)
    made = drrpack.append(appended, photographs, epochs=1)
    assert (made.entropy_model, made.tuned) == ("context", False)
    drrpack.merge([one, two], both)
    assert model_of(both) == "context" and drrpack.verify(both, "full")
    assert both.stat().st_size == pytest.approx(appended.stat().st_size, abs=300)  # of notes
    np.testing.assert_array_equal(codes_of(both), np.concatenate([codes_of(one), codes_of(two)]))


@pytest.mark.slow
def test_a_file_outgrows_its_table(few: Path, photographs: Path, tmp_path: Path) -> None:
    """Photographs cost less by the context model, which a thin file need not hold."""
    path = tmp_path / "mem.drr"
    drrpack.encode(few, path, thin=True, entropy="table")
    before = codes_of(path)
    made = drrpack.append(path, photographs, epochs=1)
    assert made.tuned_bytes is not None and made.tuned_bytes < made.kept_bytes
    assert path.stat().st_size == made.tuned_bytes
    assert model_of(path) == "context" and drrpack.verify(path, "full")
    np.testing.assert_array_equal(codes_of(path)[: len(before)], before)


def test_a_single_photograph_of_a_class_is_coded_by_the_model(
    photographs: Path, tmp_path: Path
) -> None:
    """Forty classes of one picture take little more than one class of the forty."""
    pictures = sorted(photographs.glob("*/*.png"))[::3]
    for number, picture in enumerate(pictures):
        for folder in (tmp_path / "single" / f"{number:02}", tmp_path / "together" / "all"):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, folder / f"{number:02}.png")
    payload = {}
    for name in ("single", "together"):
        file = tmp_path / f"{name}.drr"
        payload[name] = drrpack.encode(tmp_path / name, file, entropy="context").bytes.payload
        drrpack.verify(file, "full")
    assert len(pictures) == 40
    assert payload["single"] < payload["together"] + 40 * 12  # the heads of two streams, in words


def test_of_two_models_of_a_kind_none_is_lost() -> None:
    """As `merge` has them: the sizes are those of each codec, whatever its kind."""
    grids = [structured_codes([40], shape, 32)[0] for shape in ((4, 4), (8, 8))]
    codes, cpu = Codes.of(grids[0], grids[1]), torch.device("cpu")
    finer = replace(CONTEXT, weight_bits=7)
    one, other = (
        finish(small_vqvae(), small_model(codes, config), codes, cpu) for config in (CONTEXT, finer)
    )
    taken, sizes = smallest([one, other], [codes], thin=False)
    assert len(sizes) == 2 and sizes[0] != sizes[1] and sizes[taken] == min(sizes)
    assert smallest([other, one], [codes], thin=False) == (1 - taken, sizes[::-1])
    assert smallest([one, one], [codes], thin=False) == (0, 2 * sizes[:1])
