"""Appending, dropping and merging in any order, against a plain dict of what should be there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tiny_memory import TINY_WIDTHS, encode_tiny

from drrpack.core.codec import Codec
from drrpack.core.errors import OptionError
from drrpack.formats.container import Reader, write
from drrpack.formats.memory import load_codec, read_codes
from drrpack.formats.sources.source import open_source
from drrpack.operations.append import append
from drrpack.operations.edit import drop
from drrpack.operations.merge import merge

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = int(os.environ.get("DRRPACK_HISTORY_STEPS", "20"))  # of each model; campaigns have 10,000
STEPS_IN_A_ROW = 20
START = 21  # pictures of a class in the file that histories begin with: some beyond the plain ones
COUNTS = (1, 2, 7)  # pictures of a class that are added at once
CPU = torch.device("cpu")

digits = st.sampled_from("0123456789")
counts = st.sampled_from(COUNTS)


class Pool:
    """Image folders of a digit each, and what the codec of a file makes of them."""

    def __init__(self, coded: Path, digits_folder: Path, place: Path) -> None:
        self.start, self.place = place / "start.drr", place
        few = place / "start"
        for picture in sorted(digits_folder.glob("train/*/*")):
            folder = few / picture.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            if len(list(folder.iterdir())) < START:
                shutil.copy(picture, folder)
        encode_tiny(few, self.start, codec=coded)
        with Reader(self.start) as reader:
            layout = reader.entropy_model.config["streams"]["bottom"]
            assert layout["plain_images"] + layout["group"] <= START, layout
            self.content = reader.memory()
            self.codec = load_codec(reader, CPU)
        self.codes: dict[Path, Any] = {}
        self.codecs: dict[str, Codec] = {}
        for digit in "0123456789":
            pictures = sorted((digits_folder / "train" / digit).iterdir())
            for count in COUNTS:
                folder = self.folder(digit, count)
                (folder / digit).mkdir(parents=True)
                for picture in pictures[count : 2 * count]:
                    shutil.copy(picture, folder / digit)
                codes = self.codec.encode(open_source(folder).load(0))
                self.codes[folder] = codes.flat

    def folder(self, digit: str, count: int) -> Path:
        return self.place / f"{digit}-{count}"

    def codec_of(self, reader: Reader) -> Codec:
        """The codec of a file; few are ever made, so each is loaded once."""
        key = repr(reader.entropy_model)
        if key not in self.codecs:
            self.codecs[key] = load_codec(reader, CPU)
        return self.codecs[key]


class History(RuleBasedStateMachine):
    """One file, changed in any order; ``expected`` holds the codes of each class, in its order."""

    pool: Pool

    @initialize(digit=digits)
    def start(self, digit: str) -> None:
        self.place = Path(tempfile.mkdtemp(dir=self.pool.place))
        self.path = self.place / "mem.drr"
        others = [name for name in self.pool.content.classes if name != digit]
        write(self.path, drop(self.path, self.pool.content, others))
        self.expected = {digit: codes_of(self.pool.start, digit)}

    @rule(digit=digits, count=counts, tuned=st.sampled_from([False] * 30 + [True]))
    def append(self, digit: str, count: int, tuned: bool) -> None:
        folder = self.pool.folder(digit, count)
        known = digit in self.expected
        if known:
            with pytest.raises(OptionError, match="`extend=True`"):
                append(self.path, folder, device="cpu")
        options: dict[str, Any] = {"epochs": 1} if tuned else {"keep_entropy_model": True}
        # it warns of images that are there already
        append(self.path, folder, extend=known, device="cpu", report=lambda _: None, **options)
        old = [self.expected[digit]] if known else []
        self.expected[digit] = np.concatenate([*old, self.pool.codes[folder]])

    @precondition(lambda self: len(self.expected) > 1)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        names = st.lists(st.sampled_from(sorted(self.expected)), min_size=1, unique=True)
        gone = data.draw(names)[: len(self.expected) - 1]
        with Reader(self.path) as reader:
            content = reader.memory()
        write(self.path, drop(self.path, content, gone), overwrite=True)
        for name in gone:
            del self.expected[name]

    @rule(digit=digits)
    def merge(self, digit: str) -> None:
        second = self.place / "second.drr"
        with Reader(self.pool.start) as there:
            other = [name for name in there.classes if name != digit]
            write(second, drop(second, there.memory(), other), overwrite=True)
        if digit in self.expected:
            with pytest.raises(OptionError, match=f"both .* have a class '{digit}'"):
                merge([self.path, second], self.path, force=True)
            return
        merge([self.path, second], self.path, force=True)
        self.expected[digit] = codes_of(self.pool.start, digit)

    @invariant()
    def it_holds_what_it_should(self) -> None:
        if not hasattr(self, "path"):
            return
        with Reader(self.path) as reader:
            assert reader.classes == list(self.expected)
            sizes = [len(codes) for codes in self.expected.values()]
            assert reader.images_per_class.tolist() == sizes
            reader.verify()
            found = read_codes(reader, self.pool.codec_of(reader), range(len(sizes)))
        for number, codes in enumerate(self.expected.values()):
            np.testing.assert_array_equal(found[number].flat, codes)
        assert not list(self.place.glob(".drr-*"))

    def teardown(self) -> None:
        if hasattr(self, "place"):
            shutil.rmtree(self.place)


def codes_of(path: Path, name: str) -> np.ndarray:
    with Reader(path) as reader:
        number = reader.classes.index(name)
        return read_codes(reader, load_codec(reader, CPU), [number])[number].flat


@pytest.fixture(scope="module")
def pool(
    each_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drrpack.core.layouts.WIDTHS", TINY_WIDTHS)
        yield Pool(each_drr, digits_folder, tmp_path_factory.mktemp("pool"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_any_history(pool: Pool) -> None:
    History.pool = pool
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_IN_A_ROW),
            stateful_step_count=STEPS_IN_A_ROW,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
