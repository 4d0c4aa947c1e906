"""What a run measured: result.json, the rows of a table, the plot accuracy.png."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.files.publish import write_atomic
from drrpack.trainers.incremental.grouping import Result, differing, grouped

NEWEST = ("new_class_accuracy", "new_class_answers", "new_class_images")
METRICS = ("average_accuracy", "average_accuracy_with_base", "last_accuracy", "forgetting")


def phase_entry(phase: int, groups: Sequence[int], record: Mapping[str, Any]) -> dict[str, Any]:
    """One phase of result.json; accuracies in percent of the test images.

    ``groups`` holds how many classes each phase so far added; ``record["confusion"]`` counts test
    images by their class (rows) and by the class they were taken for, in class order;
    ``record["through_codec"]``, where it was measured, the same for images that the codec encoded
    and decoded first; ``record["losses"]`` holds the mean training loss of each epoch.
    """
    entry = {
        "phase": phase,
        "classes_seen": len(record["confusion"]),
        **_accuracies(record["confusion"], groups),
        **newest(record["confusion"], groups[-1]),
        "losses": record["losses"],
        "memory_bytes": sum(record["memory_bytes"].values()),
        "seconds": record["seconds"],
    }
    if record.get("through_codec") is not None:
        seen = _accuracies(record["through_codec"], groups)
        entry["accuracy_through_codec"] = seen["accuracy"]
    return entry


def _accuracies(confusion: Sequence[Sequence[int]], groups: Sequence[int]) -> dict[str, Any]:
    """Of all test images, of each class, and of the classes that each phase added."""
    counts = np.array(confusion)
    correct, tested = np.diag(counts), counts.sum(1)
    ends = np.cumsum(groups)[:-1]
    pairs = zip(np.split(correct, ends), np.split(tested, ends), strict=True)
    return {
        "accuracy": 100 * float(correct.sum() / tested.sum()),
        "class_accuracy": [100 * float(share) for share in correct / tested],
        "group_accuracy": [100 * float(right.sum() / all_.sum()) for right, all_ in pairs],
    }


def newest(confusion: Sequence[Sequence[int]], new: int) -> dict[str, float]:
    """How the ``new`` classes that a phase added fare among all, in percent of test images.

    ``new_class_accuracy`` is of their own images; ``new_class_answers`` is how many of all images
    are taken for one of them, where ``new_class_images`` are of one: a network that told new
    classes as often as they occur would have the two equal.
    """
    counts = np.array(confusion)
    old = len(counts) - new
    own = counts[old:].sum()
    return {
        "new_class_accuracy": 100 * float(np.diag(counts)[old:].sum() / own),
        "new_class_answers": 100 * float(counts[:, old:].sum() / counts.sum()),
        "new_class_images": 100 * float(own / counts.sum()),
    }


def newest_at_end(result: Result) -> dict[str, float] | None:
    """`newest` after the last phase; None where an old result.json lacks what it takes."""
    last = result["phases"][-1]
    if all(name in last for name in NEWEST):
        return {name: last[name] for name in NEWEST}
    groups = result["config"].get("groups", [])
    if "confusion" not in result or len(groups) < len(result["phases"]):
        return None
    return newest(result["confusion"], groups[len(result["phases"]) - 1])


def summarise(phases: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The four figures of a run, in percent; None where the phases do not define them.

    ``average_accuracy`` leaves out phase 0, as the paper does (section 6.2).
    """
    accuracies = [float(phase["accuracy"]) for phase in phases]
    return {
        "average_accuracy": _mean(accuracies[1:]),
        "average_accuracy_with_base": _mean(accuracies),
        "last_accuracy": accuracies[-1],
        "forgetting": forgetting([phase["group_accuracy"] for phase in phases]),
    }


def forgetting(group_accuracy: Sequence[Sequence[float]]) -> float | None:
    """How far the classes of each earlier phase fell from their best (Chaudhry et al. 2018, eq. 3).

    ``group_accuracy[k][j]`` is the accuracy after phase k on the classes that phase j <= k
    added. Negative where old classes became better. None with a single phase.
    """
    *earlier, last = group_accuracy
    falls = [
        max(row[j] for row in earlier[j:]) - last[j]  # row k holds the groups 0..k
        for j in range(len(earlier))
    ]
    return _mean(falls)


