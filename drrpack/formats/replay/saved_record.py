"""What a ``.drr`` file records of the replay buffer that it was saved from, in its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from drrpack.formats import metadata
from drrpack.formats.container import Reader
from drrpack.formats.layout import Json
from drrpack.formats.replay.content import Content

KEY = "replay_buffer"  # in the metadata
STATE = ("state", "inc")  # the two numbers of 128 bits in the state of a PCG64 generator


@dataclass(frozen=True)
class Settings:
    """The arguments by which a buffer keeps images; no budget where none is known."""

    policy: str
    budget_bytes: int | None
    count_models: bool


@dataclass(frozen=True)
class Record:
    """What is recorded, as far as it is needed to go on."""

    settings: Settings
    classes: Mapping[str, tuple[int, int]]  # label and number seen of classes in the file, by name
    gone: Sequence[tuple[int, int]]  # the same of classes that have no image left
    random: tuple[np.random.Generator, np.random.Generator]  # of the policy, and of samples


def to_json(
    settings: Settings, content: Content, names: Sequence[str], random: Sequence[Json]
) -> Json:
    """The record; ``names`` are those of the classes that have images, in order."""
    pairs = list(zip(content.labels, content.seen, strict=True))
    here = [list(pair) for pair, rows in zip(pairs, content.rows, strict=True) if len(rows)]
    gone = [list(pair) for pair, rows in zip(pairs, content.rows, strict=True) if not len(rows)]
    return {
        **asdict(settings),
        "classes": dict(zip(names, here, strict=True)),
        "gone": gone,
        "random": list(random),
    }


def record_of(reader: Reader) -> Record | None:
    """The inverse of `to_json`; None where the file has no such record."""
    try:
        return _record(metadata.part(reader.metadata, KEY))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _record(kept: Json) -> Record:
    classes = {str(name): _pair(row) for name, row in kept["classes"].items()}
    gone = [_pair(row) for row in kept["gone"]]
    labels = [label for label, _ in (*classes.values(), *gone)]
    if len(set(labels)) < len(labels):
        raise ValueError("a label twice")
    policy, budget = kept["policy"], _number(kept["budget_bytes"])
    if not isinstance(policy, str):
        raise TypeError("no name of a policy")
    first, second = (generator_of(state) for state in kept["random"])
    settings = Settings(policy, budget, kept["count_models"] is True)
    return Record(settings, classes, gone, (first, second))


def _pair(row: object) -> tuple[int, int]:
    if not isinstance(row, list) or len(row) != 2:
        raise TypeError("no pair")
    return _number(row[0]), _number(row[1])


def _number(found: object) -> int:
    """A whole number from 0 that 64 bits hold."""
    if type(found) is not int or not 0 <= found < 2**63:
        raise ValueError("no such number")
    return found


def state_of(generator: np.random.Generator) -> Json:
    """The state of a PCG64 generator, its long numbers as text in hexadecimal digits."""
    state = generator.bit_generator.state
    half = state["uinteger"] if state["has_uint32"] else None
    return {**{name: f"{state['state'][name]:x}" for name in STATE}, "half": half}


def generator_of(kept: Json) -> np.random.Generator:
    """The inverse of `state_of`; raises KeyError, TypeError or ValueError for no state."""
    numbers = {name: int(kept[name], 16) for name in STATE}
    half = 0 if kept["half"] is None else _number(kept["half"])
    if half >= 1 << 32 or not all(0 <= number < 1 << 128 for number in numbers.values()):
        raise ValueError("no state of PCG64")
    made = np.random.PCG64(0)
    made.state = {
        "bit_generator": "PCG64",
        "state": {"state": numbers["state"], "inc": numbers["inc"]},
        "has_uint32": int(kept["half"] is not None),
        "uinteger": half,
    }
    return np.random.Generator(made)
