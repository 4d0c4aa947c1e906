"""Each operation from Python, as the README shows it: three lines do what a command does."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from command import Command
from PIL import Image
from tiny_memory import GOLDEN_BITSWAP, encode_tiny, write_digits

import drrpack
from drrpack import DRRDataset, DrrError, MissingError, OptionError, OutputError, SourceError
from drrpack.cli.app import app
from drrpack.core.progress import Notice, Step
from drrpack.formats.container import Reader
from drrpack.formats.originals import open_originals
from drrpack.formats.sources.source import Source
from drrpack.operations import figures
from drrpack.operations.encode_plan import EncodePlan
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
EACH = 12  # images of a class in the datasets here
PIXELS = np.random.default_rng(0).integers(0, 256, (4 * EACH, 16, 16, 3), dtype=np.uint8)


def dataset(*labels: int) -> list[tuple[Image.Image, int]]:
    """A map-style dataset of `EACH` PIL images for each label."""
    return [
        (Image.fromarray(PIXELS[label * EACH + number]), label)
        for label in labels
        for number in range(EACH)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def made(place: Path) -> Path:
    """A memory of classes "0" and "1"; tests that change it work on copies."""
    drrpack.encode(dataset(0, 1), place / "mem.drr", test=dataset(1), device="cpu")
    return place / "mem.drr"


@pytest.fixture(scope="module")
def few(place: Path) -> Path:
    """A folder with four pictures of each digit, and one to test on."""
    return write_digits(place / "digits", train=4, test=1)


@pytest.fixture
def memory(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "mem.drr"))


def test_the_first_line_of_the_readme(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    line = (
        "import drrpack; drrpack.encode('digits', 'm.drr'); "
        "print(drrpack.stats('m.drr').bytes_per_image.total)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", line]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    size = (tmp_path / "m.drr").stat().st_size
    with Reader(tmp_path / "m.drr") as reader:
        images = int(reader.images_per_class.sum())
        assert float(done.stdout) == pytest.approx(size / images)
        assert images == 1433 and len(reader.classes) == 10
        assert reader.metadata["sources"][0]["kind"] == "digits"
        test = open_originals(reader, None, "test")
        assert sum(len(test.load(name)) for name in reader.classes) == 1797 - images
    assert [path.name for path in tmp_path.iterdir()] == ["m.drr"]


# --- each operation ---


def test_encode_and_stats(made: Path) -> None:
    found = drrpack.stats(made)
    assert (found.images, found.classes, found.image_size) == (2 * EACH, 2, (16, 16))
    assert found.bytes.file == made.stat().st_size
    parts = dataclasses.asdict(found.bytes)
    assert 2 * found.bytes.file == sum(parts.values())
    assert found.bytes_per_image.total == found.bytes.file / found.images
    assert found.bits_per_code.all.coded > 0 and found.psnr_db is not None
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.images = 0  # type: ignore[misc]


def test_encode_returns_the_account(tmp_path: Path) -> None:
    events: list[Any] = []
    output = tmp_path / "m.drr"
    made = drrpack.encode(dataset(0), output, quality=100, device="cpu", report=events.append)
    assert made == drrpack.stats(output) and made.path == str(output)
    plans = [event for event in events if isinstance(event, EncodePlan)]
    assert len(plans) == 1 and plans[0].options.quality == 100
    codes = [event for event in events if isinstance(event, Step) and event.stage == "codes"]
    assert codes == [Step("codes", EACH, EACH)]
    with pytest.raises(OutputError, match="exists already"):
        drrpack.encode(dataset(0), output)
    drrpack.encode(dataset(0), output, codec=GOLDEN_BITSWAP, device="cpu", force=True)
    assert drrpack.stats(output) != made


def test_append_drop_and_merge(memory: Path, tmp_path: Path) -> None:
    before = DRRDataset(memory).to_numpy()[0]
    appended = drrpack.append(memory, dataset(2), keep_entropy_model=True, device="cpu")
    assert appended.path == memory and appended.kept_bytes == memory.stat().st_size
    assert appended.tuned_bytes is None
    assert DRRDataset(memory).classes == ["0", "1", "2"]
    np.testing.assert_array_equal(DRRDataset(memory).to_numpy()[0][: 2 * EACH], before)

    other = Path(shutil.copy(memory, tmp_path / "other.drr"))
    dropped = drrpack.drop(memory, ["2"])
    assert (dropped.path, dropped.classes) == (memory, 2)
    assert dropped.file_bytes == memory.stat().st_size
    assert drrpack.drop(other, "0").classes == 2
    drrpack.drop(other, "1")

    both = drrpack.merge([memory, other], tmp_path / "both.drr")
    assert (both.classes, both.file_bytes) == (3, (tmp_path / "both.drr").stat().st_size)
    np.testing.assert_array_equal(DRRDataset(both.path).to_numpy()[0][: 2 * EACH], before)


def test_append_finds_its_own_names(memory: Path) -> None:
    with pytest.raises(OptionError, match=r"`extend=True`") as caught:
        drrpack.append(memory, dataset(1), keep_entropy_model=True, device="cpu")
    assert caught.value.option == "extend"
    drrpack.append(memory, dataset(1), extend=True, keep_entropy_model=True, device="cpu")
    assert DRRDataset(memory).targets.count(1) == 2 * EACH


def test_verify(memory: Path) -> None:
    found = drrpack.verify(memory)
    assert found.sound and (found.depth, found.classes, found.images) == ("sections", 2, 2 * EACH)
    assert found.checked.streams == 4 and found.checked.streams_decoded is None
    assert drrpack.verify(memory, "quick").checked.sections is None
    steps: list[Any] = []
    assert drrpack.verify(memory, "full", report=steps.append).checked.streams_decoded == 4
    assert steps == [Step("decoding", 2 * EACH, 2 * EACH)]
    assert drrpack.verify(memory, sample="2/2").checked.streams_decoded == 2
    image = bytearray(memory.read_bytes())
    image[-5] ^= 1
    memory.write_bytes(image)
    with pytest.raises(drrpack.CorruptError):
        drrpack.verify(memory)


def test_export(memory: Path, tmp_path: Path) -> None:
    made = drrpack.export(memory, tmp_path / "arrays.npz", classes=["1"], device="cpu")
    assert (made.format, made.images, made.classes) == ("npz", EACH, 1)
    pixels = DRRDataset(memory, classes=["1"]).to_numpy()[0]
    with np.load(made.path) as found:
        np.testing.assert_array_equal(found["images"], pixels)
    assert drrpack.export(memory, tmp_path / "pictures", classes="0").images == EACH
    assert len(list((tmp_path / "pictures" / "0").glob("*.png"))) == EACH


@pytest.mark.parametrize(
    ("classes", "chosen"),
    [(None, "01"), ("1", "1"), ("1,0", "10"), ([1], "1"), (["1", 0], "10"), ("0:1", "0")],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:.*taken as the name")
def test_classes_as_text_and_as_lists(
    memory: Path, tmp_path: Path, classes: Any, chosen: str
) -> None:
    drrpack.export(memory, tmp_path / "out.npz", classes=classes, device="cpu")
    with np.load(tmp_path / "out.npz") as found:
        assert "".join(found["classes"]) == chosen


@pytest.mark.parametrize("classes", [["9"], [2], [-1], ["0", 0], [], "9,"], ids=repr)
def test_classes_that_are_not_there(memory: Path, tmp_path: Path, classes: Any) -> None:
    with pytest.raises(OptionError, match="classes"):
        drrpack.export(memory, tmp_path / "out.npz", classes=classes, device="cpu")


def test_preview(memory: Path, tmp_path: Path) -> None:
    made = drrpack.preview(memory, tmp_path / "grid.png", rows=2, columns=3)
    assert made.path == tmp_path / "grid.png" and "reconstructions only" in made.originals
    with Image.open(made.path) as picture:
        assert picture.format == "PNG"


def test_compare(memory: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    found = drrpack.compare(
        dataset(0, 1), codec=memory, sample=8, device="cpu", chart=tmp_path / "c.png",
        report=events.append,
    )  # fmt: skip
    assert (found.images, found.image_size) == (2 * EACH, (16, 16))
    raw, memories = found.of("raw")[0], found.of("DRR")
    assert raw.image_bytes == 16 * 16 * 3 and memories[0].bytes_an_image(24) > 0
    stages = [event.stage for event in events if isinstance(event, Step)]
    assert stages[0] == "DRR" and {"PNG", "JPEG"} <= set(stages) and found in events
    assert (tmp_path / "c.png").is_file()


# --- what stands behind a memory of a dataset ---


def test_a_dataset_is_recorded_without_a_place(memory: Path) -> None:
    with Reader(memory) as reader:
        (kept,) = reader.metadata["sources"]
        assert (kept["kind"], kept["name"], kept["listing"]) == ("dataset", "list", {})
        assert set(kept["digest"]) == {"train", "test"} and kept["classes"] == ["0", "1"]
        for split, option in (("train", "source"), ("test", "test")):
            with pytest.raises(SourceError, match=rf"'list', which is no folder.*`{option}"):
                open_originals(reader, None, split)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="say where raw test images are with `test=DIR`, or give"):
        MemoryData(memory)


TRAINING: dict[str, Any] = {"base": 1, "phases": 1, "epochs": 1, "width": 2, "device": "cpu"}


def test_training_on_datasets(memory: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    test = [(Image.fromarray(255 - np.asarray(image)), label) for image, label in dataset(0, 1)]
    found = drrpack.train(
        memory, tmp_path / "a", source=dataset(0, 1), test=test, report=events.append, **TRAINING
    )
    assert [(one.method, len(one.phases)) for one in found] == [("drr", 2), ("ub", 2)]
    assert all(0 <= one.last_accuracy <= 100 for one in found)
    assert not [event for event in events if isinstance(event, Notice)]

    found = drrpack.train(
        memory, tmp_path / "b", source=dataset(1, 0), test=test, report=events.append, **TRAINING
    )
    assert [one.method for one in found] == ["drr"], "other images than those that were encoded"
    assert "no ceiling" in next(e.text for e in events if isinstance(e, Notice))
    with pytest.raises(SourceError, match="these are the training images"):
        drrpack.train(memory, tmp_path / "c", test=dataset(0, 1), **TRAINING)
    assert not (tmp_path / "c").exists()


def test_training_on_datasets_whose_labels_have_names(tmp_path: Path) -> None:
    names = ["ant", "bee"]
    small: dict[str, Any] = {"codec": GOLDEN_BITSWAP, "device": "cpu"}
    drrpack.encode(dataset(0, 1), tmp_path / "mem.drr", class_names=names, **small)
    test = [(image.rotate(90), label) for image, label in dataset(0, 1)]
    given: dict[str, Any] = {"source": dataset(0, 1), "test": test} | TRAINING
    with (
        pytest.raises(SourceError, match="1 class in use, such as 'ant'"),
        pytest.warns(UserWarning, match="no ceiling"),
    ):
        drrpack.train(tmp_path / "mem.drr", tmp_path / "run", **given)
    found = drrpack.train(tmp_path / "mem.drr", tmp_path / "run", class_names=names, **given)
    assert [one.method for one in found] == ["drr", "ub"]
    shown = drrpack.preview(
        tmp_path / "mem.drr", tmp_path / "grid.png", source=dataset(0, 1), class_names=names
    )
    assert shown.originals.startswith("originals (above) from list")


def test_names_that_are_no_list(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"`class_names`: found 'ab' as names of classes; expected a list"
    ):
        drrpack.encode(dataset(0, 1), tmp_path / "m.drr", class_names="ab", device="cpu")
    with pytest.raises(
        OptionError, match=r"`class_names`: found 'ab' as names of classes; expected a list"
    ):
        drrpack.append(memory, dataset(0, 1), class_names="ab", device="cpu")


def test_a_path_is_no_test_split(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`test='digits'`: found a path"):
        drrpack.encode(dataset(0, 1), tmp_path / "m.drr", test="digits", device="cpu")  # type: ignore[arg-type]


def test_an_empty_name(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="an empty name for the label 1"):
        drrpack.encode(dataset(0, 1), tmp_path / "m.drr", class_names=["a", ""], device="cpu")


def test_what_is_said_of_a_training_that_is_not_wanted(tmp_path: Path) -> None:
    for given in (
        {"epochs": 3}, {"train_at": [60]}, {"work": tmp_path / "work"}, {"seeds": 2},
        {"epochs": 16}, {"draws": 1},  # what is said counts, though it is the default
    ):  # fmt: skip
        with pytest.raises(OptionError, match="found no `train=True`"):
            drrpack.compare(dataset(0, 1), **given)  # type: ignore[arg-type]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ((0, 1, 2), None),
        ((1, 2), "no image has the label 0.*the label 1 becomes 0, 2 classes in all"),
        ((0, 1, 3), "no image has the label 2.*the label 3 becomes 2, 3 classes in all"),
    ],
)
def test_labels_that_are_numbered_anew(
    tmp_path: Path, labels: tuple[int, ...], told: str | None
) -> None:
    events: list[Any] = []
    given: dict[str, Any] = {"codec": GOLDEN_BITSWAP, "report": events.append}
    drrpack.encode(dataset(*labels), tmp_path / "m.drr", device="cpu", **given)
    notices = [event.text for event in events if isinstance(event, Notice)]
    notices = [text for text in notices if "JPEG" not in text]
    assert not notices if told is None else re.search(told, *notices)
    assert DRRDataset(tmp_path / "m.drr").classes == [str(label) for label in labels]


def test_a_plan_is_short_to_print(tmp_path: Path) -> None:
    plans: list[Any] = []
    given: dict[str, Any] = {"device": "cpu", "report": plans.append}
    drrpack.encode(dataset(0, 1), tmp_path / "m.drr", codec=GOLDEN_BITSWAP, **given)
    drrpack.append(tmp_path / "m.drr", dataset(2), epochs=1, **given)
    assert max(len(repr(event)) for event in plans) < 2000


def test_a_kind_that_a_file_makes_up_opens_nothing(memory: Path) -> None:
    for kind in ("folder", "cifar", "nothing", 5, ["digits"], "digits"):
        with Reader(memory) as reader:
            reader.metadata["sources"][0]["kind"] = kind
            with pytest.raises(SourceError, match="which is no folder"):
                open_originals(reader, None, "train")


# --- the work is done once ---


def test_pictures_are_loaded_once(
    few: Path, digits_drr: Path, tmp_path: Path, loaded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Beside the exemplars, the images that PSNR is measured on, and those of JPEG files."""
    opened: list[str] = []
    init = Reader.__init__

    def opening(self: Reader, path: Any, *rest: Any, **more: Any) -> None:
        opened.append(str(path))
        init(self, path, *rest, **more)

    monkeypatch.setattr(Reader, "__init__", opening)
    monkeypatch.setattr(figures, "HELD_OUT", 10)
    drrpack.encode(few, tmp_path / "m.drr", codec=digits_drr, raw_per_class=2, device="cpu")
    assert sum(loaded) == 40 + 20 + 10 + 40 and len(list(few.glob("train/*/*"))) == 40
    assert opened.count(str(digits_drr)) == 1

    loaded.clear(), opened.clear()
    more = tmp_path / "more"
    shutil.copytree(few / "test" / "3", more / "again")
    drrpack.append(tmp_path / "m.drr", more, keep_entropy_model=True, device="cpu")
    assert sum(loaded) == 1 + 1, "the picture, and once more as an exemplar"
    assert opened.count(str(tmp_path / "m.drr")) == 1


