"""The ledger of a ``.drr`` file: where every byte goes, and what it buys."""

from __future__ import annotations

from typing import Any

from drrpack.core.entropy.model import kind_of
from drrpack.core.vqvae import grid_shapes
from drrpack.formats import metadata, shipped
from drrpack.formats.container import Reader

Figures = dict[str, Any]


def account(reader: Reader) -> Figures:
    """All figures of an open file, as ``drrpack stats --json`` prints them.

    ``bytes`` adds up to the file; ``bits_per_code`` sets what the streams take against order-0
    coding and lzma; PSNR and those two were measured when the file was encoded, and are None
    where they were not.
    """
    images = int(reader.images_per_class.sum())
    height, width = reader.image_size
    parts = reader.byte_account()
    raw_bytes = images * height * width * 3
    measured = metadata.part(reader.metadata, "figures")
    return {
        "format_version": reader.format_version,
        "images": images,
        "classes": len(reader.classes),
        "image_size": [height, width],
        "entropy_model": entropy_model(reader),
        "bytes": parts,
        "raw_bytes": raw_bytes,
        "bytes_per_image": {
            "payload": parts["payload"] / max(1, images),
            "total": parts["file"] / max(1, images),
        },
        "bits_per_code": _bits_per_code(reader, images, metadata.part(measured, "reference_bits")),
        "compression_ratio": raw_bytes / parts["file"],
        "psnr_db": metadata.number(measured, "psnr_db"),
        "psnr_images": metadata.number(measured, "psnr_images") or 0,
        "psnr_on": str(measured.get("psnr_on", "")),
    }


def entropy_model(reader: Reader) -> str:
    """The kind of the file's entropy model, such as ``context``."""
    return kind_of(shipped.whole(reader.entropy_model, reader.path))


def _bits_per_code(reader: Reader, images: int, reference: Figures) -> Figures:
    (top_rows, top_columns), (rows, columns) = grid_shapes(*reader.image_size)
    codes = {"top": images * top_rows * top_columns, "bottom": images * rows * columns}
    sizes = {level: int(reader.index[f"{level}_bytes"].sum(dtype="int64")) for level in codes}
    codes["all"], sizes["all"] = sum(codes.values()), sum(sizes.values())
    return {
        level: {
            "coded": 8 * sizes[level] / max(1, codes[level]),
            "order0": metadata.number(metadata.part(reference, level), "order0"),
            "lzma": metadata.number(metadata.part(reference, level), "lzma"),
        }
        for level in codes
    }
