"""Mutants of a ``.drr`` file, most with checksums made right again, and what becomes of them.

A mutant is a function of the file, a seed and its number. Kinds:

- ``bytes``: flipped, exchanged, cut or inserted anywhere; checksums find most of them;
- ``structure``: HDF5's own metadata, checksums repaired, so that libhdf5 and our parser see them;
- ``content``: index rows, names, JSON, weights, streams, with CRCs, digests and seal repaired;
- ``rebuilt``: other counts, configs, versions, sizes of images, written by our own writer.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import random
import re
import resource
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from small_models import (
    first_version,
    small_model,
    small_vqvae,
    structured_codes,
    without_latents,
)

from drrpack.core import codec as codecs
from drrpack.core import layouts
from drrpack.core.codec import Codec
from drrpack.core.codes import Codes, Levels
from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextModel
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapConfig
from drrpack.core.errors import DrrError
from drrpack.core.frequencies import frequency_tables
from drrpack.core.section import Section
from drrpack.core.streams import StreamLayout
from drrpack.core.vqvae import VQVAEConfig
from drrpack.formats import layout, raw, shipped
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader, write
from drrpack.formats.files.spool import Spool
from drrpack.formats.hdf5 import build
from drrpack.formats.memory import chunk, load_codec, read_codes, sections
from drrpack.formats.raw import read_raw
from drrpack.operations.recode import coded
from drrpack.trainers.fitting.adapt import adapt

KINDS = (*2 * ["bytes"], *5 * ["structure"], *2 * ["content"], "rebuilt")
EXTREMES = (0, 1, 2, 3, 7, 8, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
WIDE = (*EXTREMES, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
MEMORY_CAP = 2 << 30  # bytes that reading a mutant may take
MEMORY_MULTIPLE = 3  # of what the sound file takes: a mutant may ask for other sizes of things
MEMORY_SLACK = 16 << 20  # bytes: of small files the allocators' own habits are the larger part
HANG_SECONDS = 5
HANG_MULTIPLE = 10  # of what the sound file takes, beyond that
MAX_DRAWN = 4096  # codes; more are not drawn, which takes long
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Seedling:
    """A sound file, and where its parts lie."""

    name: str
    image: bytes
    memory: Memory | None  # None: it is decoded like any other
    extents: dict[str, tuple[int, int]]  # first byte and size
    digests: dict[str, str]
    blocks: list[tuple[int, int]]  # of HDF5's metadata, as `metadata_blocks` gives them

    @staticmethod
    def of(path: Path) -> Seedling:
        with Reader(path) as reader:
            structure = reader.structure
            extents = {name: (e.offset, e.size) for name, e in structure.extents.items()}
            image = path.read_bytes()
            blocks = metadata_blocks(image)
            return Seedling(
                path.name, image, reader.memory(), extents, dict(structure.digests), blocks
            )


TINY_FIRST = PhasedBitSwapConfig(
    codebook_size=8, latents=2, top_channels=1, bottom_channels=1, embedding=4, width=4,
    latent_width=4, prediction_width=4, blocks=1,
)  # fmt: skip
TINY_LATENTS = BitSwapConfig(
    codebook_size=8, latents=2, same_grid=1, channels=1, embedding=4, width=4, latent_width=4,
    prediction_width=4, blocks=1, weight_bits=6,
)  # fmt: skip
TINY_CONTEXT = without_latents(TINY_FIRST, weight_bits=6)
TINY_VQVAE = VQVAEConfig(channels=4, residual_channels=2, embedding=4, codebook_size=8)


def seedlings(place: Path) -> list[Seedling]:
    """Sound files with every kind of models, in the folder ``place``: both forms of Bit-Swap,
    context alone, the first version of both sections, and a context model that is adapted."""
    kinds: dict[str, NetworkConfig] = {"bitswap": TINY_FIRST, "context": TINY_CONTEXT}
    kinds |= {"latents": TINY_LATENTS, "first": TINY_FIRST}
    for name, config in kinds.items():
        write_tiny(place / f"{name}.drr", config, first=name == "first")
    write_adapted(place / "adapted.drr", place / "context.drr")
    return [Seedling.of(place / f"{name}.drr") for name in (*kinds, "adapted")]


def write_adapted(path: Path, context: Path) -> None:
    """The codes of a file with a context model by that model, adapted to them."""
    with Reader(context) as reader:
        codec = load_codec(reader, CPU)
        codes = [*read_codes(reader, codec, range(len(reader.classes))).values()]
        seen = Codes.concat(codes)
        assert isinstance(codec.entropy, ContextModel)
        adapted = adapt(codec.entropy, seen, frequency_tables(seen, codec.entropy.codebook_size))
        content = coded(reader.memory(), replace(codec, entropy=adapted), codes, Spool(path.parent))
        write(path, content)


def large_seedlings(place: Path) -> list[Seedling]:
    """Sound files as large as those that people have, in the folder ``place``: each of the codecs
    that come along fully inside, with raw images; and many classes of an image or two."""
    for path in shipped.paths():
        with Reader(path) as reader:
            codec = load_codec(reader, CPU, encoder=True)
        images = [smooth(number, count, 32) for number, count in enumerate((18, 3, 9))]
        codes = [codec.encode(each) for each in images]
        memory = memory_of(codec, codes, images, ["cat", "Füchse", "狐"])
        write(place / path.name, memory, overwrite=True)
    vqvae = small_vqvae(config=TINY_VQVAE)
    counts = [1 + number % 2 for number in range(1000)]
    tops, bottoms = (structured_codes(counts, shape, 8) for shape in ((1, 1), (2, 2)))
    codes = [Codes.of(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]
    seen = Codes.concat(codes)
    entropy = small_model(seen, TINY_CONTEXT)
    made, packed = layouts.lay_out(codecs.finish(vqvae, entropy, seen, CPU), codes)
    chunks = [chunk(number, each) for number, each in enumerate(packed)]
    names = [f"class {number}" for number in range(len(counts))]
    many = Memory((8, 8), names, chunks, *sections(made), {}, [])
    write(place / "many-classes.drr", many, overwrite=True)
    paths = [*(place / path.name for path in shipped.paths()), place / "many-classes.drr"]
    return [Seedling.of(path) for path in paths]


def smooth(seed: int, count: int, side: int) -> np.ndarray:
    """Images (count, side, side, 3) uint8 of soft patches, which a codec fits."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    large = [
        Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC) for each in coarse
    ]
    return np.stack([np.asarray(each) for each in large])


