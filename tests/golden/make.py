"""Writes golden files of version 1.0 beside it, and what each must come to, into golden.json.

    python tests/golden/make.py

They are made once and kept: a change of the program that reads them otherwise, or refuses what it
should read, is a mistake, whatever it does to new files. So only those that are missing are made:
``digits.drr`` has models of version 1.0, which are not written any more.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "formats")]

from drr_files import seal  # noqa: E402
from mutants import (  # noqa: E402
    CPU,
    TINY_CONTEXT,
    TINY_FIRST,
    TINY_LATENTS,
    TINY_VQVAE,
    memory_of,
)

from drrpack import DRRDataset, DrrError  # noqa: E402
from drrpack.core.codes import Codes  # noqa: E402
from drrpack.core.entropy.context import ContextModel  # noqa: E402
from drrpack.core.entropy.model import EntropyModel  # noqa: E402
from drrpack.core.entropy.networks import NetworkConfig  # noqa: E402
from drrpack.core.entropy.table import TableModel  # noqa: E402
from drrpack.core.frequencies import frequency_tables  # noqa: E402
from drrpack.core.vqvae import VQVAEConfig  # noqa: E402
from drrpack.formats.container import Reader, write  # noqa: E402
from drrpack.formats.files.spool import Spool  # noqa: E402
from drrpack.formats.memory import decoder_alone, load_codec, read_codes  # noqa: E402
from drrpack.operations.recode import coded  # noqa: E402
from drrpack.operations.verify import verify  # noqa: E402
from drrpack.trainers.fitting.adapt import adapt  # noqa: E402
from drrpack.trainers.fitting.codec import fit_codec  # noqa: E402
from drrpack.trainers.fitting.loop import Budget  # noqa: E402
from drrpack.trainers.fitting.plan import FitPlan  # noqa: E402

IMAGES = 24  # of each digit: more than go without Bit-Swap


def digits() -> list[np.ndarray]:
    """scikit-learn's scans, each pixel as 4x4: 32x32, as grey RGB."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    return [np.stack([pixels[found.target == digit][:IMAGES]] * 3, axis=-1) for digit in range(10)]


def main() -> None:
    kept = json.loads((HERE / "golden.json").read_text())
    for name, models in MODELS.items():
        if f"{name}.drr" not in kept:
            write_digits(HERE / f"{name}.drr", *models)
    for name, make in RECODED.items():
        if f"{name}.drr" not in kept:
            write_recoded(HERE / f"{name}.drr", make)
    for name, damage in BAD.items():
        path = HERE / f"{name}.drr"
        if path.name not in kept:
            path.write_bytes((HERE / "digits.drr").read_bytes())
            damage(path)
    new = {p.name: outcome(p) for p in sorted(HERE.glob("*.drr")) if p.name not in kept}
    expected = dict(sorted({**kept, **new}.items()))
    (HERE / "golden.json").write_text(json.dumps(expected, indent=1) + "\n")


def write_digits(path: Path, config: NetworkConfig, encoder: bool, vqvae: VQVAEConfig) -> None:
    """All digits, by networks of a few kilobytes that were fitted on them for a moment."""
    torch.set_num_threads(1)
    images = digits()
    plan = FitPlan(Budget(epochs=40), CPU, vqvae=vqvae, entropy=(config,))
    (codec,), _ = fit_codec(np.concatenate(images), plan)
    codes = [codec.encode(each) for each in images]
    memory = memory_of(codec, codes, images, [str(digit) for digit in range(10)])
    if not encoder:
        memory = replace(memory, vqvae=decoder_alone(memory.vqvae))
    write(path, memory)


# models of version 2.0: Bit-Swap, context alone, and context alone with no encoder; Bit-Swap of
# version 3.0; VQ-VAEs of version 3.0, which has another stride, and of 4.0, whose channels rise
MODELS: dict[str, tuple[NetworkConfig, bool, VQVAEConfig]] = {
    "bitswap": (TINY_FIRST, True, TINY_VQVAE),
    "bitswap-3": (TINY_LATENTS, True, TINY_VQVAE),
    "context": (TINY_CONTEXT, True, TINY_VQVAE),
    "decoder": (TINY_CONTEXT, False, TINY_VQVAE),
    "stride": (TINY_CONTEXT, True, replace(TINY_VQVAE, stride=8)),
    "rising": (TINY_CONTEXT, True, replace(TINY_VQVAE, stride=16, first_channels=2)),
}


def write_recoded(path: Path, make: Callable[[ContextModel, Codes], EntropyModel]) -> None:
    """The codes of ``context.drr`` by another entropy model, which is made of its own and them."""
    torch.set_num_threads(1)
    with Reader(HERE / "context.drr") as reader:
        codec = load_codec(reader, CPU)
        codes = [*read_codes(reader, codec, range(len(reader.classes))).values()]
        assert isinstance(codec.entropy, ContextModel)
        codec = replace(codec, entropy=make(codec.entropy, Codes.concat(codes)))
        write(path, coded(reader.memory(), codec, codes, Spool(HERE)))


