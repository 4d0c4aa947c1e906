"""``drrpack encode``: whole runs, and every bad input, which ends in one message and no file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command import Command, without_progress
from PIL import Image
from tiny_memory import tiny_networks

from drrpack import DRRDataset
from drrpack.cli.app import app
from drrpack.core.families import FAMILIES
from drrpack.formats.container import Reader

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]


def picture(path: Path, side: int = 32, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two classes of three pictures of 32 x 32."""
    for index, name in enumerate(("cat", "dog")):
        for number in range(3):
            picture(tmp_path / "src" / name / f"{number}.png", seed=10 * index + number)
    return tmp_path / "src"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An output folder that must be, after the test, as it was before it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.drr").write_bytes(b"old")
    yield tmp_path / "out"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old.drr"]
    assert (tmp_path / "out" / "old.drr").read_bytes() == b"old"


def test_a_whole_run_as_a_program(digits_folder: Path, digits_drr: Path, tmp_path: Path) -> None:
    output = tmp_path / "mem.drr"
    options = ["encode", digits_folder, "-o", output, "--codec", digits_drr, "--device", "cpu"]
    command = [sys.executable, "-W", "error", "-m", "drrpack", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == ""
    assert "300 images of 32x32 in 10 classes" in done.stdout
    assert "Every byte" in done.stdout and "Bits per code" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mem.drr"]
    one, two = DRRDataset(output), DRRDataset(digits_drr)
    np.testing.assert_array_equal(one.to_numpy()[0], two.to_numpy()[0])
    with Reader(output) as reader:
        reader.verify()
        assert reader.metadata["fit"]["classes"] == 50, "of the codec that comes along"


def test_a_run_that_fits(drrpack: Command, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "mem.drr"
    with tiny_networks():
        done = drrpack("encode", source, "-o", output, "--fit", "--epochs", "1", "--device", "cpu")
    assert done.code == 0, done.errors
    assert "fitted on the first 1 class, from scratch, 1 epoch each" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mem.drr", "src"]
    dataset = DRRDataset(output)
    assert dataset.classes == ["cat", "dog"] and dataset.to_numpy()[0].shape == (6, 32, 32, 3)


@pytest.mark.slow
def test_a_run_that_fits_the_real_networks(drrpack: Command, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "mem.drr"
    done = drrpack("encode", source, "-o", output, "--fit", "--epochs", "1", "--device", "cpu")
    assert done.code == 0, done.errors
    assert len(DRRDataset(output).to_numpy()[0]) == 6


def test_one_picture_is_enough(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    picture(tmp_path / "src/only/0.png")
    output = tmp_path / "mem.drr"
    with tiny_networks():
        done = drrpack("encode", tmp_path / "src", "-o", output, "--fit", "--epochs", "1")
    assert done.code == 0, done.errors
    assert "PSNR not measured" in done.output
    assert len(DRRDataset(output).to_numpy()[0]) == 1


def test_size_resizes(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    for number, side in enumerate((8, 20, 33)):
        picture(tmp_path / "src/cat" / f"{number}.png", side)
    output = tmp_path / "mem.drr"
    options = ("--codec", digits_drr, "--size", "24")
    done = drrpack("encode", tmp_path / "src", "-o", output, *options)
    assert done.code == 0, done.errors
    assert DRRDataset(output).to_numpy()[0].shape == (3, 24, 24, 3)


def test_skip_bad_goes_on_and_lists(
    drrpack: Command, source: Path, digits_drr: Path, tmp_path: Path
) -> None:
    bad = source / "cat/broken.png"
    bad.write_bytes(b"no picture")
    output = tmp_path / "mem.drr"
    done = drrpack("encode", source, "-o", output, "--codec", digits_drr, "--skip-bad")
    assert done.code == 0, done.errors
    assert f"warning: left out {bad}" in done.errors
    assert len(DRRDataset(output)) == 6
    shown = drrpack("preview", output, "-o", tmp_path / "grid.png")
    assert "originals (above)" in shown.output, "pictures left out must not hide the others"


def test_force_overwrites(drrpack: Command, source: Path, digits_drr: Path, tmp_path: Path) -> None:
    output = tmp_path / "mem.drr"
    output.write_bytes(b"old")
    done = drrpack("encode", source, "-o", output, "--codec", digits_drr, "--force")
    assert done.code == 0, done.errors
    assert len(DRRDataset(output)) == 6


# --- bad pictures and folders --------------------------------------------------------------------


def test_a_file_that_is_no_picture(drrpack: Command, source: Path, place: Path) -> None:
    bad = source / "cat/0.zip"
    bad.write_text("not a picture")
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=(bad, "--skip-bad"))


def test_a_text_beside_pictures(
    drrpack: Command, source: Path, digits_drr: Path, tmp_path: Path
) -> None:
    text, output = source / "cat/readme.txt", tmp_path / "mem.drr"
    text.write_text("cats")
    done = drrpack("encode", source, "-o", output, "--codec", digits_drr)
    assert done.code == 0, done.errors
    assert done.errors.count("left out") == 1 and f"warning: left out {text}" in done.errors
    assert len(DRRDataset(output)) == 6
    shown = drrpack("preview", output, "-o", tmp_path / "grid.png")
    assert "originals (above)" in shown.output


def test_a_truncated_picture(drrpack: Command, source: Path, place: Path) -> None:
    bad = source / "dog/1.png"
    bad.write_bytes(bad.read_bytes()[:-500])
    drrpack.refused(
        "encode", source, "-o", place / "m.drr", naming=(bad, "truncated", "--skip-bad")
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read(drrpack: Command, source: Path, place: Path) -> None:
    bad = source / "dog/1.png"
    bad.chmod(0)
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=(bad, "--skip-bad"))


def test_a_link_to_nothing(drrpack: Command, source: Path, place: Path) -> None:
    bad = source / "dog/link.png"
    bad.symlink_to("nowhere.png")
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=(bad, "--skip-bad"))


def test_an_empty_class(drrpack: Command, source: Path, place: Path) -> None:
    (source / "eel").mkdir()
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=(source / "eel", "remove"))


def test_a_class_of_bad_pictures_alone(drrpack: Command, source: Path, place: Path) -> None:
    (source / "eel").mkdir()
    (source / "eel/1.png").write_bytes(b"nothing")
    options = ("-o", place / "m.drr", "--skip-bad")
    drrpack.refused("encode", source, *options, naming=(source / "eel", "remove the folder"))


def test_two_classes_of_one_name(drrpack: Command, source: Path, place: Path) -> None:
    picture(source / "Cat/0.png")
    if len(list(source.iterdir())) == 2:
        pytest.skip("a file system that ignores case")
    naming = (source, "'Cat'", "'cat'", "rename one")
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=naming)


def test_mixed_sizes(drrpack: Command, source: Path, place: Path) -> None:
    other = picture(source / "dog/large.png", 40)
    naming = (source / "cat/0.png", other, "32x32", "40x40", "--size")
    drrpack.refused("encode", source, "-o", place / "m.drr", naming=naming)


def test_no_source(drrpack: Command, tmp_path: Path, place: Path) -> None:
    missing = tmp_path / "absent"
    drrpack.refused("encode", missing, "-o", place / "m.drr", naming=(missing, "check the path"))


def test_a_source_without_classes(drrpack: Command, tmp_path: Path, place: Path) -> None:
    picture(tmp_path / "flat/0.png")
    naming = (tmp_path / "flat", "no class folders")
    drrpack.refused("encode", tmp_path / "flat", "-o", place / "m.drr", naming=naming)


# --- bad outputs and options ---------------------------------------------------------------------


def test_the_output_exists(drrpack: Command, source: Path, place: Path) -> None:
    naming = (place / "old.drr", "exists already", "--force")
    drrpack.refused("encode", source, "-o", place / "old.drr", naming=naming)


def test_no_folder_for_the_output(drrpack: Command, source: Path, place: Path) -> None:
    naming = (place / "new", "create it first")
    drrpack.refused("encode", source, "-o", place / "new/m.drr", naming=naming)


def test_the_output_is_a_folder(drrpack: Command, source: Path, place: Path) -> None:
    drrpack.refused("encode", source, "-o", place, naming=(place, "is a folder"))


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        (["--fit", "--epochs", "1", "--minutes", "1"], ["--epochs", "--minutes", "exclude"]),
        (["--fit", "--epochs", "0"], ["--epochs 0", "say 1 or more"]),
        (["--fit", "--minutes", "0"], ["--minutes", "above zero"]),
        (["--finetune", "--minutes", "nan"], ["--minutes", "above zero"]),
        (["--minutes", "5"], ["--minutes", "see --fit"]),
        (["--epochs", "5"], ["--epochs", "see --fit"]),
        (["--fit", "--finetune"], ["--fit", "--finetune", "give one of them"]),
        (["--finetune", "--finetune-decoder"], ["--finetune-decoder", "give one of them"]),
        (["--fit", "--codec", "x.drr"], ["--fit", "--codec", "say --finetune"]),
        (["--entropy", "huffman"], ["--entropy huffman", "auto, bitswap, context"]),
        (["--fit", "--fit-classes", "0"], ["--fit-classes 0", "1 to 2"]),
        (["--fit", "--fit-classes", "3"], ["--fit-classes 3", "2 classes"]),
        (["--device", "abacus"], ["--device abacus", "auto, cpu or cuda"]),
        (["--size", "0"], ["--size 0"]),
        (["--raw-select", "random"], ["--raw-select random", "with --raw-per-class"]),
    ],
)
def test_bad_options(
    drrpack: Command, source: Path, place: Path, options: list[str], naming: list[str]
) -> None:
    drrpack.refused("encode", source, "-o", place / "m.drr", *options, naming=tuple(naming))


