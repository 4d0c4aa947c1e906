"""``drrpack.train`` and ``drrpack.report`` from Python."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from drrpack.core.errors import OptionError, OutputError
from drrpack.core.progress import Notice
from drrpack.operations import preparing
from drrpack.operations.progress import Event, RunStarted
from drrpack.operations.report import report
from drrpack.operations.train import train
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.methods import METHODS
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.run_progress import RunProgress
from drrpack.trainers.incremental.study import Job
from drrpack.trainers.ranks import Ranks

pytestmark = pytest.mark.usefixtures("one_thread")

TINY: dict[str, Any] = {"epochs": 1, "width": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def several(fitted_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A folder of four runs of four classes, and the results and events that they gave."""
    out, events = tmp_path_factory.mktemp("several") / "runs", list[Event]()
    classes = ["7", "2", "0", "9"]
    results = train(
        fitted_drr, out, phases=[1, 2], base=2, classes=classes, class_order=["0", "2", "7", "9"],
        seed=3, report=events.append, **TINY,
    )  # fmt: skip
    return out, [results, events]


def test_it_gives_back_what_it_wrote(several: tuple[Path, list[Any]]) -> None:
    out, (results, _) = several
    assert [(r.method, r.phase_count, r.seed) for r in results] == [
        ("drr", 1, 3), ("ub", 1, 3), ("drr", 2, 3), ("ub", 2, 3),
    ]  # fmt: skip
    for one in results:
        folder = out / f"{one.method}-{one.phase_count}phases-seed3"
        assert Result.from_json(json.loads((folder / "result.json").read_text())) == one
        assert one.config.classes == ["7", "2", "0", "9"] and one.class_order == [2, 1, 0, 3]
        assert (one.epochs, one.width, one.device, one.complete) == (1, 2, "cpu", True)
    assert (out / "summary.json").exists() and (out / "accuracy.png").exists()


def test_it_tells_what_happens(several: tuple[Path, list[Any]]) -> None:
    _, (results, events) = several
    started = [event for event in events if isinstance(event, RunStarted)]
    assert [(s.method, s.phases, s.number, s.runs) for s in started] == [
        ("drr", 1, 0, 4), ("ub", 1, 1, 4), ("drr", 2, 2, 4), ("ub", 2, 3, 4),
    ]  # fmt: skip
    assert started[0].codec_classes is not None and started[0].codec_classes.fitted == ["0", "2"]
    assert not [event for event in events if isinstance(event, Notice)]
    told = [e.accuracy for e in events if isinstance(e, RunProgress) and e.accuracy is not None]
    assert told == [phase.accuracy for result in results for phase in result.phases]


def test_a_page_of_the_runs(several: tuple[Path, list[Any]], tmp_path: Path) -> None:
    out, _ = several
    page = report(out, tmp_path / "page.html")
    assert len(page.results) == 4 and page.doubles == [] and page.path.stat().st_size > 1000
    again = Path(shutil.copytree(out / "ub-1phases-seed3", tmp_path / "again"))
    both = report([out, str(again)], tmp_path / "curves.png")
    assert [double.method for double in both.doubles] == ["ub"] and len(both.results) == 4
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    class Place:
        """A path of another library."""

        def __fspath__(self) -> str:
            return str(again)

    assert [run.method for run in report(Place(), tmp_path / "place.png").results] == ["ub"]


def test_a_method_as_a_class_with_options(digits_drr: Path, tmp_path: Path) -> None:
    given = {"classes": "0:2", "base": 1, "phases": 1, "ceiling": False, **TINY}
    star = METHODS["ib-drr-star"]
    (one,) = train(
        digits_drr, tmp_path / "a", method=star, options={"similarity_weight": 0.1}, **given
    )
    assert one.config.options == {"similarity_weight": 0.1} and len(one.phases) == 2
    with pytest.raises(OptionError, match="no option 'weight'; it has: similarity_weight"):
        train(digits_drr, tmp_path / "b", method=star, options={"weight": 1}, **given)
    with pytest.raises(OutputError, match="already holds a run"):
        train(digits_drr, tmp_path / "a", method="ub", **given)


