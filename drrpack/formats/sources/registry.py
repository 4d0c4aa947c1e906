"""All kinds of picture sources. A new kind is a file of its own and an entry here."""

from __future__ import annotations

from drrpack.formats.sources.cifar import Cifar
from drrpack.formats.sources.dataset import Dataset
from drrpack.formats.sources.digits import Digits
from drrpack.formats.sources.image_folder import ImageFolder
from drrpack.formats.sources.opening import Given, PictureSource

# The first that recognises what is given opens it; the last takes every path that is left.
SOURCES: tuple[PictureSource, ...] = (Dataset(), Digits(), Cifar(), ImageFolder())


def kind_of(given: Given) -> PictureSource:
    """The kind of source that ``given`` is."""
    return next(kind for kind in SOURCES if kind.recognises(given))


def kind_named(name: str) -> PictureSource | None:
    """The kind of this name, if there is one."""
    return next((kind for kind in SOURCES if kind.name == name), None)
