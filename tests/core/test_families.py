"""A codec family that drrpack does not know: one entry, and a file is fitted, written and read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import SMALL_VQVAE
from tiny_memory import encode_tiny, options_for

from drrpack import DRRDataset, encode, stats, verify
from drrpack.core import families
from drrpack.core.codes import Codes
from drrpack.core.errors import OptionError, VersionError
from drrpack.core.families import FAMILIES, LARGE, MEDIUM, SMALL, Family, register
from drrpack.core.vqvae import VQVAEConfig, pad, to_float
from drrpack.formats import memory
from drrpack.formats.container import Reader
from drrpack.operations.append import append
from drrpack.operations.encode_plan import plan_encode
from drrpack.operations.encoding.options import Fit

pytestmark = pytest.mark.usefixtures("one_thread")

PATCHES = Family("patches", 128, replace(SMALL_VQVAE, stride=8))
HEIGHT, WIDTH = 24, 40  # of the pictures: no multiples of 16


@pytest.fixture(autouse=True, scope="module")
def known() -> Iterator[None]:
    before = dict(FAMILIES)
    register(PATCHES)
    yield
    FAMILIES.clear()
    FAMILIES.update(before)


def write_pictures(folder: Path, classes: str, each: int = 20) -> Path:
    """Folders of pictures with soft patches, each class about a colour of its own."""
    for name in classes:
        rng = np.random.default_rng(ord(name))
        colour = rng.integers(60, 200, 3)
        (folder / name).mkdir(parents=True)
        for number in range(each):
            coarse = np.clip(rng.normal(colour, 40, (4, 5, 3)), 0, 255).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "source", "abc")


@pytest.fixture(scope="module")
def file(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("patches") / "mem.drr"
    return encode_tiny(
        pictures, output, epochs=60, fit_classes=3, family="patches", raw_per_class=1
    )


def test_its_stride_is_in_the_file(file: Path) -> None:
    with Reader(file) as reader:
        assert reader.vqvae.version == "3.0" and reader.vqvae.config["stride"] == 8


def test_the_file_is_sound(file: Path) -> None:
    found = verify(file, "full")
    assert found.checked.streams_decoded == 6 and found.images == 60


def test_codes_are_those_of_the_network(file: Path) -> None:
    """The network itself, by hand: what a file stores is what it makes of padded pixels."""
    dataset = DRRDataset(file)
    top, bottom = dataset.codes(range(60))
    assert (top.shape, bottom.shape) == ((60, 2, 3), (60, 4, 6))
    raw = DRRDataset(file, raw="pairs")
    network = dataset.codec.vqvae
    for index, (original, _, _) in enumerate(raw):
        pixels = to_float(original.permute(1, 2, 0)[None])
        padded = pad(pixels, 8)
        assert padded.shape == (1, 3, 32, 48)
        made = network.encode(padded)
        kept = raw._images[index]
        same = [
            float((a == b[kept]).float().mean()) for a, b in zip(made, (top, bottom), strict=True)
        ]
        assert min(same) > 0.95  # one in a hundred is a tie between batches at most


def test_pixels_come_back(file: Path, pictures: Path) -> None:
    dataset = DRRDataset(file)
    images, labels = dataset.to_numpy()
    assert images.shape == (60, HEIGHT, WIDTH, 3)
    assert labels.tolist() == np.repeat([0, 1, 2], 20).tolist()
    paths = sorted(pictures.glob("*/*.png"))
    wanted = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(float)
    error, of_others = (np.square(images - w).mean() for w in (wanted, np.roll(wanted, 20, 0)))
    assert error < 0.8 * of_others


def test_pixels_do_not_depend_on_the_batch(file: Path) -> None:
    dataset = DRRDataset(file)
    images, _ = dataset.to_numpy()
    for indices in ([7], [59, 7, 7], range(60)):
        found = dataset.codec.decode(_codes(dataset, indices), (HEIGHT, WIDTH))
        np.testing.assert_array_equal(found, images[list(indices)])
    other = DRRDataset(file)
    for number in (0, 33, 59):
        np.testing.assert_array_equal(other[number][0].permute(1, 2, 0), images[number])


def _codes(dataset: DRRDataset, indices: object) -> Codes:
    top, bottom = dataset.codes(indices)  # type: ignore[arg-type]
    return Codes.of(top.numpy(), bottom.numpy())


def test_bits_are_counted_by_its_grids(file: Path) -> None:
    found = stats(file)
    with Reader(file) as reader:
        sizes = {level: int(reader.index[f"{level}_bytes"].sum()) for level in ("top", "bottom")}
    assert found.bits_per_code.top.coded == pytest.approx(8 * sizes["top"] / (60 * 6))
    assert found.bits_per_code.bottom.coded == pytest.approx(8 * sizes["bottom"] / (60 * 24))


def test_classes_are_added_to_it(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "more.drr"
    copy.write_bytes(file.read_bytes())
    before = DRRDataset(copy).to_numpy()[0]
    append(copy, write_pictures(tmp_path / "new", "de", each=3), keep_entropy_model=True)
    assert verify(copy, "full").images == 66
    np.testing.assert_array_equal(DRRDataset(copy).to_numpy()[0][:60], before)


def test_a_program_that_knows_no_strides_refuses_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "VQVAE_VERSIONS", ("1.0", "2.0"))
    with pytest.raises(VersionError, match=r"VQ-VAE has version 3\.0.*update drrpack"):
        DRRDataset(file).to_numpy()


def test_small_images_get_what_every_size_had_before(pictures: Path, tmp_path: Path) -> None:
    assert (families.DEFAULT, SMALL.vqvae.stride, MEDIUM.vqvae.stride) == ("small", 4, 8)
    assert SMALL.vqvae == VQVAEConfig(embedding=16, codebook_bits=7)
    made = encode_tiny(pictures, tmp_path / "default.drr")
    with Reader(made) as reader:
        assert reader.vqvae.version == "2.0" and "stride" not in reader.vqvae.config


def test_a_name_belongs_to_one_family() -> None:
    register(PATCHES)  # once more is nothing new
    with pytest.raises(ValueError, match="two codec families patches"):
        register(replace(PATCHES, largest_side=64))


def test_a_family_that_is_not_known_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match="`family='huge'`: say one of small, medium, large, patches"
    ):
        plan_encode(options_for(pictures, tmp_path / "m.drr", family="huge"))


@pytest.mark.parametrize("fit", ["no", "finetune", "decoder"])
def test_the_codec_of_a_file_is_of_a_family_already(file: Path, tmp_path: Path, fit: Fit) -> None:
    with pytest.raises(OptionError, match="`family` has no meaning beside `codec`"):
        encode("digits", tmp_path / "m.drr", fit=fit, family="medium", codec=file)


@pytest.mark.parametrize(
    ("height", "width", "name"),
    [(8, 8, "small"), (48, 48, "small"), (48, 49, "medium"), (128, 3, "medium"), (500, 8, "large")],
)
def test_the_longer_side_says_which_is_meant(height: int, width: int, name: str) -> None:
    some = [replace(MEDIUM, name="large", largest_side=300), MEDIUM, SMALL]
    assert families.for_size((height, width), some).name == name


@pytest.mark.parametrize(("size", "name"), [((32, 129), "large"), ((400, 31), "medium")])
def test_a_strip_fills_no_large_patch(size: tuple[int, int], name: str) -> None:
    assert families.for_size(size, (SMALL, MEDIUM, LARGE)).name == name


def test_a_fit_begins_with_the_one_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for side, other, name in ((48, 20, "small"), (49, 20, "medium"), (129, 32, "large")):
        Image.new("RGB", (side, other)).save(tmp_path / "a" / "one.png")
        plan = plan_encode(options_for(tmp_path, tmp_path.parent / "m.drr", fit="scratch"))
        assert plan.family.name == name
