"""A kind of entropy model that drrpack does not know: one class, and a file is made and read by it.

`Uniform` takes the same bits for every code. All that a kind needs stands in this file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest
import torch
from small_models import small_vqvae, structured_codes
from torch import Tensor

from drrpack import DRRDataset
from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.codec import finish
from drrpack.core.codes import Codes, Levels
from drrpack.core.entropy import model as kinds
from drrpack.core.entropy.combine import shaped
from drrpack.core.entropy.model import kind_of, register
from drrpack.core.errors import VersionError
from drrpack.core.frequencies import Tables, tables_from_bytes, tables_to_bytes
from drrpack.core.layouts import lay_out
from drrpack.core.section import Json
from drrpack.formats import memory
from drrpack.formats.container import Memory, Reader, write

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@dataclass(frozen=True)
class UniformLevel:
    """Five bits a code, of 32."""

    device: torch.device = CPU

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        table = np.full(32, 1 << 5)
        return shaped(ans.table_codec(table, int(np.prod(shape[1:])), 10), shape)

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        return torch.full((len(codes),), 5.0 * codes[0].numel())


@dataclass(frozen=True)
class Uniform:
    """Every code costs the same."""

    kind: ClassVar[str] = "uniform"
    versions: ClassVar[tuple[str, ...]] = ("3.0",)

    tables: Tables
    codebook_size: int = 32
    levels: Levels[UniformLevel] = Levels(UniformLevel(), UniformLevel())  # noqa: RUF009
    prices: None = None

    def on(self, device: torch.device, carrier: torch.dtype) -> Self:
        return self

    def with_tables(self, tables: Tables) -> Self:
        return replace(self, tables=tables)

    def pack(self) -> tuple[Json, bytes]:
        return {"said": "all alike"}, tables_to_bytes(self.tables)

    @classmethod
    def unpack(cls, version: str, config: Json, data: bytes) -> Self:
        assert config["said"] == "all alike"
        return cls(tables_from_bytes(data, 32))


@pytest.fixture
def known() -> Iterator[None]:
    before = dict(kinds.KINDS)
    register(Uniform)
    yield
    kinds.KINDS.clear()
    kinds.KINDS.update(before)


def codes_of_classes() -> list[Codes]:
    tops, bottoms = (structured_codes([40, 3], shape, 32) for shape in ((4, 4), (8, 8)))
    return [Codes.of(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]


def write_uniform(path: Path) -> None:
    codes = codes_of_classes()
    seen = Codes.concat(codes)
    uniform = Uniform(Levels(*2 * [np.full(32, 1 << 11, np.uint32)]))
    codec, streams = lay_out(finish(small_vqvae(), uniform, seen, CPU), codes)
    assert codec.layouts.bottom.steps(40), "groups are coded by the model"
    chunks = [memory.chunk(number, made) for number, made in enumerate(streams)]
    write(path, Memory((32, 32), ["many", "few"], chunks, *memory.sections(codec)))


def test_the_package_alone_knows_all_kinds_of_drrpack() -> None:
    child = """
import drrpack.core.entropy
from drrpack.core.entropy.model import KINDS
print(*sorted({kind for kind, _ in KINDS}))
"""
    done = subprocess.run([sys.executable, "-c", child], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["adapted", "bitswap", "context", "table"]


@pytest.mark.usefixtures("known")
def test_a_new_kind_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "uniform.drr"
    write_uniform(path)
    with Reader(path) as reader:
        codec = memory.load_codec(reader, CPU)
        assert codec.entropy.kind == "uniform" and kind_of(reader.entropy_model) == "uniform"
        found = memory.read_codes(reader, codec, [0, 1])
        payload = sum(len(chunk.top) + len(chunk.bottom) for chunk in reader.memory().chunks)
    for codes, wanted in zip(found.values(), codes_of_classes(), strict=True):
        assert codes.digest == wanted.digest
    assert payload == pytest.approx(43 * 80 * 5 / 8, abs=4 * 10)  # and a few bytes a stream
    assert len(DRRDataset(path)[0][0]) == 3


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path, known: None) -> None:
    path = tmp_path / "uniform.drr"
    write_uniform(path)
    kinds.KINDS.pop(("uniform", "3"))
    with Reader(path) as reader, pytest.raises(VersionError, match=r"uniform 3.0.*update drrpack"):
        memory.load_codec(reader, CPU)


@pytest.mark.usefixtures("known")
def test_a_name_belongs_to_one_kind() -> None:
    class Other(Uniform):
        pass

    register(Uniform)  # once more is nothing new
    with pytest.raises(ValueError, match=r"two entropy models uniform 3\.0"):
        register(Other)