def test_an_unknown_option(drrpack: Command, source: Path, place: Path) -> None:
    done = drrpack("encode", source, "-o", place / "m.drr", "--colour")
    assert done.code == 2 and "--colour" in done.errors


def test_fit_classes_with_a_codec(
    drrpack: Command, source: Path, place: Path, digits_drr: Path
) -> None:
    options = ("--codec", digits_drr, "--fit-classes", "1")
    drrpack.refused("encode", source, "-o", place / "m.drr", *options, naming=("--fit-classes",))


def test_an_entropy_model_that_a_codec_lacks(
    drrpack: Command, source: Path, place: Path, bitswap_drr: Path
) -> None:
    options = ("--codec", bitswap_drr, "--entropy", "context")
    naming = ("--entropy context", bitswap_drr, "bitswap", "--finetune")
    drrpack.refused("encode", source, "-o", place / "m.drr", *options, naming=naming)


def test_a_codec_fitted_further(
    drrpack: Command, source: Path, digits_drr: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mem.drr"
    options = ("--codec", digits_drr, "--finetune", "--epochs", "1", "--device", "cpu")
    with tiny_networks():
        done = drrpack("encode", source, "-o", output, *options)
    assert done.code == 0, done.errors
    assert f"further, from {digits_drr}" in done.output
    with Reader(output) as new, Reader(digits_drr) as old:
        new.verify()
        assert new.metadata["fit"]["before"] == old.metadata["fit"]
        assert new.vqvae.config["channels"] == old.vqvae.config["channels"]
        assert new.vqvae.data != old.vqvae.data


def test_a_decoder_fitted_further(
    drrpack: Command, source: Path, digits_drr: Path, tmp_path: Path
) -> None:
    taken = ("--codec", digits_drr, "--device", "cpu")
    with tiny_networks():
        assert drrpack("encode", source, "-o", tmp_path / "as-it-is.drr", *taken).code == 0
        more = ("--finetune-decoder", "--epochs", "1", "--fit-classes", "2")
        done = drrpack("encode", source, "-o", tmp_path / "fitted.drr", *taken, *more)
    assert done.code == 0, done.errors
    assert f"its decoder alone, of {digits_drr}" in done.output
    with Reader(tmp_path / "as-it-is.drr") as old, Reader(tmp_path / "fitted.drr") as new:
        new.verify()
        assert list(new.metadata["fit"]["networks"]) == ["features", "decoder"]
        assert new.vqvae.data != old.vqvae.data
        assert new.index["codes_digest"].tolist() == old.index["codes_digest"].tolist()


def test_a_codec_that_is_none(drrpack: Command, source: Path, place: Path, tmp_path: Path) -> None:
    for name, content in (("photo.png", b"PNG"), ("empty.drr", b"")):
        (tmp_path / name).write_bytes(content)
        options = ("-o", place / "m.drr", "--codec", tmp_path / name)
        drrpack.refused("encode", source, *options, naming=(tmp_path / name, "HDF5"), code=3)
    options = ("-o", place / "m.drr", "--codec", tmp_path / "absent.drr")
    drrpack.refused("encode", source, *options, naming=(tmp_path / "absent.drr", "no such file"))


def test_a_damaged_codec(drrpack: Command, source: Path, place: Path, own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        weights = reader.entropy_model.data
    content = bytearray(own_drr.read_bytes())
    content[content.index(weights) + 100] ^= 1
    own_drr.write_bytes(content)
    options = ("-o", place / "m.drr", "--codec", own_drr)
    drrpack.refused("encode", source, *options, naming=(own_drr, "damaged"), code=3)
    own_drr.write_bytes(bytes(content)[:-1000])
    drrpack.refused("encode", source, *options, naming=(own_drr,), code=3)


def test_a_damaged_checkpoint(drrpack: Command, source: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / ".mem.drr.fit" / "vqvae.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"half a checkpoint")
    with tiny_networks():
        command = ("encode", source, "-o", tmp_path / "mem.drr", "--fit", "--epochs", "1")
        drrpack.refused(*command, naming=(checkpoint, "delete it"), code=3)
        assert not (tmp_path / "mem.drr").exists()
        shutil.rmtree(checkpoint.parent)
        assert drrpack(*command).code == 0


@pytest.mark.parametrize("select", ["herding", "random"])
def test_raw_exemplars(
    drrpack: Command, bitswap_drr: Path, digits_folder: Path, tmp_path: Path, select: str
) -> None:
    output = tmp_path / "mem.drr"
    options = ("--codec", bitswap_drr, "--raw-per-class", "4", "--raw-select", select)
    done = drrpack("encode", digits_folder, "-o", output, *options, "--device", "cpu")
    assert done.code == 0, done.errors
    pairs = DRRDataset(output, raw="pairs")
    assert len(pairs) == 40 and pairs.targets == sorted(4 * list(range(10)))
    with Reader(output) as reader:
        reader.verify()
        assert reader.metadata["raw"] == {"per_class": 4, "select": select}
        parts = reader.byte_account()
        assert sum(parts.values()) - parts["file"] == parts["file"] == os.path.getsize(output)
        assert 0 < parts["raw"] < 40 * 32 * 32 * 3
    assert "raw exemplars" in done.output


def test_raw_exemplars_of_classes_with_fewer_images(
    drrpack: Command, source: Path, context_drr: Path, tmp_path: Path
) -> None:
    for index, (name, count) in enumerate((("eel", 2), ("fox", 5))):
        for number in range(count):
            picture(source / name / f"{number}.png", seed=50 * (index + 1) + number)
    command = ("encode", source, "--codec", context_drr, "-o", tmp_path / "mem.drr", "--force")
    done = drrpack(*command, "--raw-per-class", "4")
    assert done.errors.count("--raw-per-class 4: 3 of 4 classes have fewer images") == 1
    assert "'eel' has the fewest, 2" in done.errors
    with Reader(tmp_path / "mem.drr") as reader:
        assert reader.metadata["raw"]["per_class"] == 4
    assert DRRDataset(tmp_path / "mem.drr", raw="pairs").targets == [
        *3 * [0],
        *3 * [1],
        *2 * [2],
        *4 * [3],
    ]
    assert "fewer images" not in drrpack(*command, "--raw-per-class", "2").errors


def test_raw_exemplars_of_a_strange_kind(
    drrpack: Command, source: Path, digits_drr: Path, place: Path
) -> None:
    start = ("encode", source, "-o", place / "x.drr", "--codec", digits_drr)
    drrpack.refused(*start, "--raw-per-class", "-1", naming=("--raw-per-class", "-1"))
    drrpack.refused(*start, "--raw-select", "best", naming=("herding, random", "--raw-select best"))


def test_the_help_names_every_family_and_its_sizes() -> None:
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    (option,) = (one for one in commands["encode"].params if one.name == "family")
    for family in FAMILIES.values():
        assert family.name in option.help and f" {family.largest_side}" in option.help
    assert option.help.endswith("Default: by the size of the images.")
    (option,) = (one for one in commands["compare"].params if one.name == "family")
    assert all(name in option.help for name in FAMILIES)
