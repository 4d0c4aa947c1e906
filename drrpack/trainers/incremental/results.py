"""The result of a run, as result.json holds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch

from drrpack.core.device import device_name
from drrpack.core.errors import SourceError
from drrpack.core.wording import shortened
from drrpack.formats.layout import Json
from drrpack.trainers.incremental import metrics
from drrpack.trainers.incremental.metrics import METRICS, Newest
from drrpack.trainers.incremental.options import Value
from drrpack.trainers.incremental.records import Confusion, PhaseRecord
from drrpack.trainers.versions import versions


@dataclass(frozen=True)
class PhaseResult:
    """One phase; accuracies in percent of the raw test images of all classes seen.

    Figures that earlier versions did not record, or that are measured only on demand, may be None.
    """

    phase: int
    classes_seen: int
    accuracy: float
    group_accuracy: list[float]  # of the classes that each phase so far added
    class_accuracy: list[float] = field(default_factory=list)  # of each class, in class order
    newest: Newest | None = None
    losses: list[float] = field(default_factory=list)  # mean training loss of each epoch
    memory_bytes: int = 0
    seconds: float = 0.0
    accuracy_through_codec: float | None = None
    loss_terms: dict[str, list[float | None]] = field(default_factory=dict)

    def to_json(self) -> Json:
        found: Json = {
            "phase": self.phase,
            "classes_seen": self.classes_seen,
            "accuracy": self.accuracy,
            "class_accuracy": self.class_accuracy,
            "group_accuracy": self.group_accuracy,
            **({} if self.newest is None else asdict(self.newest)),
            "losses": self.losses,
            "memory_bytes": self.memory_bytes,
            "seconds": self.seconds,
        }
        if self.accuracy_through_codec is not None:
            found["accuracy_through_codec"] = self.accuracy_through_codec
        return found | ({"loss_terms": self.loss_terms} if self.loss_terms else {})

    @classmethod
    def from_json(cls, found: Json) -> PhaseResult:
        names = [one.name for one in fields(Newest)]
        new = Newest(*(found[name] for name in names)) if set(names) <= set(found) else None
        return cls(**_known(cls, found), newest=new)


@dataclass(frozen=True)
class ThroughCodec:
    """Averages on test images that went through the codec; never mixed with the others."""

    average_accuracy: float | None
    average_accuracy_with_base: float | None
    last_accuracy: float


@dataclass(frozen=True)
class CodecClasses:
    """The run's classes that the codec was fitted on, and those of them that come after phase 0."""

    fitted: list[str]
    after_base: list[str]


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run, as its result repeats them (`drrpack...settings.RunSettings`).

    Results of earlier versions lack some.
    """

    data: str = "-"  # the fingerprint of the memory and of the test images
    classes: list[str] = field(default_factory=list)  # all names, which the class order numbers
    base: int | None = None
    phases: int | None = None
    groups: list[int] = field(default_factory=list)  # how many classes each phase adds
    device: str = "-"
    recipe: Json = field(default_factory=dict)
    recipe_changes: list[str] = field(default_factory=list)
    budget_bytes: int | None = None
    exemplars_per_class: int | None = None
    test_view: str = "raw"
    compiled: bool = False
    options: dict[str, Value] = field(default_factory=dict)  # of the method
    revision: int = 0  # of the method: what it does has changed so often
    method_from: str | None = None  # package.module:Class of a method that is not drrpack's
    network: str | None = None  # None: resnet18
    test_augmentation: str | None = None  # None: no other view of a test image
    threads: int | None = None

    def to_json(self) -> Json:
        """Without those of `_WHERE_ANY` that there are not, as in results of before."""
        found = asdict(self)
        return {name: v for name, v in found.items() if name not in _WHERE_ANY or v}


_WHERE_ANY = ("options", "revision", "method_from", "network", "test_augmentation")


@dataclass(frozen=True)
class Result:
    """The result of a run after some or all of its phases; figures in percent, sizes in bytes."""

    method: str
    recipe: str
    seed: int | None
    class_order: list[int]
    phases: list[PhaseResult]
    average_accuracy: float | None  # without phase 0, as in the paper
    average_accuracy_with_base: float | None
    last_accuracy: float
    forgetting: float | None
    memory_bytes: dict[str, int]  # after the last phase, by part, with their ``total``
    confusion: Confusion  # after the last phase
    epochs: int
    width: int
    wall_seconds: float  # to train and test all phases, in whichever process or run that was
    device: str  # by its name
    complete: bool
    config: RunConfig
    versions: dict[str, str]
    through_codec: ThroughCodec | None = None
    codec_classes: CodecClasses | None = None

    @property
    def phase_count(self) -> int:
        """Phases after the base."""
        return len(self.phases) - 1

    def metric(self, name: str) -> float | None:
        """One of `metrics.METRICS`, by name."""
        value: float | None = getattr(self, name)
        return value

    def newest_at_end(self) -> Newest | None:
        """Figures of the classes of the last phase; None if an old result lacks the data."""
        last, groups = self.phases[-1], self.config.groups
        if last.newest is not None or not self.confusion or len(groups) < len(self.phases):
            return last.newest
        return metrics.newest(self.confusion, groups[self.phase_count])

    def to_json(self) -> Json:
        found: Json = {
            "method": self.method,
            "recipe": self.recipe,
            "seed": self.seed,
            "class_order": self.class_order,
            "phases": [phase.to_json() for phase in self.phases],
            **{name: self.metric(name) for name in METRICS},
            "memory_bytes": self.memory_bytes,
        }
        if self.through_codec is not None:
            found["through_codec"] = asdict(self.through_codec)
        for name in _LATER:
            found[name] = getattr(self, name)
        found |= {"config": self.config.to_json(), "versions": self.versions}
        return found | (
            {} if self.codec_classes is None else {"codec_classes": asdict(self.codec_classes)}
        )

    @classmethod
    def from_json(cls, found: Json) -> Result:
        """Raises KeyError, TypeError, ValueError or AttributeError for what is no result."""
        through, codec = found.get("through_codec"), found.get("codec_classes")
        for name, kind in _KINDS.items():
            if not isinstance(found.get(name, kind()), kind):
                raise TypeError(
                    f"found {name} = {shortened(found[name])}, expected a {kind.__name__}"
                )
        if not found["phases"]:
            raise ValueError("found no phase in phases, expected one at least")
        parsed = {
            "phases": [PhaseResult.from_json(phase) for phase in found["phases"]],
            "config": RunConfig(**_known(RunConfig, found["config"])),
            "through_codec": None if through is None else ThroughCodec(**through),
            "codec_classes": None if codec is None else CodecClasses(**codec),
        }
        return cls(**(_ABSENT | _known(cls, found) | parsed))


_OF_RESULT = ("method", "seed", "class_order")  # settings that a result has beside its config
_KINDS: dict[str, type] = {
    "phases": list, "class_order": list, "confusion": list,
    "memory_bytes": dict, "config": dict, "versions": dict,
}  # fmt: skip
_LATER = ("confusion", "epochs", "width", "wall_seconds", "device", "complete")
_ABSENT: Json = {  # what results of earlier versions may lack
    "seed": None, "class_order": [], "memory_bytes": {}, "confusion": [], "wall_seconds": 0.0,
    "device": "-", "complete": True, "versions": {},
}  # fmt: skip


def _known(kind: type[PhaseResult | RunConfig | Result], found: Json) -> Json:
    """The values in a file for which a dataclass has a field."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in found.items() if name in names}


