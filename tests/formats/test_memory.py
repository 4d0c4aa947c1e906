"""The container and the codec together: models stored and loaded, streams of some classes read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drr_files import read_all

from drrpack import DRRDataset
from drrpack.core.entropy import networks
from drrpack.core.errors import CorruptError, FormatError
from drrpack.core.section import Section
from drrpack.core.weights import pack_vqvae, unpack_vqvae
from drrpack.formats import memory
from drrpack.formats.container import Chunk, Memory, Reader, write
from drrpack.formats.layout import dump_json

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def rewritten(own_drr: Path, **changed: object) -> Reader:
    """The file with parts exchanged, and every checksum right."""
    write(own_drr, replace(read_all(own_drr), **changed), overwrite=True)  # type: ignore[arg-type]
    return Reader(own_drr)


def test_sections_are_what_was_loaded(digits_drr: Path) -> None:
    with Reader(digits_drr) as reader:
        codec = memory.load_codec(reader, CPU)
        for made, read in zip(
            memory.sections(codec), (reader.vqvae, reader.entropy_model), strict=True
        ):
            assert (made.version, made.data) == (read.version, read.data)
            assert dump_json(made.config) == dump_json(read.config)  # of tuples it makes lists


def test_chunks_are_what_was_read(digits_drr: Path) -> None:
    content: Memory = read_all(digits_drr)
    with Reader(digits_drr) as reader:
        for row, chunk in enumerate(content.chunks):
            made = memory._streams(reader, row, reader.streams([row]))
            assert memory.chunk(chunk.class_index, made) == chunk


def test_classes_alone_and_together(digits_drr: Path) -> None:
    with Reader(digits_drr) as reader:
        codec = memory.load_codec(reader, CPU)
        together = memory.read_codes(reader, codec, [8, 1])
        assert list(together) == [8, 1]
        for number, codes in together.items():
            alone = memory.read_codes(reader, codec, [number])[number]
            np.testing.assert_array_equal(alone.flat, codes.flat)
        assert memory.read_codes(reader, codec, []) == {}


def test_a_class_of_several_chunks_and_of_none(own_drr: Path) -> None:
    chunks = read_all(own_drr).chunks
    with Reader(own_drr) as reader:
        codec = memory.load_codec(reader, CPU)
        before = memory.read_codes(reader, codec, [0, 1])
    moved = [replace(chunks[1], class_index=0), *chunks[2:]]
    with rewritten(own_drr, chunks=[chunks[0], *moved]) as reader:
        after = memory.read_codes(reader, codec, [1, 0])
        assert reader.images_per_class[:2].tolist() == [60, 0]
    joined = np.concatenate([before[0].flat, before[1].flat])
    np.testing.assert_array_equal(after[0].flat, joined)
    assert after[1].top.shape == (0, 4, 4) and after[1].bottom.shape == (0, 8, 8)


@pytest.mark.parametrize("version", ["5.0", "0.9", "1x"])
def test_an_unknown_version_of_a_section(own_drr: Path, version: str) -> None:
    section = replace(read_all(own_drr).vqvae, version=version)
    with (
        rewritten(own_drr, vqvae=section) as reader,
        pytest.raises(FormatError, match="update drrpack") as caught,
    ):
        memory.load_codec(reader, CPU)
    assert str(own_drr) in str(caught.value) and version in str(caught.value)


@pytest.mark.parametrize("name", ["vqvae", "entropy_model"])
def test_a_section_that_never_was_a_model(own_drr: Path, name: str) -> None:
    for section in (Section("1.0", {}, b""), Section("1.0", {"tensors": 7}, b"weights")):
        with (
            rewritten(own_drr, **{name: section}) as reader,
            pytest.raises(CorruptError) as caught,
        ):
            memory.load_codec(reader, CPU)
        assert str(own_drr) in str(caught.value)


@pytest.mark.parametrize("level", ["top", "bottom"])
@pytest.mark.parametrize("change", ["empty", "odd", "short", "random"])
def test_streams_that_hold_something_else(own_drr: Path, level: str, change: str) -> None:
    """Their checksums are right: a file from a writer with a fault, or from an enemy."""
    first: Chunk = read_all(own_drr).chunks[0]
    stream = bytes(getattr(first, level))
    content = {
        "empty": b"",
        "odd": stream[:-1],
        "short": stream[: len(stream) // 8 * 4],
        "random": np.random.default_rng(0).bytes(len(stream)),
    }[change]
    chunks = [replace(first, **{level: content})]
    with rewritten(own_drr, chunks=chunks) as reader:
        codec = memory.load_codec(reader, CPU)
        with pytest.raises(CorruptError, match="class 0") as caught:
            memory.read_codes(reader, codec, [0])
        assert str(own_drr) in str(caught.value)


def test_a_decoder_beyond_exact_sums_is_refused(own_drr: Path) -> None:
    """Biases so large that pixels could not be decoded exactly: damage, and the file is named."""
    network, bits = unpack_vqvae(read_all(own_drr).vqvae)
    first = network.decoder[0]
    assert isinstance(first, torch.nn.Conv2d) and first.bias is not None
    with torch.no_grad():
        first.bias.fill_(60_000.0)
    reader = rewritten(own_drr, vqvae=pack_vqvae(network, replace(bits, residual=12)))
    with reader, pytest.raises(CorruptError, match=f"{own_drr}: .*sums may reach"):
        memory.load_codec(reader, CPU)


def test_a_group_that_is_too_large_is_an_error_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path(__file__).resolve().parents[1] / "golden" / "context.drr"
    monkeypatch.setattr(networks, "GROUP_MAX", 100)
    with pytest.raises(CorruptError, match=r"context\.drr: class 0.*a group of 4 images has 64"):
        DRRDataset(path).preload()
