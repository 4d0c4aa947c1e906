"""Which of the codecs that come with drrpack images get: the one meant for their size."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import drrpack
from drrpack import DRRDataset, ReplayBuffer
from drrpack.core.errors import OptionError
from drrpack.core.families import LARGE, MEDIUM, SMALL
from drrpack.core.weights import stored_stride
from drrpack.formats import shipped
from drrpack.formats.container import Reader

pytestmark = pytest.mark.usefixtures("one_thread")


def write_pictures(folder: Path, classes: str, side: int, each: int = 3) -> Path:
    """Folders of squares of soft patches."""
    rng = np.random.default_rng(side)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            patches = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
            patches.resize((side, side), Image.Resampling.BICUBIC).save(
                folder / name / f"{number}.png"
            )
    return folder


def stride_of(path: Path) -> int:
    with Reader(path) as reader:
        assert reader.vqvae.version == shipped.VERSION  # by one that comes with drrpack
        return stored_stride(shipped.whole(reader.vqvae, path))


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 64x64 by the codec that is meant for them."""
    place = tmp_path_factory.mktemp("medium")
    source = write_pictures(place / "source", "ab", 64)
    drrpack.encode(source, place / "mem.drr", thin=True, raw_per_class=1)
    return place / "mem.drr"


def test_pictures_of_64_pixels_take_a_code_for_8x8(medium: Path) -> None:
    assert stride_of(medium) == 8
    with Reader(medium) as reader:  # what its fit was like stands in the codec's own file
        log = reader.metadata["fit"]
        assert {"source_digest", "classes", "device"} <= set(log) and "networks" not in str(log)
    dataset = DRRDataset(medium)
    top, bottom = dataset.codes(range(6))
    assert (top.shape, bottom.shape) == ((6, 4, 4), (6, 8, 8))
    assert drrpack.verify(medium, "full").checked.streams_decoded == 4


def test_they_look_like_the_pictures(medium: Path) -> None:
    """Nearer to their own picture than to any other one."""
    pairs = DRRDataset(medium, raw="pairs")
    originals = np.stack([np.asarray(raw, dtype=float) for raw, _, _ in pairs])
    decoded = np.stack([np.asarray(made, dtype=float) for _, made, _ in pairs])
    errors = np.square(originals[:, None] - decoded[None]).mean((2, 3, 4))
    assert len(errors) > 1 and (errors.argmin(1) == np.arange(len(errors))).all()


def test_more_pictures_are_added_by_the_same_codec(medium: Path, tmp_path: Path) -> None:
    copy = tmp_path / "more.drr"
    copy.write_bytes(medium.read_bytes())
    drrpack.append(copy, write_pictures(tmp_path / "new", "c", 64))
    assert stride_of(copy) == 8 and len(DRRDataset(copy)) == 9
    np.testing.assert_array_equal(
        DRRDataset(copy).to_numpy()[0][:6], DRRDataset(medium).to_numpy()[0]
    )


@pytest.mark.parametrize(
    ("side", "family", "stride"),
    [(24, None, 4), (56, "small", 4), (24, "medium", 8), (24, "large", 16), (160, None, 16)],
)
def test_the_family_can_be_named(
    tmp_path: Path, side: int, family: str | None, stride: int
) -> None:
    source = write_pictures(tmp_path / "source", "a", side, each=1)
    drrpack.encode(source, tmp_path / "mem.drr", thin=True, family=family)
    assert stride_of(tmp_path / "mem.drr") == stride


def test_larger_ones_get_the_codec_that_reaches_furthest() -> None:
    assert shipped.paths_for((700, 200)) == shipped.paths(LARGE)
    assert shipped.paths_for((300, 20)) == shipped.paths(MEDIUM)  # a strip: no patch is full
    assert shipped.paths_for((128, 20)) == shipped.paths(MEDIUM)
    assert shipped.paths_for((48, 48)) == shipped.paths(SMALL)


def test_a_family_without_a_codec_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in shipped.paths(SMALL):  # a drrpack that has no other
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    source = write_pictures(tmp_path / "source", "a", 24, each=1)
    with pytest.raises(OptionError, match="no codec of this family comes with drrpack"):
        drrpack.encode(source, tmp_path / "mem.drr", family="medium")
    assert not (tmp_path / "mem.drr").exists()


@pytest.mark.slow
def test_a_comparison_is_with_the_codec_for_the_size(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "source", "ab", 64)
    coarse, fine = (drrpack.compare(source, family=family) for family in (None, "small"))
    coarse_bytes, fine_bytes = (
        min(choice.image_bytes for choice in found.of("DRR thin")) for found in (coarse, fine)
    )
    assert coarse_bytes < fine_bytes / 2
    with pytest.raises(OptionError, match="`family` has no meaning beside `codec`"):
        drrpack.compare(source, family="small", codec=tmp_path / "mem.drr")


def test_a_replay_buffer_is_of_the_family_that_is_asked_for() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    held = {}
    for family in ("small", "medium", "large"):
        buffer = ReplayBuffer(budget_bytes=10_000, family=family)
        buffer.add(images, [0, 1])
        held[family] = buffer.bytes
    assert held["medium"] < held["small"] / 3
    assert held["large"] < held["medium"] / 2  # two classes take 48 bytes of that
    with pytest.raises(OptionError, match="`family='huge'`: say one of small, medium, large"):
        ReplayBuffer(budget_bytes=10_000, family="huge")
    with pytest.raises(OptionError, match="`family` has no meaning beside `codec`"):
        ReplayBuffer(shipped.paths(SMALL)[0], 10_000, family="small")
