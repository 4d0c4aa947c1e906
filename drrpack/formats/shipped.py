"""The codecs that come with drrpack, and files that leave them out.

A file may name a shipped model by its digest instead of holding it, as a JPEG leaves its decoder to
the program that reads it. Such a section has the version ``shipped``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np

from drrpack.core.entropy import adapted
from drrpack.core.entropy.model import kind_of
from drrpack.core.entropy.sections import KIND, STREAMS
from drrpack.core.errors import CorruptError, DrrError, OptionError, VersionError
from drrpack.core.families import FAMILIES, Family, for_size
from drrpack.core.section import Json, Section
from drrpack.core.vqvae import VQVAE
from drrpack.core.weights import stored_stride, unpack_vqvae
from drrpack.formats import metadata
from drrpack.formats.container import Reader
from drrpack.formats.hdf5.build import section_digest
from drrpack.formats.layout import AnyPath

FOLDER = Path(str(files("drrpack"))) / "data"
EARLIER = "earlier"  # a folder in that one: models that files may name, and none is made with
VERSION = "shipped"


FAMILY_BESIDE_CODEC = (
    "`family` has no meaning beside `codec`, whose family is fixed; leave one of them out"
)


def fit_of(reader: Reader) -> Json:
    """How a file's codec was fitted, for the files that are made with it: of one that comes with
    drrpack without the figures of its networks, which its own file has."""
    log = metadata.part(reader.metadata, "fit")
    return metadata.without_figures(log) if known(whole(reader.vqvae, reader.path)) else log


def known(section: Section) -> bool:
    """Whether this model comes with drrpack; of an adapted one the model below it."""
    return key(_below(section) or section) in _shipped(FOLDER)


def thin(section: Section) -> Section:
    """The section without the model, if that is a shipped one. A correction of it stays.

    Raises:
        OptionError: it is not.
    """
    if not known(section):
        raise OptionError(
            "`thin` leaves out codecs that come with drrpack, and this codec does not; "
            "encode without `thin`"
        )
    below = _below(section)
    if below is None:
        return Section(VERSION, {"sha256": key(section), **_layouts(section)}, b"")
    config = {**section.config, adapted.BASE: {"sha256": key(below)}}
    return Section(section.version, config, section.data[len(below.data) :])


def as_thin_as_can_be(section: Section) -> Section:
    """The section without the model if that is a shipped one, else as it is."""
    return thin(section) if known(section) else section


def whole(section: Section, path: AnyPath) -> Section:
    """The section with its model, wherever that is.

    Raises:
        VersionError: ``path`` names a model that this drrpack does not ship.
    """
    base = section.config.get(adapted.BASE)
    if _is_adapted(section) and isinstance(base, dict) and "sha256" in base:
        model = _found(base["sha256"], path)
        told = {"version": model.version, "config": model.config}
        return replace(
            section, config={**section.config, adapted.BASE: told}, data=model.data + section.data
        )
    if section.version != VERSION:
        return section
    model = _found(section.config.get("sha256"), path)
    return Section(model.version, {**model.config, **_layouts(section)}, model.data)


def _found(digest: object, path: AnyPath) -> Section:
    if not isinstance(digest, str):
        raise CorruptError(f"{path}: a model was left out, and no digest says which")
    if digest not in _shipped(FOLDER):
        raise VersionError(
            f"{path}: it leaves out the model {digest[:16]}..., which came with the drrpack that "
            "wrote it and not with this one; update drrpack"
        )
    model = _shipped(FOLDER)[digest]
    config = {name: value for name, value in model.config.items() if name != STREAMS}
    return replace(model, config=config)


def _is_adapted(section: Section) -> bool:
    return section.config.get(KIND) == adapted.AdaptedModel.kind


def _below(section: Section) -> Section | None:
    """The model below an adapted one, if this is one."""
    return adapted.divide(section)[0] if _is_adapted(section) else None


def _layouts(section: Section) -> Json:
    """Of a section's config the layouts of the file's own streams, which an entropy model has."""
    return {name: value for name, value in section.config.items() if name == STREAMS}


def key(section: Section) -> str:
    """The name of a model: the digest of its section without the layout of streams."""
    config = {k: v for k, v in section.config.items() if k != STREAMS}
    text = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    return section_digest(section.version, text, section.data)


def paths(family: Family | None = None) -> list[Path]:
    """The files whose codecs come with drrpack, or those of a family: one VQ-VAE, and each file has
    its own entropy model.

    Raises:
        DrrError: there is none at all. OptionError: there is none of the family.
    """
    found = sorted(FOLDER.glob("*.drr"))
    if not found:
        raise DrrError(f"{FOLDER}: the codecs that come with drrpack are not there; reinstall it")
    if family is None:
        return found
    of_it = [path for path, vqvae, _ in _codecs(FOLDER) if _is_of(vqvae, family)]
    if not of_it:
        raise OptionError(
            f"`family={family.name!r}`: no codec of this family comes with drrpack; leave the "
            "option out, or give a `codec` that was fitted for it",
            option="family",
        )
    return of_it


def paths_for(size: tuple[int, int]) -> list[Path]:
    """Those of the family that is meant for images of ``size`` (H, W), of all that come along.

    Raises:
        DrrError: no codec comes along.
    """
    paths()  # or the error
    there = [f for f in FAMILIES.values() if any(_is_of(vqvae, f) for vqvae, _ in pairs())]
    return paths(for_size(size, there))


def families_with(kind: str) -> list[Family]:
    """The families of which a codec comes with drrpack that has this kind of entropy model."""
    there = [vqvae for vqvae, entropy_model in pairs() if kind_of(entropy_model) == kind]
    return [f for f in FAMILIES.values() if any(_is_of(vqvae, f) for vqvae in there)]


def _is_of(vqvae: Section, family: Family) -> bool:
    return stored_stride(vqvae) == family.vqvae.stride


def pairs() -> list[tuple[Section, Section]]:
    """VQ-VAE and entropy model of each shipped codec, both whole."""
    return [(vqvae, entropy_model) for _, vqvae, entropy_model in _codecs(FOLDER)]


def with_codebooks(vqvae: VQVAE, *, earlier: bool = False) -> list[tuple[Section, Section]]:
    """VQ-VAE and entropy model, both whole, of each shipped codec that has the codebooks of
    ``vqvae``: codes mean the same to both. With ``earlier`` also of those that no new file is made
    with."""
    wanted, folders = _codebooks(vqvae), (FOLDER, FOLDER / EARLIER)[: 1 + earlier]
    return [
        (whole_vqvae, entropy_model)
        for folder in folders
        for _, whole_vqvae, entropy_model in _codecs(folder)
        if _codebooks_of(folder)[key(whole_vqvae)] == wanted
    ]


def _codebooks(vqvae: VQVAE) -> str:
    """A digest of both codebooks: the same where their vectors are."""
    digest = sha256()
    for quantiser in (vqvae.top, vqvae.bottom):
        vectors = np.asarray(quantiser.codebook.detach().cpu(), "<f8") + 0.0  # so -0 is 0
        digest.update(repr(vectors.shape).encode() + vectors.tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _codebooks_of(folder: Path) -> dict[str, str]:
    """The digest of the codebooks of each VQ-VAE of a folder, by its `key`; each is unpacked once
    in a process, which takes a tenth of a second."""
    vqvaes = {key(vqvae): vqvae for _, vqvae, _ in _codecs(folder)}
    return {name: _codebooks(unpack_vqvae(vqvae)[0]) for name, vqvae in vqvaes.items()}


@lru_cache(maxsize=4)
def _codecs(folder: Path) -> tuple[tuple[Path, Section, Section], ...]:
    """The files of a folder, and both models of each, whole."""
    found = []
    for path in sorted(folder.glob("*.drr")):
        with Reader(path) as reader:
            found.append((path, whole(reader.vqvae, path), whole(reader.entropy_model, path)))
    return tuple(found)


@lru_cache(maxsize=4)
def _shipped(folder: Path) -> dict[str, Section]:
    """The models of all ``.drr`` files in a folder, and of earlier versions, by their `key`."""
    found = {}
    for path in (*sorted(folder.glob("*.drr")), *sorted((folder / EARLIER).glob("*.drr"))):
        with Reader(path) as reader:
            for section in (reader.vqvae, reader.entropy_model):
                if section.version != VERSION:  # one names what another holds
                    found[key(section)] = section
    return found
