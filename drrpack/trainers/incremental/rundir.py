"""The folder of a run: its settings, a checkpoint for each finished phase, the result so far.

    settings.json       what the run was started with; a resumed run must agree
    phases/<key>.pt     one finished phase: what was measured; in the newest also the classifier's
                        weights, and in the last two what the method goes on from
    result.json         the result of the phases so far
    run.toml            the options of `drrpack train`, in the folder of a single run or of several
    summary.json        the rows of a table, in the folder of several runs, which holds theirs
    memory/             of a memory that grows with the phases, the file of each phase; it is there
                        before the run begins

Every file is written beside itself and renamed, so a killed run leaves whole files only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from drrpack.core.errors import CorruptError, OptionError, OutputError
from drrpack.core.wording import counted, shortened
from drrpack.formats.files.own import PHASES, RESULT, RUN_CONFIG, SETTINGS
from drrpack.formats.files.places import make_folder
from drrpack.formats.files.publish import changing, is_hidden, remove_leftovers, write_atomic
from drrpack.formats.layout import Json
from drrpack.trainers.checkpoints import load_checkpoint, save_checkpoint
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.records import FinishedPhase, check_state

SUMMARY = "summary.json"
MEMORY = "memory"
BEFORE_PHASES = frozenset((SETTINGS, MEMORY, RUN_CONFIG))  # what a run without a phase has


def check_run(out: Path, settings: Json, resume: bool) -> None:
    """Check that a run can use its folder: a new one, or one of a run with the same settings.

    Writes nothing. Resuming in an empty folder starts a run. A run that never finished a phase does
    not block another one.

    Raises:
        OutputError: the folder holds something else, or can't be made.
        OptionError: the folder holds a run with other settings.
        CorruptError: the settings of that run can't be read.
    """
    present = _present(out)
    if set(present) <= BEFORE_PHASES:
        return
    if SETTINGS not in present:
        found = ", ".join(sorted(present)[:3])
        what = "holds no run" if (left := unfinished(out)) is None else f"holds {left}"
        raise OutputError(f"{out} is not empty and {what} ({found}); give a new folder")
    if not resume:
        raise OutputError(
            f"{out} already holds a run; continue it with `resume=True`, or give a new folder"
        )
    _check_settings(out, _earlier(out), settings)


def unfinished(out: Path) -> str | None:
    """What there is in a folder of a training that was interrupted, and how it goes on, in words;
    None where there is none. ``out`` may be that of one of several runs, whose options lie above.
    """
    if not any(out.rglob(f"{PHASES}/*.pt")) and not any(out.rglob(SETTINGS)):
        return None
    out = next((one for one in (out, out.parent) if (one / RUN_CONFIG).is_file()), out)
    phases = [*out.rglob(f"{PHASES}/*.pt")]
    how = "the same training with `resume=True` goes on with it"
    if (out / RUN_CONFIG).is_file():
        how = f"`drrpack train --config {out / RUN_CONFIG} --out {out} --resume` goes on with it"
    trained = f"checkpoints of {counted(len(phases), 'phase')}" if phases else "no checkpoint yet"
    return f"a training that is unfinished, with {trained}: {how}"


def check_folders(out: Path) -> None:
    """Check that several runs can have their folders in ``out``; writes nothing.

    Raises OutputError where a single run has left its result, beside which theirs would come.
    """
    if RESULT in _present(out):
        raise OutputError(
            f"{out} already holds a single run ({RESULT}), whose run.toml and accuracy.png several "
            "runs would replace; give a new folder"
        )


@contextmanager
def open_run(out: Path, settings: Json) -> Iterator[None]:
    """Create and lock the folder of a run after `check_run`.

    Raises OutputError if it can't be created, or another process uses it.
    """
    with changing(make_folder(out)):
        for folder in (out, out / PHASES):
            remove_leftovers(folder)
        if set(_present(out)) <= BEFORE_PHASES:
            write_json(out / SETTINGS, settings)
        yield


def _present(out: Path) -> list[str]:
    """The content of a folder; raises OutputError if the folder neither exists nor can be made."""
    try:
        return [path.name for path in out.iterdir() if not is_hidden(path)]
    except FileNotFoundError:
        above = next(path for path in out.absolute().parents if path.exists())
        if os.access(above, os.W_OK | os.X_OK):
            return []
        raise OutputError(
            f"can't make the run's folder {out}: you may not write to {above}; give another place"
        ) from None
    except OSError as error:
        raise OutputError(f"can't make the run's folder {out}: {error.strerror}") from error


def _earlier(out: Path) -> Json:
    """The settings of the run in a folder; raises CorruptError."""
    path = out / SETTINGS
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, dict):
        raise _damaged(path, f"found a JSON {type(found).__name__}, expected an object")
    return found


def _damaged(path: Path, found: str) -> CorruptError:
    return CorruptError(
        f"the settings {path} can't be read ({found}); put back the file that the run wrote, or "
        "give a new folder"
    )


def _check_settings(out: Path, before: Json, now: Json) -> None:
    """Raise OptionError, which names each setting that differs from those of the earlier run.

    Of another method it names that alone, as settings differ that only one of the two has.
    """
    before, now = _flat(before), _flat(now)
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    different = [
        f"{name} was {shortened(before.get(name))} and is now {shortened(now.get(name))}"
        for name in (["method"] if "method" in names else names)
    ]
    if different:
        raise OptionError(
            f"the run in {out} can't continue with other settings: {'; '.join(different)}. "
            "Give the old settings, or a new folder"
        )


def phase_path(folder: Path, key: Json) -> Path:
    """The path of a phase's checkpoint; its name holds a digest of all settings that affect it."""
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return folder / f"{key['method']}-{len(key['seen']):04d}-{digest}.pt"


