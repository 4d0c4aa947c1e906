"""Files without a part of their models: decoders alone, and shipped models left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import small_vqvae
from tiny_memory import encode_tiny, options_for

from drrpack import DRRDataset
from drrpack.core import weights
from drrpack.core.errors import OptionError, VersionError
from drrpack.formats import shipped
from drrpack.formats.container import Reader, write
from drrpack.formats.encoder import can_choose, with_encoder
from drrpack.formats.memory import load_codec
from drrpack.operations.append import append
from drrpack.operations.encode_plan import plan_encode
from drrpack.operations.entropy_models import shipped_beside
from drrpack.operations.recode import merged
from drrpack.operations.verify import verify

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits_drr(context_drr: Path) -> Path:
    """By a codec of a few kilobytes, which drrpack ships in the tests below."""
    return context_drr


CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Digits 0 to 2, and 3 and 4, each alone."""
    place = tmp_path_factory.mktemp("parts")
    for name, digits in (("first", "012"), ("more", "34")):
        for digit in digits:
            shutil.copytree(digits_folder / "train" / digit, place / name / digit)
    return {name: place / name for name in ("first", "more")}


@pytest.fixture(scope="module", autouse=True)
def comes_along(digits_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """drrpack ships the codec of the digits, in a file without images."""
    folder = tmp_path_factory.mktemp("data")
    with Reader(digits_drr) as reader:
        content = replace(reader.memory(), chunks=[], raw=[], metadata={})
    write(folder / "digits.drr", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "FOLDER", folder)
        yield


@pytest.fixture
def comes_with_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nothing")


KINDS: dict[str, dict[str, bool]] = {
    "whole": {},
    "alone": {"decoder_only": True},
    "thin": {"thin": True},
}


@pytest.fixture(scope="module")
def made(
    comes_along: None, digits_drr: Path, folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:  # fmt: skip
    """The first digits with the whole codec, with the decoder alone, and without a codec."""
    place = tmp_path_factory.mktemp("made")
    return {
        kind: encode_tiny(folders["first"], place / f"{kind}.drr", codec=digits_drr, **options)
        for kind, options in KINDS.items()
    }


def own(path: Path, place: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copy(path, place))


def pixels(path: Path) -> np.ndarray:
    return DRRDataset(path).to_numpy()[0]


def size_of(path: Path, part: str) -> int:
    with Reader(path) as reader:
        return reader.byte_account()[part]


def append_to(path: Path, folder: Path, keep: bool = True) -> None:
    epochs = None if keep else 1
    append(path, folder, keep_entropy_model=keep, epochs=epochs, device="cpu")


# --- decoders alone ---


def test_a_decoder_alone_decodes(made: dict[str, Path]) -> None:
    np.testing.assert_array_equal(pixels(made["alone"]), pixels(made["whole"]))
    assert size_of(made["alone"], "vqvae") < size_of(made["whole"], "vqvae") / 2
    verify(made["alone"], "full")


def test_a_decoder_alone_takes_no_images(
    comes_with_nothing: None, made: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    alone = own(made["alone"], tmp_path)
    with pytest.raises(OptionError, match=f"{alone}: it was written with `decoder_only`"):
        append_to(alone, folders["more"])
    assert alone.read_bytes() == made["alone"].read_bytes()
    with Reader(alone) as reader, pytest.raises(OptionError, match="no encoder"):
        load_codec(reader, CPU).encode(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(OptionError, match=f"{alone}: .* no encoder.* take a file with") as caught:
        encode_tiny(folders["more"], tmp_path / "other.drr", codec=alone)
    assert "append" not in str(caught.value)


def test_the_encoder_of_a_shipped_codec_is_at_hand(
    made: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    whole, alone = (own(made[kind], tmp_path) for kind in ("whole", "alone"))
    for path in (whole, alone):
        append_to(path, folders["more"])
        verify(path, "full")
    np.testing.assert_array_equal(pixels(alone), pixels(whole))
    assert size_of(alone, "vqvae") == size_of(made["alone"], "vqvae")


# --- models left out ---


def test_a_thin_file_reads_where_its_codec_is(made: dict[str, Path]) -> None:
    thin, whole = made["thin"], made["whole"]
    np.testing.assert_array_equal(pixels(thin), pixels(whole))
    for part in ("vqvae", "entropy_model"):
        assert size_of(thin, part) < 300 < size_of(whole, part)
    assert size_of(thin, "payload") == size_of(whole, "payload")
    verify(thin, "full")


def test_a_thin_file_names_what_is_missing(comes_with_nothing: None, made: dict[str, Path]) -> None:
    thin = made["thin"]
    with pytest.raises(VersionError, match=f"{thin}: it leaves out the model .*update drrpack"):
        pixels(thin)
    with Reader(thin) as reader:  # all else is there
        assert reader.classes == ["0", "1", "2"]
        reader.verify()


def test_only_shipped_models_can_be_left_out(
    comes_with_nothing: None, digits_drr: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    first, output = folders["first"], tmp_path / "thin.drr"
    with pytest.raises(OptionError, match="come with drrpack"):
        encode_tiny(first, output, codec=digits_drr, thin=True)
    with pytest.raises(OptionError, match="`decoder_only` adds nothing"):
        encode_tiny(first, output, codec=digits_drr, thin=True, decoder_only=True)
    with pytest.raises(OptionError, match="one that is fitted does not"):
        plan_encode(options_for(first, output, thin=True))  # before hours of fitting
    assert not output.exists()


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "tuned"])
def test_a_thin_file_grows(
    made: dict[str, Path], folders: dict[str, Path], tmp_path: Path, keep: bool
) -> None:
    thin = own(made["thin"], tmp_path)
    append_to(thin, folders["more"], keep)
    verify(thin, "full")
    np.testing.assert_array_equal(pixels(thin)[:90], pixels(made["whole"]))
    assert size_of(thin, "vqvae") < 300
    if keep:
        assert size_of(thin, "entropy_model") < 300


def test_thin_and_whole_files_of_one_codec_merge(
    made: dict[str, Path], digits_drr: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    thin, whole = made["thin"], encode_tiny(folders["more"], tmp_path / "w.drr", codec=digits_drr)
    with Reader(thin) as one, Reader(whole) as two:
        content, other = (merged(pair, CPU).loaded() for pair in ([one, two], [two, one]))
        assert other.vqvae == two.vqvae, "whole as the first file is"
    both = tmp_path / "both.drr"
    write(both, content)
    verify(both, "full")
    np.testing.assert_array_equal(pixels(both), np.concatenate([pixels(thin), pixels(whole)]))
    assert size_of(both, "vqvae") < 300


def test_shipped_models_are_unpacked_once_to_be_found(
    made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader(made["whole"]) as whole, Reader(made["alone"]) as alone:
        codec = load_codec(whole, CPU)
        encoder = replace(codec.encoder, quality=50)
        decoder = alone.vqvae
        load_codec(alone, CPU, encoder=True)  # whatever is looked up now is known from here on
        unpacked = 0
        honest = weights.skeleton

        def counted(*arguments: Any) -> Any:
            nonlocal unpacked
            unpacked += 1
            return honest(*arguments)

        monkeypatch.setattr(weights, "skeleton", counted)
        assert all(can_choose(encoder) for _ in range(5)) and unpacked == 0
        (beside,) = shipped_beside(codec)
        assert unpacked == 0 and beside.entropy.kind == "context"
        with_encoder(alone, decoder)
        assert unpacked <= 2, "the decoder itself, and the one that has its codebooks"
    assert shipped.with_codebooks(small_vqvae(), earlier=True) == []


def test_models_of_earlier_versions_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thin file may name one; no new file is made with it."""
    monkeypatch.setattr(shipped, "FOLDER", Path(shipped.__file__).parents[1] / "data")
    earlier = sorted((shipped.FOLDER / shipped.EARLIER).glob("*.drr"))
    assert earlier and not set(earlier) & set(shipped.paths())
    for path in earlier:
        with Reader(path) as reader:
            section = reader.entropy_model
        named = shipped.thin(section)
        assert not named.data and shipped.whole(named, path) == section
        assert shipped.key(section) not in {shipped.key(model) for _, model in shipped.pairs()}
