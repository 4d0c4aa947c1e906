"""The codecs that come with drrpack, and files that leave them out.

A file may name a shipped model by its digest instead of holding it, as a JPEG leaves its decoder to
the program that reads it. Such a section has the version ``shipped``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from drrpack.core.entropy.sections import STREAMS
from drrpack.core.errors import CorruptError, DrrError, OptionError, VersionError
from drrpack.core.section import Json, Section
from drrpack.formats.container import Reader
from drrpack.formats.hdf5.build import section_digest
from drrpack.formats.layout import AnyPath

FOLDER = Path(str(files("drrpack"))) / "data"
VERSION = "shipped"


def known(section: Section) -> bool:
    """Whether this model comes with drrpack."""
    return key(section) in _shipped(FOLDER)


def thin(section: Section) -> Section:
    """The section without the model, if that is a shipped one.

    Raises:
        OptionError: it is not.
    """
    if not known(section):
        raise OptionError(
            "`thin` leaves out codecs that come with drrpack, and this codec does not; "
            "encode without `thin`"
        )
    return Section(VERSION, {"sha256": key(section), **_layouts(section)}, b"")


def as_thin_as_can_be(section: Section) -> Section:
    """The section without the model if that is a shipped one, else as it is."""
    return thin(section) if known(section) else section


def whole(section: Section, path: AnyPath) -> Section:
    """The section with its model, wherever that is.

    Raises:
        VersionError: ``path`` names a model that this drrpack does not ship.
    """
    if section.version != VERSION:
        return section
    digest = section.config.get("sha256")
    if not isinstance(digest, str):
        raise CorruptError(f"{path}: a model was left out, and no digest says which")
    if digest not in _shipped(FOLDER):
        raise VersionError(
            f"{path}: it leaves out the model {digest[:16]}..., which came with the drrpack that "
            "wrote it and not with this one; update drrpack"
        )
    model = _shipped(FOLDER)[digest]
    return Section(model.version, {**model.config, **_layouts(section)}, model.data)


def _layouts(section: Section) -> Json:
    """Of a section's config the layouts of the file's own streams, which an entropy model has."""
    return {name: value for name, value in section.config.items() if name == STREAMS}


def key(section: Section) -> str:
    """The name of a model: the digest of its section without the layout of streams."""
    config = {k: v for k, v in section.config.items() if k != STREAMS}
    text = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    return section_digest(section.version, text, section.data)


def paths() -> list[Path]:
    """The files whose codecs come with drrpack: one VQ-VAE, each with its own entropy model.

    Raises:
        DrrError: there is none.
    """
    found = sorted(FOLDER.glob("*.drr"))
    if not found:
        raise DrrError(f"{FOLDER}: the codecs that come with drrpack are not there; reinstall it")
    return found


def pairs() -> list[tuple[Section, Section]]:
    """VQ-VAE and entropy model of each shipped codec, both whole."""
    return list(_pairs(FOLDER))


def models() -> list[Section]:
    """All shipped models."""
    return list(_shipped(FOLDER).values())


@lru_cache(maxsize=4)
def _pairs(folder: Path) -> tuple[tuple[Section, Section], ...]:
    found = []
    for path in sorted(folder.glob("*.drr")):
        with Reader(path) as reader:
            found.append((whole(reader.vqvae, path), whole(reader.entropy_model, path)))
    return tuple(found)


@lru_cache(maxsize=4)
def _shipped(folder: Path) -> dict[str, Section]:
    """The models of all ``.drr`` files in a folder, by their `key`."""
    found = {}
    for path in sorted(folder.glob("*.drr")):
        with Reader(path) as reader:
            for section in (reader.vqvae, reader.entropy_model):
                if section.version != VERSION:  # one names what another holds
                    found[key(section)] = section
    return found
