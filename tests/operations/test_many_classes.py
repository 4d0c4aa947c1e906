"""A thousand classes, some of one image: all is there, and what each costs beside its streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_memory import encode_tiny

from drrpack import DRRDataset
from drrpack.core.codes import Codes
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.source import open_source
from drrpack.operations.append import append
from drrpack.operations.verify import verify

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

MANY, FEW = 1_000, 10
CPU = torch.device("cpu")


def write_classes(folder: Path, numbers: range) -> Path:
    """Classes named as those of ImageNet; every third has one picture, the others two."""
    for number in numbers:
        place = folder / f"n{number:08}"
        place.mkdir(parents=True)
        random = np.random.default_rng(number)
        for picture in range(1 + (number % 3 > 0)):
            coarse = Image.fromarray(random.integers(0, 256, (2, 2, 3), dtype=np.uint8))
            coarse.resize((8, 8), Image.Resampling.BILINEAR).save(place / f"{picture}.png")
    return folder


@pytest.fixture(scope="module")
def many(bitswap_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("many")
    folder = write_classes(place / "classes", range(MANY))
    return encode_tiny(folder, place / "many.drr", codec=bitswap_drr)


def test_every_class_decodes_to_the_codes_of_its_images(many: Path) -> None:
    assert verify(many, "full").checked.streams_decoded == 2 * MANY
    source = open_source(many.parent / "classes")
    with Reader(many) as reader:
        assert reader.images_per_class.tolist() == list(source.images_per_class)
        codec = load_codec(reader, CPU, encoder=True)
    for number in (0, 1, 499, 998, 999):
        name = source.classes[number]
        alone = DRRDataset(many, classes=[name])
        top, bottom = alone.codes(range(len(alone)))
        found = Codes.of(np.asarray(top), np.asarray(bottom))
        assert found.digest == codec.encode(source.load(number)).digest


def test_what_a_class_costs_beside_its_streams(
    many: Path, bitswap_drr: Path, tmp_path: Path
) -> None:
    few = encode_tiny(
        write_classes(tmp_path / "few", range(FEW)), tmp_path / "few.drr", codec=bitswap_drr
    )
    with Reader(many) as large, Reader(few) as small:
        more = large.byte_account()["container"] - small.byte_account()["container"]
    bytes_per_class = more / (MANY - FEW)
    print(f"index, names and checksums: {bytes_per_class:.1f} bytes a class")
    assert bytes_per_class < 100


def test_a_class_of_one_image_more(many: Path, tmp_path: Path) -> None:
    path = tmp_path / "mem.drr"
    path.write_bytes(many.read_bytes())
    new = write_classes(tmp_path / "new", range(MANY + 2, MANY + 3))  # number 1,002 has one picture
    append(path, new, keep_entropy_model=True, device="cpu")
    with Reader(many) as before, Reader(path) as after:
        assert after.classes == [*before.classes, f"n{MANY + 2:08}"]
        kept = after.index["codes_digest"][:MANY].tolist()
        assert kept == before.index["codes_digest"].tolist()
    assert len(DRRDataset(path, classes=[f"n{MANY + 2:08}"])) == 1
    verify(path, "full")