def _table(model: ContextModel, codes: Codes) -> EntropyModel:
    return TableModel.fitted(codes, model.codebook_size)


def _adapted(model: ContextModel, codes: Codes) -> EntropyModel:
    return adapt(model, codes, frequency_tables(codes, model.codebook_size))


RECODED = {"table": _table, "adapted": _adapted}  # entropy models of version 3.0


def outcome(path: Path) -> dict[str, object]:
    """The digest of a file, how `verify --full` ends, and the digest of the pixels in it."""
    found: dict[str, object] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    try:
        verify(path, "full")
    except DrrError as error:
        return {**found, "error": type(error).__name__, "exit_code": error.exit_code}
    images, labels = DRRDataset(path).to_numpy()
    pairs = DRRDataset(path, raw="pairs")
    kept = b"".join(raw.numpy().tobytes() for raw, _, _ in pairs)
    return {
        **found,
        "images": len(images),
        "pixels": hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        "raw": hashlib.sha256(kept).hexdigest(),
    }


# --- what is wrong with the others ---------------------------------------------------------------


def _changed(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            change(file)
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            file.attrs.modify("file_length", np.uint64(path.stat().st_size))
        seal(path)

    return make


def _text(name: str, value: str) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        file.attrs[name] = np.bytes_(value)

    return _changed(change)


def _link(link: object) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        file["elsewhere"] = file["streams"]
        del file["streams"]
        file["streams"] = link

    return _changed(change)


def _dataset(**options: object) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        del file["streams"]
        file.create_dataset("streams", **options)

    return _changed(change)


def _virtual(file: h5py.File) -> None:
    del file["streams"]
    sources = h5py.VirtualLayout(shape=(64,), dtype="u1")
    sources[:] = h5py.VirtualSource("/etc/hostname", "streams", shape=(64,))
    file.create_virtual_dataset("streams", sources)


def _cycle(file: h5py.File) -> None:
    del file["vqvae"]
    file["vqvae"] = file["/"]


def _index(field: str, value: int) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        rows = file["index"][:]
        rows[field][3] = value
        file["index"][:] = rows
        digest = hashlib.sha256(rows.tobytes()).hexdigest()
        file["index"].attrs["sha256"] = np.bytes_(digest)

    return _changed(change)


def _names(third: bytes) -> Callable[[Path], None]:
    def change(file: h5py.File) -> None:
        names = np.array([third if n == 3 else str(n).encode() for n in range(10)])
        del file["classes"]
        made = file.create_dataset("classes", data=names)
        made.attrs["sha256"] = np.bytes_(hashlib.sha256(names.tobytes()).hexdigest())

    return _changed(change)


def _flip(path: Path) -> None:
    image = bytearray(path.read_bytes())
    image[-9] ^= 4
    path.write_bytes(image)


def _other_model(path: Path) -> None:
    """All checksums are right; only decoding tells."""
    with Reader(path) as reader:
        memory = reader.memory()
    model = memory.entropy_model
    data = bytearray(model.data)
    data[300] ^= 64
    write(path, replace(memory, entropy_model=replace(model, data=bytes(data))), overwrite=True)


BAD: dict[str, Callable[[Path], None]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "trailing-junk": lambda path: path.write_bytes(path.read_bytes() + b"junk"),
    "flipped-bit": _flip,
    "other-model": _other_model,
    "version-2": _text("format_version", "2.0"),
    "required-feature": _text("required_features", "time-travel"),
    "later-minor-version": _text("format_version", "1.7"),  # this one is sound
    "soft-link": _link(h5py.SoftLink("/elsewhere")),
    "external-link": _link(h5py.ExternalLink("/etc/hostname", "/streams")),
    "external-storage": _dataset(shape=(9,), dtype="u1", external=[("/etc/hostname", 0, 9)]),
    "virtual-dataset": _changed(_virtual),
    "cyclic-group": _changed(_cycle),
    "petabyte": _dataset(shape=(1 << 50,), dtype="u1"),
    "filter-bomb": _dataset(data=np.zeros(1 << 20, "u1"), compression="gzip", compression_opts=9),
    "wrong-dtype": _dataset(data=np.zeros(8, ">i8")),
    "overlapping-rows": _index("offset", 1),
    "rows-beyond-the-file": _index("offset", 1 << 60),
    "image-bomb": _index("images", (1 << 26) - 200),
    "not-utf8-name": _names(b"\xff\xfe"),
    "path-like-name": _names(b"../../x"),  # sound, but not for `export`
}

if __name__ == "__main__":
    main()