def test_what_may_be_otherwise_is_told(digits_drr: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(OptionError, match="the base must have"):
        train(digits_drr, tmp_path / "run", classes="4", base=3, report=events.append, **TINY)
    (notice,) = events
    assert isinstance(notice, Notice) and "taken as the name of the class '4'" in notice.text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("classes", [["cow"], ["1", "1"], []])
def test_classes_that_are_not_there(digits_drr: Path, tmp_path: Path, classes: list[str]) -> None:
    with pytest.raises(OptionError, match=r"no class 'cow'|once"):
        train(digits_drr, tmp_path / "run", classes=classes, **TINY)


def test_classes_that_are_no_list(digits_drr: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"`classes=3`: expected a list of names and numbers"):
        train(digits_drr, tmp_path / "run", classes=3, **TINY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"exemplars": -1}, "`exemplars=-1`: say 1 or more"),
        ({"exemplars": "2"}, "`exemplars='2'`: say a whole number"),
        ({"seeds": 0}, "`seeds=0`: say 1 or more"),
        ({"phases": []}, "`phases=[]`: expected a number, or several that differ"),
        ({"phases": [1, 1]}, "`phases=[1, 1]`: expected a number, or several that differ"),
        ({"phases": -1}, "`phases=-1`: say 0 or more"),
        ({"phases": 1.5}, "`phases=1.5`: say a whole number"),
        ({"epochs": "1"}, "`epochs='1'`: say a whole number"),
        ({"seed": 0.5}, "`seed=0.5`: say a whole number"),
        ({"base": "2"}, "`base='2'`: say a whole number"),
        ({"budget_mb": "1"}, "`budget_mb='1'`: say a number above zero"),
        ({"class_order": 1.5}, "`class_order=1.5`: say file, a number, a JSON file"),
        ({"class_order": [0, 1]}, "`class_order=[0, 1]`: say file, a number, a JSON file"),
    ],
)
def test_numbers_that_make_no_run(
    digits_drr: Path, tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(words)) as caught:
        train(digits_drr, tmp_path / "run", method="er", **(TINY | wrong))
    assert caught.value.option == next(iter(wrong))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("trusted", [True, False])
def test_folders_that_a_file_names_are_asked_for(
    digits_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    from drrpack.operations import train as module

    asked: list[Sequence[str]] = []
    given: list[bool] = []

    class Opened(Exception):
        pass

    def data(*args: Any, trusted: bool, **more: Any) -> None:
        given.append(trusted)
        raise Opened

    def answer(paths: Sequence[str]) -> bool:
        asked.append(paths)
        return trusted

    monkeypatch.setattr(preparing, "untrusted_paths", lambda reader, source: ["somewhere"])
    monkeypatch.setattr(module, "MemoryData", data)
    for trust in (answer, trusted):
        with pytest.raises(Opened):
            train(digits_drr, tmp_path / "run", trust=trust, **TINY)
    assert asked == [["somewhere"]] and given == [trusted, trusted]

    class Second(Ranks):
        """Of two processes, where the first one has been asked."""

        def from_first(self, make: Callable[[], Any]) -> Any:
            return trusted

    monkeypatch.setattr(module, "ranks", lambda: Second(1, 2))
    with pytest.raises(Opened):
        train(digits_drr, tmp_path / "run", trust=answer, **TINY)
    assert asked == [["somewhere"]] and given == [trusted] * 3


def test_no_phases_are_a_base_of_all_classes(digits_drr: Path, tmp_path: Path) -> None:
    given = {name: value for name, value in TINY.items() if name not in ("base", "phases")}
    found, *_ = train(digits_drr, tmp_path / "run", phases=0, **given)
    assert found.phases[0].classes_seen == len(found.config.classes)


def test_it_trains_on_the_device_that_is_asked_for(
    context_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its number; what is recorded is the kind, as checkpoints of two GPUs are the same."""
    from drrpack.operations import train as module

    found: list[Job] = []

    def data(*args: Any, device: torch.device, **more: Any) -> MemoryData:
        return MemoryData(*args, **more)

    def study(data: MemoryData, jobs: Sequence[Job], *args: Any, **more: Any) -> list[Result]:
        found.extend(jobs)
        return []

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(module, "MemoryData", data)
    monkeypatch.setattr(module, "study", study)
    for device in ("cuda:1", "cuda:0"):
        train(context_drr, tmp_path / "run", phases=1, **(TINY | {"device": device}))
    assert [str(job.settings.device) for job in found] == 2 * ["cuda:1"] + 2 * ["cuda:0"]
    one, _, other, _ = (job.settings for job in found)
    opened, groups = MemoryData(context_drr), [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    assert one.to_json(opened, groups) == other.to_json(opened, groups)
    assert one.to_json(opened, groups)["device"] == "cuda"
    assert one.phase_key(opened, groups, [0, 1]) == other.phase_key(opened, groups, [0, 1])