def write_tiny(path: Path, config: NetworkConfig = TINY_FIRST, first: bool = False) -> None:
    """A sound file of the smallest networks there can be: 3 classes of 3 to 18 images of 8x8, with
    the first version of the models or today's."""
    vqvae = replace(TINY_VQVAE, weight_bits=0, codebook_bits=0) if first else TINY_VQVAE
    counts = [18, 3, 13]  # Bit-Swap codes what is beyond a dozen
    tops, bottoms = (structured_codes(counts, shape, 8) for shape in ((1, 1), (2, 2)))
    codes = [Codes.of(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]
    seen = Codes.concat(codes)
    codec = codecs.finish(small_vqvae(config=vqvae), small_model(seen, config), seen, CPU)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) for n in counts]
    memory = memory_of(codec, codes, images, ["cat", "Füchse", "狐"])
    if first:
        layouts = memory.entropy_model.config["streams"]
        assert isinstance(codec.entropy, NetworkModel)
        model = first_version(
            codec.entropy.network,
            codec.entropy.tables,
            Levels(StreamLayout(**layouts["top"]), StreamLayout(**layouts["bottom"])),
        )
        memory = replace(memory, entropy_model=model)
    write(path, memory, overwrite=True)


def memory_of(
    codec: Codec,
    codes: list[Codes],
    images: list[np.ndarray],
    classes: list[str],
) -> Memory:
    """A file's content, with the first and the third image of each class raw."""
    codec, made = layouts.lay_out(codec, codes, widths=[(4, 1)])
    assert codec.bottom.layout.steps(len(codes[0])), "nothing is left for Bit-Swap"
    chunks = [chunk(number, streams) for number, streams in enumerate(made)]
    kept = [record for n, each in enumerate(images) for record in raw.pack(n, [0, 2], each[[0, 2]])]
    size = images[0].shape[1:3]
    metadata = {"figures": {"psnr_db": 12.5}}
    return Memory((size[0], size[1]), classes, chunks, *sections(codec), metadata, kept)


def mutant(seeds: Sequence[Seedling], seed: int, number: int) -> bytes:
    """The mutant of that number."""
    seedling = of_number(seeds, number)
    chance = random.Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    makers: dict[str, Callable[[Seedling, random.Random], bytes]] = {
        "bytes": _bytes, "structure": _structure, "content": _content, "rebuilt": _rebuilt,
    }  # fmt: skip
    return makers[kind](seedling, chance)