def save_phase(path: Path, finished: FinishedPhase) -> None:
    """Keep a finished phase.

    Raises MethodError if its weights or state hold objects that a checkpoint can't restore.
    """
    check_state("the classifier's state_dict", finished.weights)
    check_state("the method's state_dict", finished.state)
    make_folder(path.parent)
    write_atomic(path, lambda file: save_checkpoint(finished.to_state(), file))


def load_phase(path: Path) -> FinishedPhase | None:
    """What ``save_phase`` kept, or None; raises CorruptError."""
    if not path.exists():
        return None
    try:
        return FinishedPhase.from_state(load_checkpoint(path))
    except Exception as error:  # what is in it may be anything
        raise CorruptError(
            f"the checkpoint {path} can't be read ({error}); delete it and resume, "
            "and its phase is trained again"
        ) from error


def drop_weights(path: Path) -> None:
    """Drop the 45 MB of weights of a phase, once the next one is saved.

    The method's state stays: if the next phase's checkpoint is damaged, it is trained again.
    """
    finished = load_phase(path)
    if finished is not None and finished.weights:
        save_phase(path, finished.without_weights)


def drop_state(path: Path) -> None:
    """Drop the method's state as well and keep the record, once two later phases are saved."""
    finished = load_phase(path)
    if finished is not None and (finished.weights or finished.state):
        save_phase(path, finished.record_alone)


def check_history(paths: Sequence[Path], method: type[Method]) -> None:
    """Check that each phase that is to be trained finds what the method has kept of the one before.

    ``paths`` are the checkpoints of all phases of a run. A method without a history, or one that
    keeps no state, needs nothing of earlier phases.

    Raises:
        CorruptError: a checkpoint can't be read, or a state was dropped that is needed again.
    """
    if not method.depends_on_history or method.state_dict is Method.state_dict:
        return
    for number in range(1, len(paths)):
        if not paths[number].exists() and _dropped(paths[number - 1]):
            first = number - 1
            while first > 0 and _dropped(paths[first - 1]):
                first -= 1
            names = ", ".join(path.name for path in paths[first:number])
            raise CorruptError(
                f"{paths[number].name} is missing in {paths[number].parent}, and the checkpoint of "
                f"the phase before it no longer holds what {method.name} goes on from: delete also "
                f"{names}, and resume; then these phases are trained again"
            )


def _dropped(path: Path) -> bool:
    """Whether a phase's state was dropped; not of one that is missing, and so trained again."""
    finished = load_phase(path)
    return finished is not None and finished.dropped


def write_json(path: Path, content: Json) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def _flat(settings: Json, prefix: str = "") -> Json:
    """Nested settings under dotted names, so that a message can name each of them."""
    flat: Json = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
