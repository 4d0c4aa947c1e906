"""The account of a ``.drr`` file: bytes of all parts, bits per code and PSNR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from drrpack.core.entropy.model import kind_of
from drrpack.core.errors import CorruptError
from drrpack.core.vqvae import grid_shapes
from drrpack.core.weights import stored_stride
from drrpack.formats import metadata, shipped
from drrpack.formats.container import Reader
from drrpack.formats.files.shard_names import ShardSet, set_of
from drrpack.formats.layout import Json


@dataclass(frozen=True)
class Bytes:
    """A file and its parts, in bytes; the parts add up to ``file``."""

    file: int
    payload: int  # streams
    vqvae: int
    entropy_model: int
    raw: int  # raw exemplars
    container: int  # index, names, metadata and HDF5 itself


@dataclass(frozen=True)
class BytesPerImage:
    """What an image takes: in streams alone, and of the whole file."""

    payload: float
    total: float


@dataclass(frozen=True)
class Bits:
    """Bits per code: as coded, by the order-0 entropy of the codes, and by lzma.

    The latter two are None if they were not measured.
    """

    coded: float
    order0: float | None
    lzma: float | None


@dataclass(frozen=True)
class BitsPerCode:
    """The same by level, and of both together."""

    top: Bits
    bottom: Bits
    all: Bits


@dataclass(frozen=True)
class Stats:
    """All figures of a file. PSNR was measured when it was encoded, on ``psnr_images`` images that
    ``psnr_on`` describes, with what has been dropped or appended since; it is None where it was
    not measured.

    Of a memory that was written as several files, ``files`` has their paths and ``path`` is a
    pattern that finds them; of one file ``files`` is empty.
    """

    path: str
    format_version: str
    images: int
    classes: int
    image_size: tuple[int, int]  # (height, width)
    entropy_model: str
    bytes: Bytes
    raw_bytes: int  # of the pixels
    bytes_per_image: BytesPerImage
    bits_per_code: BitsPerCode
    compression_ratio: float  # raw bytes to those of the file
    psnr_db: float | None
    psnr_images: int
    psnr_on: str
    files: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """As ``drrpack stats --json`` prints it; of several files their paths, too."""
        found: Json = asdict(self)
        del found["path"], found["files"]
        several: Json = {"files": list(self.files)} if self.files else {}
        return {**found, "image_size": list(self.image_size), **several}


def account(reader: Reader) -> Stats:
    """All figures of an open file.

    The reference bits and PSNR were measured when the file was encoded, and are None where they
    were not.
    """
    images = int(reader.images_per_class.sum())
    height, width = reader.image_size
    parts = Bytes(**reader.byte_account())
    raw_bytes = images * height * width * 3
    measured = metadata.part(reader.metadata, "figures")
    return Stats(
        path=str(reader.path),
        format_version=reader.format_version,
        images=images,
        classes=len(reader.classes),
        image_size=(height, width),
        entropy_model=entropy_model(reader),
        bytes=parts,
        raw_bytes=raw_bytes,
        bytes_per_image=BytesPerImage(
            payload=parts.payload / max(1, images), total=parts.file / max(1, images)
        ),
        bits_per_code=_bits_per_code(reader, images, metadata.part(measured, "reference_bits")),
        compression_ratio=raw_bytes / parts.file,
        psnr_db=metadata.psnr_db(measured),
        psnr_images=metadata.count(measured, "psnr_images") or 0,
        psnr_on=_psnr_on(measured, set_of(Path(str(reader.path)))),
    )


def _psnr_on(measured: Json, of: ShardSet | None) -> str:
    """What PSNR was measured on, which changes of the file it does not know of, and whether it is
    that of several files together, ``of`` which this is one."""
    where = str(measured.get("psnr_on", ""))
    changes = [metadata.SINCE[name] for name in metadata.since_measured(measured)]
    if where and of is not None and of.count > 1:
        where += f" of the whole memory, which has {of.count} files"
    return f"{where}, before {' and '.join(changes)}" if where and changes else where


def together(path: str, each: Sequence[Stats]) -> Stats:
    """The figures of the files that ``path`` finds, which hold one memory and no class twice.

    Bytes add up. Bits per code are means over all codes, so those of lzma and order 0 are what
    these ways of coding take file by file. PSNR was measured once, for all files.
    """
    images, raw_bytes = sum(one.images for one in each), sum(one.raw_bytes for one in each)
    parts = {f.name: sum(getattr(one.bytes, f.name) for one in each) for f in fields(Bytes)}
    size = Bytes(**parts)
    return replace(
        each[0],
        path=path,
        images=images,
        classes=sum(one.classes for one in each),
        bytes=size,
        raw_bytes=raw_bytes,
        bytes_per_image=BytesPerImage(
            payload=size.payload / max(1, images), total=size.file / max(1, images)
        ),
        bits_per_code=BitsPerCode(*(_mean_bits(each, level.name) for level in fields(BitsPerCode))),
        compression_ratio=raw_bytes / size.file,
        files=tuple(one.path for one in each),
    )


def _mean_bits(each: Sequence[Stats], level: str) -> Bits:
    """Over all codes of a level; each image of a memory has as many as another."""
    found: list[Bits] = [getattr(one.bits_per_code, level) for one in each]
    counts = [one.images for one in each]

    def mean(values: Sequence[float]) -> float:
        return sum(n * value for n, value in zip(counts, values, strict=True)) / max(1, sum(counts))

    order0 = [bits.order0 for bits in found if bits.order0 is not None]
    lzma = [bits.lzma for bits in found if bits.lzma is not None]
    return Bits(
        mean([bits.coded for bits in found]),
        mean(order0) if len(order0) == len(found) else None,
        mean(lzma) if len(lzma) == len(found) else None,
    )


def entropy_model(reader: Reader) -> str:
    """The kind of the file's entropy model, such as ``context``."""
    return kind_of(shipped.whole(reader.entropy_model, reader.path))


def stored_top_shape(reader: Reader) -> tuple[int, int]:
    """The rows and columns of an image's top codes, by the config of the stored VQ-VAE.

    Raises:
        CorruptError: the config is damaged. VersionError: the model is not known.
    """
    return grid_shapes(*reader.image_size, _stride(reader))[0]


def _stride(reader: Reader) -> int:
    """The pixels of the file's images for one bottom code, along each side."""
    vqvae = shipped.whole(reader.vqvae, reader.path)
    try:
        return stored_stride(vqvae)
    except CorruptError as error:
        raise CorruptError(f"{reader.path}: {error}; take the file from a backup") from error


def _bits_per_code(reader: Reader, images: int, reference: Json) -> BitsPerCode:
    (top_rows, top_columns), (rows, columns) = grid_shapes(*reader.image_size, _stride(reader))
    codes = {"top": images * top_rows * top_columns, "bottom": images * rows * columns}
    sizes = {level: int(reader.index[f"{level}_bytes"].sum(dtype="int64")) for level in codes}
    codes["all"], sizes["all"] = sum(codes.values()), sum(sizes.values())

    def bits(level: str) -> Bits:
        measured = metadata.part(reference, level)
        return Bits(
            coded=8 * sizes[level] / max(1, codes[level]),
            order0=metadata.bits_per_code(measured, "order0"),
            lzma=metadata.bits_per_code(measured, "lzma"),
        )

    return BitsPerCode(bits("top"), bits("bottom"), bits("all"))