def of_number(seeds: Sequence[Seedling], number: int) -> Seedling:
    """The file that the mutant of that number is made of; each has all kinds of mutants in turn."""
    return seeds[number // len(KINDS) % len(seeds)]


def outcome(path: Path, seedling: Seedling) -> str:
    """``sound``, ``same``, or the name of the error; anything else is a fault, and is raised."""
    try:
        with Reader(path) as reader:
            found = reader.memory()
            reader.verify()
            if found == seedling.memory:  # what it decodes to is known
                return "same"
            codec = load_codec(reader, CPU)
            classes = range(min(3, len(reader.classes)))
            codes = read_codes(reader, codec, classes)
            for number in classes:
                read_raw(reader, number)
                if codes[number].bottom.size < MAX_DRAWN:
                    codec.decode(codes[number], reader.image_size)
    except DrrError as error:
        assert str(path) in str(error), error
        return type(error).__name__
    return "sound"


@dataclass(frozen=True)
class Taken:
    """What reading a file took: at its peak bytes that Python and numpy asked for and bytes of all
    kinds that were touched; seconds of the processor."""

    traced: int
    resident: int
    seconds: float

    def share_of(self, sound: Taken) -> float:
        """The larger of both kinds, as a share of what is allowed where the sound file takes
        ``sound``; a fault above 1."""
        return max(
            here / (MEMORY_MULTIPLE * there + MEMORY_SLACK)
            for here, there in ((self.traced, sound.traced), (self.resident, sound.resident))
        )


class Meter:
    """Measures what is done within it, on Linux; ``taken`` is there afterwards."""

    taken: Taken

    def __enter__(self) -> Meter:
        _libc().malloc_trim(0)  # or memory that was used before would seem to cost nothing
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._resident, self._start = _status_bytes("VmRSS"), time.process_time()
        tracemalloc.start(1)
        return self

    def __exit__(self, *_: object) -> None:
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        resident = _status_bytes("VmHWM") - self._resident
        self.taken = Taken(traced, max(0, resident), time.process_time() - self._start)


def sound_costs(seeds: Sequence[Seedling], path: Path) -> dict[str, Taken]:
    """What reading each sound file takes, once PyTorch has set up what it needs. ``path`` is a
    place for a copy."""
    costs = {}
    for seedling in seeds:
        path.write_bytes(seedling.image)
        for _ in range(2):
            with Meter() as meter:
                assert outcome(path, replace(seedling, memory=None)) == "sound"
        costs[seedling.name] = meter.taken
    return costs


def _status_bytes(name: str) -> int:
    words = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert words is not None
    return 1024 * int(words[1])


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def limit_memory(path: Path) -> None:
    """Let this process have so much more than it has now; beyond that it gets a MemoryError.

    It decodes a sound file first: what PyTorch sets up at its first call is no fault of a mutant.
    """
    with Reader(path) as reader:
        codec = load_codec(reader, CPU)
        codec.decode(read_codes(reader, codec, [0])[0], reader.image_size)
    limit = _status_bytes("VmSize") + MEMORY_CAP
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


# --- kinds ----------------------------------------------------------------------------------------


def _bytes(seedling: Seedling, chance: random.Random) -> bytes:
    image = bytearray(seedling.image)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(image))
        length = min(chance.choice((1, 2, 4, 8, 64, 512)), len(image) - place)
        match chance.randrange(5):
            case 0:
                image[place] ^= 1 << chance.randrange(8)
            case 1:
                image[place : place + length] = chance.randbytes(length)
            case 2:
                start = chance.randrange(len(image))
                image[place : place + length] = image[start : start + length]
            case 3:
                del image[place : place + length]
            case _:
                image[place:place] = chance.randbytes(length)
    return bytes(image)


def _structure(seedling: Seedling, chance: random.Random) -> bytes:
    image = bytearray(seedling.image)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        start, end = chance.choice(seedling.blocks)
        place = chance.randrange(start + 4, end)
        match chance.randrange(4):
            case 0:
                image[place] ^= 1 << chance.randrange(8)
            case 1:
                image[place] = chance.choice((0, 1, 2, 127, 128, 254, 255))
            case 2:
                size = chance.choice((2, 4, 8))
                if place + size <= end:
                    value = chance.choice((*WIDE, len(image), place)) % 2 ** (8 * size)
                    image[place : place + size] = value.to_bytes(size, "little")
            case _:
                other, stop = chance.choice(seedling.blocks)
                length = min(chance.choice((2, 8, 16)), end - place, stop - other)
                image[place : place + length] = image[other : other + length]
    _repair(image, seedling)
    return bytes(_sealed(image, seedling))


