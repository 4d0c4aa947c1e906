"""What a ``.drr`` file records of its sources: how their pictures and classes were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drrpack.formats import metadata
from drrpack.formats.container import Reader
from drrpack.formats.metadata import SourceRecord
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import Given, Opening
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.registry import kind_of


def records(reader: Reader) -> Sequence[SourceRecord]:
    """The sources of the file's images."""
    return metadata.sources(reader.metadata)


def recorded_reading(reader: Reader) -> Reading:
    """How the memory's images were read, above all their size; other images are read alike."""
    reading = Reading()
    for kept in records(reader):
        reading = reading.or_as(kept.reading)
    return reading


def recorded_labelling(reader: Reader) -> Labelling:
    """How the classes of the memory's images were told; those of other images are told alike."""
    labelling = Labelling()
    for kept in records(reader):
        labelling = labelling.or_as(kept.labelling)
    return labelling


def labelled(how: Opening, given: Given, labelling: Labelling) -> Opening:
    """With those choices of a record that mean something for the kind of source that is given."""
    return replace(how, labelling=labelling.only(kind_of(given).takes))
