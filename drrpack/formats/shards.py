"""Write a memory as several ``.drr`` files, all of them or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from drrpack.core.errors import OutputError
from drrpack.core.wording import counted
from drrpack.formats.container import Memory, Reader, check_output
from drrpack.formats.files.exchange import exchanged
from drrpack.formats.files.publish import publish, replacing
from drrpack.formats.files.shard_names import shard_set, shards_of
from drrpack.formats.hdf5.build import build_image


def check_shards(output: Path, *, overwrite: bool = False) -> None:
    """Check before the work that a memory called ``output`` can be written as several files.

    Raises:
        OutputError: there are shards of that name, of whatever set, or the folder is missing or
            can't be written to.
    """
    check_output(shard_set(output, 1).path(0), overwrite=True)
    there = shards_of(output)
    if there and not overwrite:
        raise OutputError(
            f"{there[0]}: exists already, one of {counted(len(there), 'shard')} of {output}; say "
            "`force=True` to replace them all"
        )
    for path in there:
        check_output(path, overwrite=True)


@contextmanager
def replacing_shards(output: Path) -> Iterator[None]:
    """Lock the name ``output``, and all its shards, against other writers, as `replacing` does.

    Raises:
        OutputError: another process is writing or changing one of them.
    """
    with ExitStack() as stack:
        stack.enter_context(replacing(output))
        for path in shards_of(output):
            stack.enter_context(replacing(path))
        yield


def write_shards(output: Path, parts: Sequence[Memory], *, overwrite: bool = False) -> list[Path]:
    """Write each of ``parts`` as a shard of the memory called ``output``; returns their paths.

    All are written and checked under hidden names first. Then older shards of ``output`` go, also
    those of a set with another count, and the new ones come. ``parts`` may be made one by one when
    they are asked for.

    Raises:
        OutputError: there are shards already and ``overwrite`` is not set, or they can't be
            written, or a part is beyond the limits of the format. All is as before then.
    """
    check_shards(output, overwrite=overwrite)
    paths = shard_set(output, len(parts)).paths
    with exchanged(shards_of(output), paths, output) as hidden:
        for path, part in zip(paths, parts, strict=True):
            image = build_image(path, part)
            publish(
                hidden / path.name, image.write, _verify, need_bytes=image.length, overwrite=True,
                shown=path,
            )  # fmt: skip
    return paths


def _verify(path: Path) -> None:
    with Reader(path) as reader:
        reader.verify()