def make_result(
    settings: Mapping[str, Any], records: Sequence[Mapping[str, Any]], device: torch.device
) -> Result:
    """The content of result.json after the phases in ``records``.

    ``wall_seconds`` adds up what each phase took to train and test when it was carried out,
    before an interruption or in another run that shares it.
    """
    groups = settings["groups"]
    phases = [phase_entry(k, groups[: k + 1], record) for k, record in enumerate(records)]
    parts = records[-1]["memory_bytes"]
    config = {name: value for name, value in settings.items() if name not in _ON_TOP}
    return {
        "method": settings["method"],
        "recipe": settings["recipe"]["name"],
        "seed": settings["seed"],
        "class_order": list(settings["class_order"]),
        "phases": phases,
        **summarise(phases),
        "memory_bytes": {**parts, "total": sum(parts.values())},
        **_through_codec(phases),
        "confusion": records[-1]["confusion"],
        "epochs": settings["recipe"]["epochs"],
        "width": settings["recipe"]["width"],
        "wall_seconds": sum(record["seconds"] for record in records),
        "device": device_name(device),
        "complete": len(records) == len(groups),
        "config": {**config, "threads": torch.get_num_threads()},
        "versions": versions(),
    }


def _through_codec(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The averages on test images that passed through the codec, under a name of their own."""
    if "accuracy_through_codec" not in phases[0]:
        return {}
    seen = [phase["accuracy_through_codec"] for phase in phases]
    averages = {"average_accuracy": _mean(seen[1:]), "average_accuracy_with_base": _mean(seen)}
    return {"through_codec": {**averages, "last_accuracy": seen[-1]}}


_ON_TOP = ("method", "seed", "class_order")  # settings that stand at the top of result.json


def device_name(device: torch.device) -> str:
    """``cpu``, or a GPU by its name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    """The versions that decide a result."""
    try:
        drrpack = metadata.version("drrpack")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        drrpack = "not installed"
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "drrpack": drrpack,
    }


def read_result(path: Path) -> Result:
    """A result.json; raises SourceError."""
    try:
        result: Result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read as a result.json: {error}") from error
    missing = {"method", "recipe", "phases", "config", *METRICS} - set(result)
    if missing:
        raise SourceError(f"{path} is no result.json: it lacks {', '.join(sorted(missing))}")
    return result


def table(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row for each group of runs that differ in their seeds alone: means, and their spread.

    Rows hold ``method``, ``phases``, the settings that differ between rows (`differing`), ``seeds``
    (how many), ``memory_bytes`` and, for each of METRICS, the mean and under ``<metric>_std`` the
    sample deviation (None for one seed). Raises OptionError for results that may not stand side
    by side.
    """
    rows, groups = [], grouped(results)
    columns = differing(groups)
    for group in groups:
        runs = group.runs
        row: dict[str, Any] = {"method": group.method, "phases": group.phases}
        row |= {column: group.settings[column] for column in columns}
        row["seeds"] = len(runs)
        row["memory_bytes"] = runs[0]["memory_bytes"]["total"]
        for metric in METRICS:
            values = [run[metric] for run in runs if run[metric] is not None]
            row[metric] = _mean(values)
            row[f"{metric}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        rows.append(row)
    return rows


def plot(results: Iterable[Result], path: Path) -> None:
    """Accuracy over classes seen as a PNG: a line for each group, a band from worst to best seed.

    Raises OptionError for results that may not share a plot.
    """
    from matplotlib.figure import Figure  # slow; and not pyplot: no screen, no global state

    groups = grouped(results)
    columns = differing(groups)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for group in groups:
        runs = group.runs
        seen, accuracy = curve(runs)  # (P,), (S, P)
        name = group.name(columns).replace(group.method, group.method.upper(), 1)
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        label = f"{name}, {group.phases} phases{seeds}"
        (line,) = axes.plot(seen, accuracy.mean(0), marker="o", markersize=3, label=label)
        if len(runs) > 1:
            axes.fill_between(
                seen, accuracy.min(0), accuracy.max(0), color=line.get_color(), alpha=0.2
            )
    axes.set(xlabel="classes seen", ylabel="accuracy on raw test images (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=150))


def curve(runs: Sequence[Result]) -> tuple[list[int], Any]:
    """Classes seen (P,) and accuracy (S, P) of S runs of one method; raises OptionError."""
    seen = [[phase["classes_seen"] for phase in run["phases"]] for run in runs]
    if any(other != seen[0] for other in seen):
        raise OptionError("runs of one method with other numbers of classes can't be averaged")
    return seen[0], np.array([[phase["accuracy"] for phase in run["phases"]] for run in runs])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