def phase_result(phase: int, groups: Sequence[int], record: PhaseRecord) -> PhaseResult:
    """One phase of a result; ``groups`` holds how many classes each phase so far added."""
    seen = metrics.accuracies(record.confusion, groups)
    through = record.through_codec
    return PhaseResult(
        phase=phase,
        classes_seen=len(record.confusion),
        **asdict(seen),
        newest=metrics.newest(record.confusion, groups[-1]),
        losses=record.losses,
        memory_bytes=sum(record.memory_bytes.values()),
        seconds=record.seconds,
        accuracy_through_codec=(
            None if through is None else metrics.accuracies(through, groups).accuracy
        ),
        loss_terms=record.loss_terms,
    )


def make_result(
    described: Json,
    records: Sequence[PhaseRecord],
    device: torch.device,
    codec_classes: CodecClasses | None,
) -> Result:
    """The result after the phases in ``records``, of a run whose settings.json is ``described``;
    raises TypeError for a setting that has no field."""
    groups, recipe = described["groups"], described["recipe"]
    phases = [phase_result(k, groups[: k + 1], record) for k, record in enumerate(records)]
    parts = records[-1].memory_bytes
    config = {name: value for name, value in described.items() if name not in _OF_RESULT}
    return Result(
        method=described["method"],
        recipe=recipe["name"],
        seed=described["seed"],
        class_order=list(described["class_order"]),
        phases=phases,
        **asdict(metrics.summarise(phases)),
        memory_bytes={**parts, "total": sum(parts.values())},
        through_codec=_through_codec(phases),
        confusion=records[-1].confusion,
        epochs=recipe["epochs"],
        width=recipe["width"],
        wall_seconds=sum(record.seconds for record in records),
        device=device_name(device),
        complete=len(records) == len(groups),
        config=RunConfig(**config, threads=torch.get_num_threads()),
        versions=versions(),
        codec_classes=codec_classes,
    )


def _through_codec(phases: Sequence[PhaseResult]) -> ThroughCodec | None:
    """The averages on test images that passed through the codec, where they were measured."""
    seen = [one.accuracy_through_codec for one in phases if one.accuracy_through_codec is not None]
    if len(seen) < len(phases):
        return None
    return ThroughCodec(metrics.mean(seen[1:]), metrics.mean(seen), seen[-1])


def read_result(path: Path) -> Result:
    """A result.json; raises SourceError."""
    try:
        found: Json = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read as a result.json: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(
            f"{path} is no result.json: found {shortened(found)}, expected an object; give the "
            "file that `drrpack train` wrote"
        )
    missing = {"method", "recipe", "phases", "config", *METRICS} - set(found)
    if missing:
        raise SourceError(
            f"{path} is no result.json: it lacks {', '.join(sorted(missing))}; give the file that "
            "`drrpack train` wrote"
        )
    try:
        return Result.from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{path} is no result.json that can be read: {error}; give the file that `drrpack "
            "train` wrote"
        ) from error
