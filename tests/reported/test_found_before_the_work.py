"""Reported: huggingface/transformers#33721: a training ran for half an hour, to the end of its
first epoch, and only then told that there was nothing to evaluate it on.

Right: whatever a run will need is looked at before its first training, and before anything is
written; of what it will not need, nothing is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protocol_data import SMALL, DigitsData, run, small_settings
from tiny_memory import encode_tiny, options_for, write_digits

from drrpack.core.errors import CorruptError, OptionError, OutputError, SourceError
from drrpack.formats.container import Reader, write
from drrpack.operations.append import append
from drrpack.operations.encode import carry_out
from drrpack.operations.encode_plan import plan_encode
from drrpack.trainers.incremental import phase_networks
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.methods import METHODS
from drrpack.trainers.incremental.study import plan, study

pytestmark = pytest.mark.usefixtures("one_thread")

LAST = 7  # a class of the last phase


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise AssertionError("a classifier was trained before all had been checked")

    monkeypatch.setattr(phase_networks, "train_network", refuse)


class Lacking(DigitsData):
    """Digits without something of the class `LAST`."""

    def __init__(self, what: str) -> None:
        super().__init__(8)
        self.what = what

    def _without(self, what: str, classes: Sequence[int]) -> list[int]:
        return [label for label in classes if label != LAST or what != self.what]

    def test(self, classes: Sequence[int]) -> Any:
        return super().test(self._without("test", classes))

    def raw(self, classes: Sequence[int]) -> Any:
        if self._without("raw", classes) != list(classes):
            raise SourceError("the raw images are gone")
        return super().raw(classes)

    def replayed(self, classes: Sequence[int]) -> Any:
        if self._without("replayed", classes) != list(classes):
            raise CorruptError("a stream is damaged")
        return DigitsData(8).replayed(classes)

    def ranking(self, label: int) -> Any:
        if self._without("ranked", [label]) == []:
            raise CorruptError("a stream is damaged")
        return super().ranking(label)

    def exemplars(self, label: int) -> Any:
        positions, images = np.arange(1, 8, 4), DigitsData(8).raw([label])[0][1::4]
        few = 0 if self._without("exemplars", [label]) == [] else None
        return positions[:few], images[:few]

    def test_through_codec(self, classes: Sequence[int]) -> Any:
        if self.what == "codec":
            raise OptionError("the encoder was left out")
        return super().test_through_codec(classes)


def refused(data: DigitsData, method: str, out: Path, error: type[Exception], **more: Any) -> str:
    with pytest.raises(error) as caught:
        run(data, method, out=out, **(SMALL | more))
    assert not out.exists(), "a run that is refused leaves nothing behind"
    return str(caught.value)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_test_images_of_a_late_class(method: str, no_training: None, tmp_path: Path) -> None:
    message = refused(Lacking("test"), method, tmp_path / "run", SourceError)
    assert "digit 7" in message


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("ub", "raw"), ("er", "raw"), ("er-jpeg", "raw"), ("finetune", "raw"), ("ib-drr", "raw"),
        ("ib-drr-star", "raw"), ("drr", "replayed"), ("ib-drr", "replayed"), ("er", "ranked"),
    ],
)  # fmt: skip
def test_what_a_method_looks_at(method: str, what: str, no_training: None, tmp_path: Path) -> None:
    refused(Lacking(what), method, tmp_path / "run", (SourceError, CorruptError))  # type: ignore[arg-type]


def test_exemplars_of_classes_that_become_old(no_training: None, tmp_path: Path) -> None:
    order = [3, 1, LAST, 0, 5, 9, 2, 6, 8, 4]
    more = {"class_order": order}
    message = refused(Lacking("exemplars"), "ib-drr", tmp_path / "run", OptionError, **more)
    assert "'digit 7'" in message and "`raw_per_class=20`" in message and "ib-drr-star" in message


def test_exemplars_of_the_last_classes_are_not_asked_for(tmp_path: Path) -> None:
    run(Lacking("exemplars"), "ib-drr", out=tmp_path, **(SMALL | {"width": 2}))


def test_an_encoder_for_the_test_images(no_training: None, tmp_path: Path) -> None:
    refused(Lacking("codec"), "drr", tmp_path / "run", OptionError, test_view="both")


@pytest.mark.parametrize("method", ["drr", "ib-drr", "ib-drr-star", "er", "er-jpeg", "er-webp"])
def test_a_budget_that_is_too_small(method: str, no_training: None, tmp_path: Path) -> None:
    message = refused(DigitsData(8), method, tmp_path / "run", OptionError, budget_bytes=300)
    assert "`budget_mb=0.0003` is too little" in message


def test_a_budget_that_one_class_does_not_fit_into(no_training: None, tmp_path: Path) -> None:
    """Squares of chance take more bytes than digits: only the class of the last phase is too
    large."""
    data = DigitsData(8)
    rows = data.labels == LAST
    squares = np.random.default_rng(0).integers(0, 2, (rows.sum(), 8, 8, 3), dtype=np.uint8)
    data.images[rows] = 255 * squares.repeat(2, 1).repeat(2, 2)
    sizes = [
        METHODS["er-jpeg"].pack(data.raw([label])[0][-1:], 5).sizes[0]  # type: ignore[attr-defined]
        for label in (LAST, 0, 1, 2, 3)  # the last image is ranked first
    ]
    share = sizes[0] - 1
    assert share >= max(sizes[1:])
    message = refused(data, "er-jpeg", tmp_path / "run", OptionError, budget_bytes=int(10 * share))
    assert "too little for one image" in message


@pytest.mark.parametrize("base_alone", [True, False])
def test_classes_that_are_not_in_use(base_alone: bool, tmp_path: Path) -> None:
    order = [0, 1, 2, 3, 4, 5, 6, 8, 9, LAST]
    options = SMALL | {"class_order": order, "base": 3, "phases": 0, "width": 2}
    if base_alone:
        assert run(Lacking("test"), "drr", out=tmp_path, **options).complete
    else:
        refused(Lacking("test"), "drr", tmp_path / "run", SourceError, **(options | {"base": 10}))


def test_all_runs_of_a_study_are_checked_before_the_first(
    no_training: None, tmp_path: Path
) -> None:
    jobs = plan(tmp_path / "out", small_settings("drr"), [1, 3], [0, 1], ceiling=True)
    with pytest.raises(SourceError, match="the raw images are gone"):  # as the ceiling needs them
        study(Lacking("raw"), jobs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (jobs[-1].folder).mkdir(parents=True)
    (jobs[-1].folder / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"no run \(notes.txt\)"):
        study(DigitsData(8), jobs, tmp_path / "out")


def test_a_damaged_checkpoint_of_a_later_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs = plan(tmp_path, small_settings("drr", width=2), [1], [0], ceiling=True)
    study(DigitsData(8), jobs, tmp_path)
    newest = max((tmp_path / "ub" / "phases").iterdir())
    newest.write_bytes(newest.read_bytes()[:100])
    for path in (tmp_path / "phases").iterdir():
        path.unlink()
    monkeypatch.setattr(phase_networks, "train_network", None)
    with pytest.raises(CorruptError, match="delete it and resume"):
        study(DigitsData(8), jobs, tmp_path, resume=True)


# --- a file and the folders behind it ------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits whose test split lacks the class "7"."""
    made = write_digits(tmp_path_factory.mktemp("lacking") / "digits", train=4, test=2)
    shutil.rmtree(made / "test" / "7")
    return made


