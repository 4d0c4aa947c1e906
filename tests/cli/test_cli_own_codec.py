"""The codec that comes with drrpack: what a newcomer gets who says nothing about codecs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Command

from drrpack import DRRDataset
from drrpack.core.families import LARGE, MEDIUM, SMALL, Family
from drrpack.core.vqvae import as_stored
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.operations.verify import verify

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def few(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits, thirty pictures each."""
    place = tmp_path_factory.mktemp("few") / "digits"
    place.mkdir()
    for digit in "38":
        (place / digit).symlink_to(digits_folder / "train" / digit)
    return place


@pytest.fixture(scope="module")
def fewer(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits, eight pictures each."""
    place = tmp_path_factory.mktemp("fewer") / "digits"
    for digit in "38":
        (place / digit).mkdir(parents=True)
        for picture in sorted((digits_folder / "train" / digit).iterdir())[:8]:
            (place / digit / picture.name).symlink_to(picture)
    return place


def encoded(drrpack: Command, source: Path, output: Path, *options: str) -> str:
    done = drrpack("encode", source, "-o", output, "--device", "cpu", *options)
    assert done.code == 0, done.errors
    verify(output, "full")
    return done.output


def stats(drrpack: Command, path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(drrpack("stats", path, "--json").output)
    return found


def test_it_needs_no_word(drrpack: Command, few: Path, tmp_path: Path) -> None:
    told = encoded(drrpack, few, tmp_path / "mem.drr")
    assert "codec: small (comes with drrpack)" in told
    assert "entropy model: " in told and "context " in told and "bitswap " in told
    images, labels = DRRDataset(tmp_path / "mem.drr").to_numpy()
    assert images.shape == (60, 32, 32, 3) and labels.tolist() == 30 * [0] + 30 * [1]
    truth = np.concatenate(
        [image for image, _ in zip([_pictures(few / digit) for digit in "38"], "38", strict=True)]
    )
    error = np.square(images.astype(float) - truth).mean()
    assert error < np.square(truth - truth.mean()).mean() / 4, "it shows what was encoded"


def _pictures(folder: Path) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(p).convert("RGB")) for p in sorted(folder.iterdir())])


@pytest.mark.parametrize("kind", ["context", "bitswap"])
def test_either_entropy_model(drrpack: Command, fewer: Path, tmp_path: Path, kind: str) -> None:
    told = encoded(drrpack, fewer, tmp_path / "mem.drr", "--entropy", kind)
    assert "entropy model: " not in told, "there was no choice"
    assert stats(drrpack, tmp_path / "mem.drr")["entropy_model"] == kind


def test_quality_decides_on_bytes(drrpack: Command, fewer: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in (0, 75, 100):
        path = tmp_path / f"{quality}.drr"
        encoded(drrpack, fewer, path, "--quality", str(quality), "--entropy", "context")
        with Reader(path) as reader:
            assert reader.metadata["quality"] == quality
            sizes.append(reader.byte_account()["payload"])
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_thin_file_is_its_streams(drrpack: Command, fewer: Path, tmp_path: Path) -> None:
    whole, thin = tmp_path / "whole.drr", tmp_path / "thin.drr"
    encoded(drrpack, fewer, whole, "--entropy", "context")
    encoded(drrpack, fewer, thin, "--entropy", "context", "--thin")
    np.testing.assert_array_equal(DRRDataset(thin).to_numpy()[0], DRRDataset(whole).to_numpy()[0])
    assert thin.stat().st_size < 15_000 < whole.stat().st_size / 10


def test_appended_images_are_of_the_same_quality(
    drrpack: Command, fewer: Path, digits_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "more" / "5").mkdir(parents=True)
    for picture in sorted((digits_folder / "train" / "5").iterdir())[:8]:
        (tmp_path / "more" / "5" / picture.name).symlink_to(picture)
    options = ("--entropy", "context", "--quality", "20")
    encoded(drrpack, fewer, tmp_path / "mem.drr", *options)
    encoded(drrpack, tmp_path / "more", tmp_path / "more.drr", *options)
    done = drrpack("append", tmp_path / "mem.drr", tmp_path / "more", "--keep-entropy-model")
    assert done.code == 0, done.errors
    both, alone = (DRRDataset(tmp_path / name).to_numpy()[0] for name in ("mem.drr", "more.drr"))
    np.testing.assert_array_equal(both[16:], alone)


def test_a_missing_codec_is_said(
    drrpack: Command, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nothing")
    output = tmp_path / "mem.drr"
    drrpack.refused("encode", few, "-o", output, naming=(tmp_path / "nothing", "reinstall"), code=1)


@pytest.mark.parametrize(
    ("family", "kinds"),
    [(SMALL, ["bitswap", "context"]), (MEDIUM, ["context"]), (LARGE, ["context"])],
)
def test_all_files_of_a_family_have_one_vqvae(family: Family, kinds: list[str]) -> None:
    codecs = []
    for path in shipped.paths(family):
        with Reader(path) as reader:
            verify(path, "full")
            codecs.append(load_codec(reader, CPU, encoder=True))
    assert sorted(c.entropy.kind for c in codecs) == kinds
    one, *others = (as_stored(codec.vqvae).state_dict() for codec in codecs)
    assert all(torch.equal(one[name], other[name]) for other in others for name in one)


def test_each_vqvae_comes_along_once() -> None:
    encoders = {shipped.key(one) for one, _ in shipped.pairs() if one.config.get("encoder") is True}
    assert len(encoders) == 3


def test_its_card_names_what_is_there() -> None:
    card = (shipped.FOLDER / "README.md").read_text("utf-8")
    for path in shipped.paths():
        assert path.name in card and f"{path.stat().st_size:,}" in card
