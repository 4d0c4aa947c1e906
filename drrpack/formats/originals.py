"""The raw images behind a ``.drr`` file: found again through the path and digest it records."""

from __future__ import annotations

from pathlib import Path

from drrpack.errors import SourceError
from drrpack.formats.container import Reader
from drrpack.formats.sources import Source, Split, open_source


def open_originals(reader: Reader, given: Path | None, split: Split) -> Source:
    """Open the folder that was encoded, or the one ``given`` instead, and check ``split`` of it.

    The recorded folder must hold the very images that were encoded, as their digest shows.

    Raises:
        SourceError: the folder is gone, has changed, or lacks the split; or its classes or the
            size of its images are not the file's.
    """
    kept = reader.metadata.get("source", {})
    path = given if given is not None else Path(str(kept.get("path", "")))
    option = "--test DIR" if split == "test" else "--source DIR"
    if given is None and not kept.get("path"):
        raise SourceError(
            f"{reader.path}: does not record which images it was made from; "
            f"say where they are with {option}"
        )
    if given is None and not path.is_dir():
        raise SourceError(
            f"{reader.path}: the images it was made from are not at {path} any more; "
            f"say where they are with {option}"
        )
    # bad pictures may have been left out when encoding; the digest tells whether the same ones
    source = open_source(path, size=kept.get("size"), splits=[split], skip_bad=True)
    _check_digest(reader, source, split, option)
    return source


def _check_digest(reader: Reader, source: Source, split: Split, option: str) -> None:
    digests = _digests(reader)
    if split == "test" and split not in digests:
        raise SourceError(
            f"{reader.path}: the source {source.root} had no test/ or val/ when it was encoded; "
            f"say where raw test images are with {option}"
        )
    if source.digest(split) != digests.get(split):
        raise SourceError(
            f"{source.root}: its {split} images are not those that {reader.path} was made from; "
            f"say where those are with {option}"
        )


def open_test(
    reader: Reader, given: Path | None, moved: Path | None = None
) -> tuple[Source, Split]:
    """Raw test images for a file: the recorded source's test split, or a folder of the user's.

    A given folder may have a test split or be a plain image folder with the file's class names.
    ``moved`` is where the recorded source is now.

    Raises:
        SourceError: neither is there, or the classes or sizes do not fit; says how to mend it.
    """
    if given is None:
        source, split = open_originals(reader, moved, "test"), "test"
    else:
        source = open_source(given, size=reader.image_size[0] if _square(reader) else None)
        split = "test" if source.has_test else "train"
        _refuse_training_images(reader, source, split)
    missing = set(reader.classes) - set(source.classes)
    if missing:
        raise SourceError(
            f"{source.root}: has no test images of {len(missing)} classes of {reader.path}, "
            f"such as {min(missing)!r}; folders must be named as the classes are"
        )
    if source.image_size != reader.image_size:
        raise SourceError(
            f"{source.root}: its images are {_size(source.image_size)}, those of {reader.path} are "
            f"{_size(reader.image_size)}; give test images of that size"
        )
    return source, "test" if split == "test" else "train"


def _refuse_training_images(reader: Reader, source: Source, split: str) -> None:
    """An accuracy on what the memory was made of would say nothing."""
    if source.digest("test" if split == "test" else "train") == _digests(reader).get("train"):
        raise SourceError(
            f"{source.root}: these are the training images that {reader.path} was made from; "
            "give other images to test on with --test DIR"
        )


def _digests(reader: Reader) -> dict[str, str]:
    digests: dict[str, str] = reader.metadata.get("source", {}).get("digest", {})
    return digests


def _square(reader: Reader) -> bool:
    """Whether the memory was made with --size, so that test images are brought to it as well."""
    return reader.metadata.get("source", {}).get("size") is not None


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