@pytest.fixture(scope="module")
def memory(folder: Path, digits_drr: Path) -> Path:
    return encode_tiny(folder, folder.parent / "mem.drr", codec=digits_drr)


def test_a_class_without_test_images_in_the_source(
    memory: Path, folder: Path, no_training: None, tmp_path: Path
) -> None:
    options = SMALL | {"class_order": None, "base": 5, "phases": 5}
    with pytest.raises(SourceError, match=r"'7'.*`classes`") as caught:
        run(MemoryData(memory), "drr", out=tmp_path / "run", **options)
    assert str(folder) in str(caught.value) and not (tmp_path / "run").exists()


def test_classes_of_the_file_that_are_not_in_use(memory: Path, tmp_path: Path) -> None:
    data = MemoryData(memory, numbers=[0, 1, 2, 9])
    options: dict[str, Any] = {"base": 2, "phases": 1, "class_order": None, "width": 2}
    assert run(data, "drr", out=tmp_path, **options).complete


def test_a_decoder_alone_shows_no_test_images(
    folder: Path, bitswap_drr: Path, no_training: None, tmp_path: Path
) -> None:
    alone = encode_tiny(folder, tmp_path / "alone.drr", codec=bitswap_drr, decoder_only=True)
    data, out = MemoryData(alone, numbers=[0, 1]), tmp_path / "run"
    message = refused(data, "drr", out, OptionError, test_view="both", base=1, phases=1,  # type: ignore[arg-type]
                      class_order=None)  # fmt: skip
    assert str(alone) in message and "`decoder_only`" in message


@pytest.mark.slow
@pytest.mark.parametrize("left_out", ["decoder_only", "thin"])
def test_the_encoder_of_a_codec_that_comes_with_drrpack(
    folder: Path, left_out: str, tmp_path: Path
) -> None:
    options = options_for(folder, tmp_path / "mem.drr", fit="no", **{left_out: True})
    data = MemoryData(carry_out(plan_encode(options)), numbers=[0, 1])
    images, labels = data.test_through_codec([0, 1])
    assert images.shape == (4, 32, 32, 3) and labels.tolist() == [0, 0, 1, 1]


def test_a_class_name_that_grows_too_long(digits_drr: Path, folder: Path, tmp_path: Path) -> None:
    """In NFC each of these letters is two: a folder's name of 255 bytes becomes one of 510."""
    source = tmp_path / "source"
    shutil.copytree(folder / "train" / "7", source / ("\u0958" * 85))
    with pytest.raises(OutputError, match="255 bytes"):
        plan_encode(options_for(source, tmp_path / "mem.drr"))
    with pytest.raises(OutputError, match="255 bytes"):
        append(digits_drr, source, device="cpu")


def test_appending_to_a_file_that_cannot_take_images(
    folder: Path, bitswap_drr: Path, tmp_path: Path
) -> None:
    """Refused while planning, before a picture has been encoded or a fit been spoken of."""
    alone = encode_tiny(folder, tmp_path / "alone.drr", codec=bitswap_drr, decoder_only=True)
    more = tmp_path / "more"
    shutil.copytree(folder / "train" / "7", more / "new")
    with pytest.raises(OptionError, match=r"decoder.only"):
        append(alone, more, device="cpu")


def test_a_file_whose_notes_append_could_not_follow(
    own_drr: Path, folder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    shutil.copytree(folder / "train" / "7", more / "new")
    with Reader(own_drr) as reader:
        content = reader.memory()
    notes = {**content.metadata, "raw": {"per_class": "many"}}
    write(own_drr, replace(content, metadata=notes), overwrite=True)
    with pytest.raises(CorruptError, match="raw images of each class"):
        append(own_drr, more, device="cpu")