def test_a_fit_loads_the_pictures_that_it_sees_once_more(
    few: Path, digits_drr: Path, tmp_path: Path, loaded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(figures, "HELD_OUT", 6)
    encode_tiny(few, tmp_path / "m.drr", codec=digits_drr, fit="decoder", fit_classes=4)
    each = len(list(few.glob("train/0/*")))
    assert sum(loaded) == (10 + 4) * each + 6


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of `Source.load` has returned."""
    counts: list[int] = []
    load = Source.load

    def counted(self: Source, class_index: int, *rest: Any, **more: Any) -> Any:
        images = load(self, class_index, *rest, **more)
        counts.append(len(images))
        return images

    monkeypatch.setattr(Source, "load", counted)
    return counts


# --- messages, warnings, and that both ways are one ---


def test_warnings_without_a_report(memory: Path) -> None:
    left = memory.parent / ".drr-0123456789abcdef.tmp"
    left.write_bytes(b"half a file")
    with pytest.warns(UserWarning, match="left behind by a run that was killed") as caught:
        drrpack.drop(memory, ["0"])
    assert not left.exists() and caught[0].filename == __file__
    events: list[Any] = []
    left.write_bytes(b"half a file")
    drrpack.append(memory, dataset(2), keep_entropy_model=True, device="cpu", report=events.append)
    assert isinstance(events[0], Notice) and str(left) in events[0].text


OPERATIONS = (
    "append", "compare", "doctor", "drop", "encode", "export", "merge", "preview", "stats",
    "verify", "view",
)  # fmt: skip
ONLY_PYTHON = {"report", "class_names", "test", "trust"}
ONLY_COMMANDS = {
    "quiet",
    "json",
    "as_json",
    "budget_mb",
    "finetune",
    "finetune_decoder",
    "quick",
    "full",
    "browser",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_function_takes_what_its_command_takes(name: str) -> None:
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    options = {p.name: p.default for p in commands[name].params} | {}
    signature = inspect.signature(getattr(drrpack, name)).parameters
    assert set(signature) - ONLY_PYTHON - {"depth"} == set(options) - ONLY_COMMANDS - {"depth"}
    for argument, parameter in signature.items():
        if argument in options and parameter.default is not inspect.Parameter.empty:
            same = (options[argument], parameter.default)
            assert same in ((None, None), ("", ()), (False, "no")) or same[0] == same[1], argument
        assert parameter.annotation is not inspect.Parameter.empty


def test_functions_and_modules_have_one_name() -> None:
    lines = ["import drrpack"]
    for name in OPERATIONS:
        lines += [
            f"from drrpack import {name}; import drrpack.operations.{name} as module",
            f"assert drrpack.{name} is module.{name} is {name} and {name}.__doc__",
            f"assert callable({name}) and not callable(module)",
        ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, check=True)


REFUSALS: dict[str, tuple[Callable[[Path, Path], object], str, str, str]] = {
    "encode": (
        lambda source, memory: drrpack.encode(source, memory.parent / "x.drr", epochs=3),
        "`epochs` and `minutes` have no meaning unless something is fitted: see `fit`",
        "encode {source} -o {out}/x.drr --epochs 3",
        "--epochs and --minutes have no meaning unless something is fitted: see --fit",
    ),
    "fit": (
        lambda source, memory: drrpack.encode(
            source, memory.parent / "x.drr", fit="scratch", codec=memory
        ),
        "`fit='scratch'` begins from scratch; to go on from `codec` say `fit='finetune'`",
        "encode {source} -o {out}/x.drr --fit --codec {memory}",
        "--fit begins from scratch; to go on from --codec say --finetune",
    ),
    "size": (
        lambda source, memory: drrpack.encode(source, memory.parent / "x.drr", size=0),
        "`size=0`: expected 1 or more pixels, such as `size=32`",
        "encode {source} -o {out}/x.drr --size 0",
        "--size 0: expected 1 or more pixels, such as --size 32",
    ),
    "range": (
        lambda source, memory: drrpack.compare(source, value_range=(5, 5)),
        "`value_range=(5, 5)`: expected two numbers, that of black below that of white, such as "
        "`value_range=(0, 4095)`",
        "compare {source} --range 5 5",
        "--range 5 5: expected two numbers, that of black below that of white, such as "
        "--range 0 4095",
    ),
    "entropy": (
        lambda source, memory: drrpack.encode(
            source, memory.parent / "x.drr", entropy="it's",  # type: ignore[arg-type]
        ),
        '`entropy="it\'s"`: say one of auto, bitswap, context, adapted, table',
        "encode {source} -o {out}/x.drr --entropy it's",
        "--entropy it's: say one of auto, bitswap, context, adapted, table",
    ),
    "device": (
        lambda source, memory: drrpack.export(memory, memory.parent / "x", device="abacus"),
        "`device='abacus'`: say auto, cpu or cuda",
        "export {memory} {out}/x --device abacus",
        "--device abacus: say auto, cpu or cuda",
    ),
    "sample": (
        lambda source, memory: drrpack.verify(memory, sample="3/2"),
        "`sample='3/2'`: say which part of how many, such as 1/10",
        "verify {memory} --sample 3/2",
        "--sample 3/2: say which part of how many, such as 1/10",
    ),
    "download": (
        lambda source, memory: drrpack.encode(source, memory.parent / "x.drr", download="mnist"),
        "`download='mnist'`: found an unknown data set; expected one of cifar10, cifar100",
        "encode {source} -o {out}/x.drr --download mnist",
        "--download mnist: found an unknown data set; expected one of cifar10, cifar100",
    ),
    "format": (
        lambda source, memory: drrpack.export(memory, memory.parent / "x", format="npz"),
        "{out}/x: end the name in .npz for `format='npz'`",
        "export {memory} {out}/x --format npz",
        "{out}/x: end the name in .npz for --format npz",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_one_message_reads_well_in_both_worlds(
    case: str, memory: Path, digits_folder: Path, drrpack: Command
) -> None:
    call, in_python, command, at_the_screen = REFUSALS[case]
    places = {"source": digits_folder, "memory": memory, "out": memory.parent}
    with pytest.raises(OptionError) as caught:
        call(digits_folder, memory)
    assert str(caught.value) == in_python.format(**places)
    assert caught.value.option is not None
    told = drrpack.refused(*(part.format(**places) for part in command.split()))
    assert told == f"error: {at_the_screen.format(**places)}\n"


def test_a_function_and_its_command_make_the_same_file(
    few: Path, tmp_path: Path, drrpack: Command
) -> None:
    import drrpack as library

    options = ("--raw-per-class", "2", "--entropy", "context", "--thin", "--device", "cpu")
    assert drrpack("encode", few, "-o", tmp_path / "a.drr", *options).code == 0
    made = library.encode(
        few, tmp_path / "b.drr", raw_per_class=2, entropy="context", thin=True,
        device="cpu",
    )  # fmt: skip
    assert (tmp_path / "a.drr").read_bytes() == (tmp_path / "b.drr").read_bytes()
    shown = json.loads(drrpack("stats", tmp_path / "a.drr", "--json").output)
    assert shown == json.loads(json.dumps(made.to_json()))
    assert shown["bytes_per_image"]["total"] == made.bytes_per_image.total


def test_other_things_that_are_refused(memory: Path, tmp_path: Path) -> None:
    calls: list[tuple[Callable[[], object], type[DrrError], str]] = [
        (lambda: drrpack.stats(tmp_path / "absent.drr"), MissingError, "absent.drr"),
        (lambda: drrpack.merge([], tmp_path / "x.drr"), OptionError, "no files to merge"),
        (lambda: drrpack.drop(memory, "9"), OptionError, "no class '9'"),
        (lambda: drrpack.drop(memory, [0]), OptionError, "no class 0"),  # type: ignore[list-item]
        (lambda: drrpack.drop(memory, []), OptionError, "found no class to remove"),
        (lambda: drrpack.preview(memory, tmp_path / "x.png", rows=0), OptionError, "`rows=0`"),
        (lambda: drrpack.compare(memory.parent, seeds=0), OptionError, "`seeds=0`"),
        (lambda: drrpack.compare([], train_at=[-1]), OptionError, r"`train_at=\[-1\]`"),
        (lambda: drrpack.compare([], train_at=["x"]), OptionError, r"`train_at=\['x'\]`"),  # type: ignore[list-item]
        (lambda: drrpack.verify(memory, "deep"), OptionError, "quick, sections, full"),  # type: ignore[arg-type]
        (
            lambda: drrpack.encode(dataset(0), tmp_path / "x.drr", download="cifar10"),
            OptionError,
            "found a dataset, expected the folder",
        ),
        (
            lambda: drrpack.export(DRRDataset(memory), tmp_path / "x", classes="1"),
            OptionError,
            "has chosen its classes",
        ),
    ]
    for call, kind, words in calls:
        with pytest.raises(kind, match=words):
            call()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mem.drr"]


def test_tensors_of_torchvision_go_the_same_way(made: Path, tmp_path: Path) -> None:
    pairs = [
        (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255, label)
        for image, label in dataset(0, 1)
    ]
    drrpack.encode(pairs, tmp_path / "m.drr", device="cpu")
    np.testing.assert_array_equal(
        DRRDataset(tmp_path / "m.drr").to_numpy()[0], DRRDataset(made).to_numpy()[0]
    )


@pytest.mark.parametrize("given", [None, 5, 2.5])
@pytest.mark.parametrize(
    "call",
    [
        drrpack.stats, drrpack.verify, drrpack.DRRDataset, drrpack.report,
        lambda given: drrpack.merge(given, "x.drr"), lambda given: drrpack.encode("digits", given),
        lambda given: drrpack.train("m.drr", given), lambda given: drrpack.report("run", given),
        lambda given: drrpack.drop(given, ["3"]),
    ],
)  # fmt: skip
def test_what_is_no_path_is_named(call: Any, given: object) -> None:
    with pytest.raises(OptionError, match=f"found {given!r}, expected a path"):
        call(given)