def _content(seedling: Seedling, chance: random.Random) -> bytes:
    image = bytearray(seedling.image)
    name = chance.choice([n for n, (_, size) in seedling.extents.items() if size and n != "seal"])
    start, size = seedling.extents[name]
    if name in ("index", "raw/index"):
        _index_rows(image, seedling, name, chance)
    else:
        for _ in range(chance.choice((1, 1, 2, 6))):
            place = start + chance.randrange(size)
            image[place] = chance.choice((image[place] ^ 1 << chance.randrange(8), 0, 255, 34, 57))
    if chance.random() < 0.8:
        _crcs(image, seedling)
    _digests(image, seedling)
    _repair(image, seedling)
    return bytes(_sealed(image, seedling))


def _index_rows(image: bytearray, seedling: Seedling, name: str, chance: random.Random) -> None:
    start, size = seedling.extents[name]
    dtype = layout.INDEX if name == "index" else layout.RAW_INDEX
    rows = np.frombuffer(bytes(image[start : start + size]), dtype).copy()
    for _ in range(chance.choice((1, 1, 3))):
        row, field = chance.randrange(len(rows)), chance.choice(dtype.names or ())
        wide = dtype[field].itemsize == 8
        value = int(rows[row][field]) + chance.choice((-1, 1, 4, 1000))
        value = chance.choice((value, *(WIDE if wide else EXTREMES)))
        rows[row][field] = value % (2**64 if wide else 2**32)
    image[start : start + size] = rows.tobytes()


def _rebuilt(seedling: Seedling, chance: random.Random) -> bytes:
    memory = seedling.memory
    assert memory is not None
    match chance.randrange(7):
        case 0:
            memory = replace(memory, image_size=(chance.choice(EXTREMES), chance.choice(EXTREMES)))
        case 1:
            memory = replace(memory, vqvae=_section(memory.vqvae, chance))
        case 2:
            memory = replace(memory, entropy_model=_section(memory.entropy_model, chance))
        case 3:
            odd = ("", "../../x", "a" * 255, "..", "ü", "cat")
            classes = [chance.choice((name, *odd)) for name in memory.classes]
            memory = replace(memory, classes=classes)
        case 4:
            chunks = [_changed(c, chance) if chance.random() < 0.3 else c for c in memory.chunks]
            memory = replace(memory, chunks=chunks * chance.choice((1, 1, 2)))
        case 5:
            memory = replace(memory, raw=[_record(record, chance) for record in memory.raw])
        case _:
            memory = replace(memory, metadata=_json(memory.metadata, chance))
    with mock.patch.object(build, "check_memory"):  # the writer would refuse
        try:
            file = BytesIO()
            build.build_image("mutant", memory).write(file)
            return file.getvalue()
        except (ValueError, OverflowError, DrrError, UnicodeError):
            return seedling.image


def _section(section: Section, chance: random.Random) -> Section:
    odd = ("1.0", "2.0", "2.9", "3.0", "shipped", "", "x" * 64)
    version = chance.choice((*7 * [section.version], *odd))
    config = _json(section.config, chance)
    data = section.data if chance.random() < 0.5 else _blob(section.data, chance)
    return Section(version, config, data)


def _record(record: RawRecord, chance: random.Random) -> RawRecord:
    images = chance.choice((record.images, record.images, *EXTREMES[1:6]))
    return replace(record, images=images, data=_blob(record.data, chance))


def _changed(old: Chunk, chance: random.Random) -> Chunk:
    return replace(
        old,
        images=chance.choice((old.images, old.images + 1, *EXTREMES[:8])),
        top=_blob(old.top, chance),
        bottom=_blob(old.bottom, chance),
    )


