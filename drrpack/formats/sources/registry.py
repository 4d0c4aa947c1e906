"""All kinds of picture sources. A new kind is a file of its own and an entry here."""

from __future__ import annotations

from drrpack.formats.sources.arrays_file import ArraysFile
from drrpack.formats.sources.cifar import Cifar
from drrpack.formats.sources.dataset import Dataset
from drrpack.formats.sources.digits import Digits
from drrpack.formats.sources.hub import Hub
from drrpack.formats.sources.image_folder import ImageFolder
from drrpack.formats.sources.manifest import Manifest
from drrpack.formats.sources.opening import Given, PictureSource
from drrpack.formats.sources.parquet import Parquet
from drrpack.formats.sources.webdataset import WebDataset

# The first that recognises what is given opens it; the last takes every path that is left.
SOURCES: tuple[PictureSource, ...] = (
    *(Dataset(), Hub(), Digits(), Cifar(), ArraysFile(), Manifest(), Parquet(), WebDataset()),
    ImageFolder(),
)


def kind_of(given: Given) -> PictureSource:
    """The kind of source that ``given`` is."""
    return next(kind for kind in SOURCES if kind.recognises(given))


def kind_named(name: str) -> PictureSource | None:
    """The kind of this name, if there is one."""
    return next((kind for kind in SOURCES if kind.name == name), None)
