"""The same labelled pictures in every form that drrpack reads, written without drrpack's help."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drrpack.core.arrays import Pixels

Pictures = Mapping[str, Sequence[Pixels]]  # of each class


def png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def flat(pictures: Pictures) -> list[tuple[str, str, Pixels]]:
    """Class, key and pixels of each picture; keys have the order of the pictures in a class."""
    return [
        (name, f"{name}-{number:04}", pixels)
        for name, of_class in pictures.items()
        for number, pixels in enumerate(of_class)
    ]


def as_folder(root: Path, pictures: Pictures) -> Path:
    for name, key, pixels in flat(pictures):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / f"{key}.png").write_bytes(png(pixels))
    return root


def as_csv(root: Path, pictures: Pictures, name: str = "labels.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    lines = ["path,label"]
    for label, key, pixels in reversed(flat(pictures)):
        (root / f"{key}.png").write_bytes(png(pixels))
        lines.append(f"{key}.png,{label}")
    (root / name).write_text("\n".join(lines) + "\n")
    return root / name


def as_npz(path: Path, pictures: Pictures) -> Path:
    classes = sorted(pictures)
    rows = flat(pictures)
    np.savez(
        path, x=np.stack([pixels for _, _, pixels in rows]),
        y=np.array([classes.index(name) for name, _, _ in rows]), classes=np.array(classes),
    )  # fmt: skip
    return path


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def as_tar(path: Path, pictures: Pictures, as_json: bool = False) -> Path:
    """Members in an order that is not that of their names."""
    members = []
    for name, key, pixels in flat(pictures):
        label = json.dumps({"label": name}) if as_json else f"{name}\n"
        members.append((f"{key}.{'json' if as_json else 'cls'}", label.encode()))
        members.append((f"{key}.png", png(pixels)))
    return write_tar(path, members[::-1])


def as_parquet(path: Path, pictures: Pictures, row_group: int = 7, **columns: object) -> Path:
    """As `datasets` writes it: structs of bytes and path, and ClassLabels in the metadata."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    classes, rows = sorted(pictures), flat(pictures)
    features = {
        "image": {"_type": "Image"},
        "label": {"names": classes, "_type": "ClassLabel"},
    }
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": png(pixels), "path": f"{key}.png"} for _, key, pixels in rows],
                pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            ),
            "label": pa.array([classes.index(name) for name, _, _ in rows], pa.int64()),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=row_group)
    return path