def _blob(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    match chance.randrange(5):
        case 0 if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        case 1:
            del changed[chance.randrange(len(changed) + 1) :]
        case 2:
            changed += chance.randbytes(chance.choice((1, 4, 64)))
        case 3:
            changed[:] = bytes(len(changed))
        case _:
            pass
    return bytes(changed)


def _json(value: Any, chance: random.Random) -> Any:
    """Some number or key of a JSON value changed."""
    text = json.dumps(value)
    numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
    if numbers and chance.random() < 0.9:
        at = chance.choice(numbers)
        odd = (*EXTREMES, -1, 0.5, 1e308, 10**40, "null", "true", "[]", "{}", '"x"', 4096, 4097)
        text = text[: at.start()] + str(chance.choice(odd)) + text[at.end() :]
        try:
            return json.loads(text)
        except ValueError:
            return value
    keys = list(value)
    return {k: v for k, v in value.items() if k != chance.choice(keys)} if keys else {"a": 1}


# --- making checksums right ----------------------------------------------------------------------


def metadata_blocks(image: bytes) -> list[tuple[int, int]]:
    """First byte and checksum's place of the superblock, object headers and their continuations."""
    blocks = [(0, 44)]
    for found in re.finditer(rb"OHDR\x02", image):
        start = found.start()
        flags = image[start + 5]
        place = start + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(image[place : place + width], "little")
        end = place + width + size
        if end + 4 <= len(image) and lookup3(image[start:end]) == _stored(image, end):
            blocks.append((start, end))
    return blocks


def _stored(image: bytes | bytearray, place: int) -> int:
    return int.from_bytes(image[place : place + 4], "little")


def _repair(image: bytearray, seedling: Seedling) -> None:
    for start, end in seedling.blocks:
        if image[start:end] != seedling.image[start:end]:
            image[end : end + 4] = lookup3(bytes(image[start:end])).to_bytes(4, "little")


def _crcs(image: bytearray, seedling: Seedling) -> None:
    """The CRC of each record that still lies inside."""
    for name, data, levels in (
        ("index", "streams", ("top", "bottom")),
        ("raw/index", "raw/data", ("",)),
    ):
        if name not in seedling.extents:
            continue
        start, size = seedling.extents[name]
        dtype = layout.INDEX if name == "index" else layout.RAW_INDEX
        rows = np.frombuffer(bytes(image[start : start + size]), dtype).copy()
        base, limit = seedling.extents[data]
        for row in rows:
            place = int(row["offset"])
            for level in levels:
                prefix = f"{level}_" if level else ""
                length = int(row[f"{prefix}bytes"])
                if place + length <= limit:
                    found = bytes(image[base + place : base + place + length])
                    row[f"{prefix}crc"] = zlib.crc32(found)
                place += length
        image[start : start + size] = rows.tobytes()


def _digests(image: bytearray, seedling: Seedling) -> None:
    """The sha256 attribute of each section; it stands in an object header as text."""
    for name, old in seedling.digests.items():
        if name in ("vqvae", "entropy_model"):
            version = getattr(seedling.memory, name).version.encode()
            parts = (_data(image, seedling, f"{name}/{part}") for part in ("config", "weights"))
            new = hashlib.sha256(b"\0".join([version, *parts])).hexdigest()
        else:
            new = hashlib.sha256(_data(image, seedling, name)).hexdigest()
        place = seedling.image.find(old.encode())
        image[place : place + 64] = new.encode()


def _data(image: bytearray, seedling: Seedling, name: str) -> bytes:
    start, size = seedling.extents[name]
    return bytes(image[start : start + size])


def _sealed(image: bytearray, seedling: Seedling) -> bytearray:
    place, size = seedling.extents["seal"]
    digest = hashlib.sha256(image[:place] + image[place + size :]).digest()
    image[place : place + size] = digest
    return image


def lookup3(data: bytes) -> int:
    """Jenkins' lookup3 (hashlittle, initial value 0), the checksum of HDF5's metadata."""
    mask = 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & mask
    whole = (len(data) - 1) // 12 * 12 if data else 0
    words = struct.unpack(f"<{whole // 4}I", data[:whole])

    def rot(x: int, k: int) -> int:
        return ((x << k) | (x >> (32 - k))) & mask

    for i in range(0, len(words), 3):
        a, b, c = (a + words[i]) & mask, (b + words[i + 1]) & mask, (c + words[i + 2]) & mask
        a = ((a - c) & mask) ^ rot(c, 4)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ rot(a, 6)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ rot(b, 8)
        b = (b + a) & mask
        a = ((a - c) & mask) ^ rot(c, 16)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ rot(a, 19)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ rot(b, 4)
        b = (b + a) & mask
    if not data:
        return c
    tail = struct.unpack("<3I", data[whole:].ljust(12, b"\0"))
    a, b, c = (a + tail[0]) & mask, (b + tail[1]) & mask, (c + tail[2]) & mask
    for x, k in (("c", 14), ("a", 11), ("b", 25), ("c", 16), ("a", 4), ("b", 14), ("c", 24)):
        if x == "c":
            c = ((c ^ b) - rot(b, k)) & mask
        elif x == "a":
            a = ((a ^ c) - rot(c, k)) & mask
        else:
            b = ((b ^ a) - rot(a, k)) & mask
    return c
