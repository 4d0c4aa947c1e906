"""What `drrpack merge` refuses where streams could be read: other pixels would come of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command import Command
from tiny_memory import encode_tiny, write_digits

from drrpack import DRRDataset
from drrpack.formats import memory
from drrpack.formats.container import Memory, Reader, write
from drrpack.formats.files.publish import changing

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def files(bitswap_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of one codec, with other classes and other layouts of streams."""
    place = tmp_path_factory.mktemp("merge")
    made = []
    for name, digits, count in (("long", "01", 30), ("short", "89", 3)):
        folder = write_digits(place / f"all-{name}", train=count, test=1)
        for path in (folder / "train").iterdir():
            if path.name not in digits:
                path.rename(place / f"{name}-{path.name}")
        made.append(encode_tiny(folder / "train", place / f"{name}.drr", codec=bitswap_drr))
    return made[0], made[1]


def content_of(path: Path) -> Memory:
    with Reader(path) as reader:
        return reader.memory()


def with_other_decoder(path: Path, output: Path) -> Path:
    """The same codes by another decoder: a finer one of the same shape, as tuning makes it."""
    with Reader(path) as reader:
        codec = memory.load_codec(reader, torch.device("cpu"), encoder=True)
        content = reader.memory()
    last = codec.vqvae.decoder[-1].weight
    with torch.no_grad():
        last += 2.0**-7
    write(output, replace(content, vqvae=memory.sections(codec)[0]))
    return output


def test_other_layouts_alone_are_no_hindrance(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    layouts = [content_of(path).entropy_model.config["streams"] for path in files]
    assert layouts[0] != layouts[1]
    done = drrpack("merge", *files, "-o", tmp_path / "both.drr")
    assert done.code == 0, done.errors
    assert len(DRRDataset(tmp_path / "both.drr")) == 66


def test_another_decoder_is_refused(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = with_other_decoder(files[1], tmp_path / "tuned.drr")
    naming = (files[0], other, "VQ-VAE", "other weights")
    drrpack.refused("merge", files[0], other, "-o", tmp_path / "x.drr", naming=naming)
    drrpack.refused("merge", other, files[0], "-o", tmp_path / "x.drr", naming=naming)
    assert not (tmp_path / "x.drr").exists()


def test_a_decoder_alone_is_refused_in_both_orders(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    content = content_of(files[1])
    alone = tmp_path / "alone.drr"
    write(alone, replace(content, vqvae=memory.decoder_alone(content.vqvae)))
    for pair in ((files[0], alone), (alone, files[0])):
        drrpack.refused("merge", *pair, "-o", tmp_path / "x.drr", naming=("VQ-VAE", "encoder"))


def test_a_decoder_alone_is_not_called_another_codec(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """The decoders are the same weights: one file lacks the encoder, and that is all."""
    content, alone, out = content_of(files[1]), tmp_path / "alone.drr", tmp_path / "x.drr"
    write(alone, replace(content, vqvae=memory.decoder_alone(content.vqvae)))
    for pair in ((files[0], alone), (alone, files[0])):
        told = drrpack.refused("merge", *pair, "-o", out, naming=pair)
        assert f"{files[0]} and {alone} were made by one codec" in told
        assert "lacks the encoder" in told and "--decoder-only" in told
        assert f"the images of {alone} again, with {files[0]} as --codec" in told
    other = with_other_decoder(files[1], tmp_path / "tuned.drr")
    drrpack.refused("merge", other, alone, "-o", out, naming=(other, alone, "different codecs"))
    assert drrpack("merge", alone, "-o", tmp_path / "again.drr").code == 0


def test_other_sizes_of_images_are_refused(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    large = tmp_path / "large.drr"
    write(large, replace(content_of(files[1]), image_size=(64, 64)))
    naming = (files[0], large, "32x32", "64x64")
    drrpack.refused("merge", files[0], large, "-o", tmp_path / "x.drr", naming=naming)


def test_a_file_that_is_being_changed_is_not_replaced(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "both.drr"
    output.write_bytes(files[0].read_bytes())
    command = ("merge", *files, "-o", output, "--force")
    with changing(output):
        drrpack.refused(*command, naming=(output, "another process is changing it"))
        assert output.read_bytes() == files[0].read_bytes()
    assert drrpack(*command).code == 0


def test_metadata_may_hold_anything(
    drrpack: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    strange = [
        {"figures": "see paper", "sources": "none", "fit": "by hand"},
        {"figures": {"reference_bits": [1], "psnr_db": "good"}, "sources": [5, {"path": 1}]},
        {"figures": {"reference_bits": {"top": 3}, "psnr_on": None}, "sources": [{"path": "x"}]},
    ]
    for number, metadata in enumerate(strange):
        path = tmp_path / f"{number}.drr"
        write(path, replace(content_of(files[1]), metadata=metadata))
        for command in (
            ("stats", path),
            ("stats", path, "--json"),
            ("merge", files[0], path, "-o", tmp_path / f"both{number}.drr"),
            ("drop", path, "9"),
            ("verify", path, "--full"),
        ):
            done = drrpack(*command)
            assert done.code == 0, (command, done.errors)


def test_the_other_decoder_is_sound(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The other decoder of these tests is a sound one, of the very same codes."""
    other = with_other_decoder(files[1], tmp_path / "tuned.drr")
    one, two = DRRDataset(files[1]), DRRDataset(other)
    for level in (0, 1):
        assert (one.codes([0, 1])[level] == two.codes([0, 1])[level]).all()
    assert (one.to_numpy()[0] != two.to_numpy()[0]).any()
