"""The section of an entropy model of any kind: the model and the layout of its streams."""

from __future__ import annotations

from dataclasses import asdict, fields

from drrpack.core.codes import LEVELS, LevelName, Levels
from drrpack.core.entropy.model import EntropyModel, find
from drrpack.core.errors import CorruptError
from drrpack.core.section import Json, Section, is_before
from drrpack.core.stored import SIZE_LIMIT
from drrpack.core.streams import StreamLayout

STREAMS = "streams"  # the layouts: a key of the config
KIND = "kind"  # from version 3.0 on
PLAIN_MAX = 2**31

Layouts = Levels[StreamLayout]


def pack_entropy(model: EntropyModel, layouts: Layouts) -> Section:
    """An entropy model and the layouts of its streams."""
    config, data = model.pack()
    version = model.versions[-1]
    named: Json = {} if is_before(version, 3) else {KIND: model.kind}
    kept = {name: asdict(layouts[name]) for name in LEVELS}
    return Section(version, {**named, **config, STREAMS: kept}, data)


def unpack_entropy(section: Section) -> tuple[EntropyModel, Layouts]:
    """The inverse of `pack_entropy`; the model is on the CPU, and frozen in float32.

    Raises:
        VersionError: no kind of entropy model reads it.
        CorruptError, ExactnessError: as `EntropyModel.unpack`, or a layout is none.
    """
    if not isinstance(section.config, dict):
        raise CorruptError(f"a model's config is {section.config!r}, expected a JSON object")
    model = find(section)
    layouts = Levels(*(_layout(section.config, name) for name in LEVELS))
    return model.unpack(section.version, section.config, section.data), layouts


def _layout(config: Json, name: LevelName) -> StreamLayout:
    streams = config.get(STREAMS)
    kept = streams.get(name) if isinstance(streams, dict) else None
    names = [field.name for field in fields(StreamLayout)]
    values = [kept.get(field) if isinstance(kept, dict) else None for field in names]
    plain, group, lanes = (value if type(value) is int else -1 for value in values)
    if not (0 <= plain <= PLAIN_MAX and 1 <= group <= SIZE_LIMIT and 1 <= lanes <= SIZE_LIMIT):
        raise CorruptError(f"a stream layout is {kept!r}, which is not valid")
    return StreamLayout(plain, group, lanes)
