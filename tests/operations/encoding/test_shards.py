"""A memory as several files: what they hold together, how it is divided, and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from itertools import accumulate, combinations
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from command import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_memory import GOLDEN_BITSWAP, write_digits

import drrpack as library
from drrpack import DRRDataset, MissingError, OptionError, OutputError
from drrpack.cli import screen
from drrpack.core.codec import Codec
from drrpack.core.codes import LEVELS, Codes
from drrpack.core.section import Section
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader
from drrpack.formats.files.publish import changing
from drrpack.formats.hdf5.build import build_image, image_bytes
from drrpack.formats.shards import write_shards
from drrpack.operations import figures
from drrpack.operations.edit import of_classes
from drrpack.operations.encoding.shards import MB, check_models, consecutive, divided
from drrpack.operations.stats import stats_of_shards

ROOT = Path(__file__).resolve().parents[3]
ORDER = [str(digit) for digit in (8, 5, 0, 2, 1, 9, 7, 3, 6, 4)]


def contents(*paths: Path | str) -> list[Memory]:
    made = []
    for path in paths:
        with Reader(path) as reader:
            made.append(reader.memory())
    return made


# --- how it is divided ----------------------------------------------------------------------------


@given(
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=9),
    models=st.integers(0, 10),
    limit=st.integers(1, 60),
)
@settings(deadline=None)
def test_consecutive_ranges_within_the_limit(weights: list[int], models: int, limit: int) -> None:
    """Against all ways to divide: none within the limit has fewer ranges."""
    count = len(weights)

    def size(group: range) -> int:
        return models + sum(weights[n] for n in group)

    found = consecutive(count, limit, size)
    ways = [
        [range(a, b) for a, b in zip((0, *cuts), (*cuts, count), strict=True)]
        for many in range(count)
        for cuts in combinations(range(1, count), many)
    ]
    fitting = [way for way in ways if all(size(group) <= limit for group in way)]
    if not fitting:
        assert found is None
    else:
        assert found in fitting
        assert len(found) == min(map(len, fitting))


def made_up(sizes: list[int], raw: list[int], order: bool) -> tuple[Memory, list[Codes]]:
    """A memory with a class for each of ``sizes`` bytes, and codes of no importance."""
    classes = [f"class {'é' * (n % 3)}{n}" for n in range(len(sizes))]
    rng = np.random.default_rng(len(sizes))
    codes = [
        Codes(rng.integers(0, 9, (3, 1, 1), np.uint16), rng.integers(0, 9, (3, 2, 2), np.uint16))
        for _ in classes
    ]
    notes = {
        "sources": [{"name": "x", "classes": classes}],
        "figures": {"psnr_db": 20.5},
        **({"class_order": classes[::-1]} if order else {}),
    }
    content = Memory(
        (8, 8), classes,
        [Chunk(n, 3, b"t" * (size // 4), b"b" * size, n) for n, size in enumerate(sizes)],
        Section("1.0", {"a": 1}, bytes(5000)), Section("1.0", {}, bytes(3000)), notes,
        [RawRecord(n, 1, b"r" * size) for n, size in enumerate(raw) if n < len(sizes)],
    )  # fmt: skip
    return content, codes


@given(
    sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=7),
    raw=st.lists(st.integers(1, 4_000), max_size=7),
    limit=st.integers(14_000, 120_000),
    order=st.booleans(),
)
@settings(deadline=None, max_examples=12)
def test_no_file_passes_the_limit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], raw: list[int], limit: int,
    order: bool,
) -> None:  # fmt: skip
    place = tmp_path_factory.mktemp("shards")
    content, codes = made_up(sizes, raw, order)
    output = place / "mem.drr"
    try:
        parts = divided(output, content, codes, limit)
    except OptionError as error:
        alone = [
            one for n in range(len(sizes)) for one in divided(output, *only(content, codes, n))
        ]
        assert max(build_image(output, one).length for one in alone) > limit - 500
        assert "is never divided" in str(error)
        return
    paths = write_shards(output, parts)
    assert all(path.stat().st_size <= limit for path in paths)
    assert sorted(place.iterdir()) == paths
    found = contents(*paths)
    assert [name for one in found for name in one.classes] == content.classes
    starts = accumulate((len(one.classes) for one in found[:-1]), initial=0)
    for start, one in zip(starts, found, strict=True):
        for chunk in one.chunks:
            assert chunk.bottom == content.chunks[start + chunk.class_index].bottom
        assert one.metadata.get("class_order") == content.metadata.get("class_order")
    assert [r.data for one in found for r in one.raw] == [r.data for r in content.raw]


def only(content: Memory, codes: list[Codes], number: int) -> tuple[Memory, list[Codes], int]:
    return of_classes(content, [content.classes[number]]), codes[number : number + 1], 10**9


def test_sizes_are_known_without_reading(tmp_path: Path) -> None:
    content, codes = made_up([100, 20_000, 3], [7, 5000], True)
    assert image_bytes("x", content) == build_image("x", content).length
    (whole,) = divided(tmp_path / "x.drr", content, codes, 10**6)
    measured = whole.metadata["figures"]["reference_bits"]
    assert measured == figures.references(codes)
    assert {level: set(bits) for level, bits in measured.items()} == {
        level: {"codes", "order0", "lzma"} for level in (*LEVELS, "all")
    }


# --- the codec that comes along, on the digits ----------------------------------------------------


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six pictures of each digit, and one to test on."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", train=6, test=1)


@pytest.fixture(scope="module")
def ours(few: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, library.Stats, int]:
    """A folder with digits by all defaults, as one file and as several; and the limit in bytes."""
    place = tmp_path_factory.mktemp("ours")
    one = library.encode(few, place / "one.drr", raw_per_class=2, class_order=ORDER)
    limit = one.bytes.file - (one.bytes.payload + one.bytes.raw + 10 * 60) // 2
    made = library.encode(
        few, place / "mem.drr", raw_per_class=2, class_order=ORDER, shard_mb=limit / 1e6
    )
    return place, made, limit


def test_together_they_hold_what_one_file_holds(ours: tuple[Path, library.Stats, int]) -> None:
    place, made, limit = ours
    count = len(made.files)
    paths = [place / f"mem-{number:05}-of-{count:05}.drr" for number in range(count)]
    assert sorted(place.iterdir()) == [*paths, place / "one.drr"] and count > 1
    assert all(path.stat().st_size <= limit for path in paths)
    (one,), parts = contents(place / "one.drr"), contents(*paths)
    assert [name for part in parts for name in part.classes] == one.classes
    for level in LEVELS:
        streams = [getattr(chunk, level) for part in parts for chunk in part.chunks]
        assert streams == [getattr(chunk, level) for chunk in one.chunks]
    assert [r.data for part in parts for r in part.raw] == [r.data for r in one.raw]
    for part in parts:
        assert (part.vqvae, part.entropy_model) == (one.vqvae, one.entropy_model)
        for key in ("fit", "quality", "raw", "class_order"):
            assert part.metadata[key] == one.metadata[key]
        assert part.metadata["figures"]["psnr_db"] == one.metadata["figures"]["psnr_db"]
        (source,) = part.metadata["sources"]
        assert source == {**one.metadata["sources"][0], "classes": part.classes}


def test_they_read_as_one(ours: tuple[Path, library.Stats, int]) -> None:
    place, made, _ = ours
    whole, several = DRRDataset(place / "one.drr"), DRRDataset(made.path)
    assert several.classes == whole.classes and several.targets == whole.targets
    assert several.class_order == whole.class_order == [int(digit) for digit in ORDER]
    for one, other in zip(several.codes(range(60)), whole.codes(range(60)), strict=True):
        assert bool((one == other).all())
    np.testing.assert_array_equal(several.to_numpy()[0], whole.to_numpy()[0])


def test_the_account_of_all_files(ours: tuple[Path, library.Stats, int]) -> None:
    place, made, _ = ours
    one, each = library.stats(place / "one.drr"), library.stats([made.path])
    assert made.files == tuple(part.path for part in each)
    assert made.bytes.file == sum(os.path.getsize(path) for path in made.files)
    assert (made.images, made.classes, made.psnr_db) == (60, 10, one.psnr_db)
    assert made.bytes.payload == one.bytes.payload and made.bytes.raw == one.bytes.raw
    assert made.bytes.vqvae == len(each) * one.bytes.vqvae
    assert made.bytes_per_image.total == made.bytes.file / 60
    assert made.bits_per_code.all.coded == pytest.approx(one.bits_per_code.all.coded)
    lzma = [part.bits_per_code.top.lzma for part in each]
    counts = [part.images for part in each]
    expected = sum(n * (bits or 0) for n, bits in zip(counts, lzma, strict=True)) / 60
    assert made.bits_per_code.top.lzma == pytest.approx(expected)
    assert made.to_json()["files"] == list(made.files) and "files" not in one.to_json()


# --- a small codec --------------------------------------------------------------------------------


def small(source: Path, output: Path, **more: object) -> library.Stats:
    return library.encode(source, output, codec=GOLDEN_BITSWAP, device="cpu", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its memory as one file."""
    path = tmp_path_factory.mktemp("whole") / "mem.drr"
    small(few, path)
    return path


@pytest.fixture(scope="module")
def limit(whole: Path) -> float:
    """Megabytes that have room for three or four of ten classes."""
    found = library.stats(whole).bytes
    return (found.file - 0.5 * (found.payload + 10 * 50)) / 1e6


def test_each_shard_is_a_memory(few: Path, tmp_path: Path, limit: float) -> None:
    made = small(few, tmp_path / "mem.drr", shard_mb=limit)
    assert len(made.files) in (3, 4)
    first, last = made.files[0], made.files[-1]
    classes = DRRDataset(first).classes
    library.preview(first, tmp_path / "grid.png", rows=1, columns=2)
    (run,) = library.train(first, tmp_path / "run", phases=1, epochs=1, width=2, ceiling=False)
    assert len(run.config.classes) == len(classes)
    more = tmp_path / "more" / "eleven"
    more.mkdir(parents=True)
    for path in sorted((few / "train" / "1").iterdir())[:5]:
        (more / path.name).write_bytes(path.read_bytes())
    library.append(last, more.parent, keep_entropy_model=True, device="cpu")
    several = DRRDataset(made.path)
    assert several.classes == [*"0123456789", "eleven"] and len(several) == 65
    exported = library.export(made.path, tmp_path / "all.npz", classes=["eleven", "0"])
    assert exported.images == 11


def test_what_reads_many_files_takes_them(
    few: Path, whole: Path, tmp_path: Path, limit: float
) -> None:
    made = small(few, tmp_path / "mem.drr", shard_mb=limit + 0.003, raw_per_class=1)
    expected = DRRDataset(whole)
    library.verify([made.path], "full")
    merged = DRRDataset(library.merge([made.path], tmp_path / "one.drr").path)
    for found in (merged, DRRDataset(made.path)):
        assert found.classes == expected.classes and found.targets == expected.targets
        np.testing.assert_array_equal(found.to_numpy()[0], expected.to_numpy()[0])
    assert len(DRRDataset(made.path, raw="pairs")) == 10


def test_dropping_and_appending_keep_the_order_of_the_others(
    few: Path, tmp_path: Path, limit: float
) -> None:
    made = small(few, tmp_path / "mem.drr", shard_mb=limit, class_order=ORDER)
    library.drop(made.files[0], ["0"])
    several = DRRDataset(made.path)
    assert [several.classes[n] for n in several.class_order] == [d for d in ORDER if d != "0"]
    rest = DRRDataset(list(made.files[1:]))
    assert [rest.classes[n] for n in rest.class_order] == [d for d in ORDER if d in rest.classes]
    library.merge(list(made.files[:2]), tmp_path / "two.drr")
    both = DRRDataset([tmp_path / "two.drr", *made.files[2:]])
    assert [both.classes[n] for n in both.class_order] == [d for d in ORDER if d != "0"]


def test_an_older_set_is_refused_or_replaced(few: Path, tmp_path: Path, limit: float) -> None:
    output = tmp_path / "mem.drr"
    output.write_bytes(b"another file, which nobody touches")
    old = small(few, output, shard_mb=limit)
    before = {path: Path(path).read_bytes() for path in old.files}
    with pytest.raises(OutputError, match=r"mem-00000-of-0000\d.drr: exists already, one of \d"):
        small(few, output, shard_mb=1)
    with changing(Path(old.files[1])), pytest.raises(OutputError, match="is changing it"):
        small(few, output, shard_mb=1, force=True)
    assert {path: Path(path).read_bytes() for path in old.files} == before
    made = small(few, output, shard_mb=1, force=True)
    assert made.files == (str(tmp_path / "mem-00000-of-00001.drr"),)
    assert sorted(os.listdir(tmp_path)) == ["mem-00000-of-00001.drr", "mem.drr"]
    assert len(DRRDataset(tmp_path / "mem-*.drr")) == 60  # and nothing of the older set
    os.remove(made.files[0])
    (tmp_path / "mem-00001-of-00003.drr").touch()
    with pytest.raises(MissingError, match=r"found 1 of 3 files.*'mem-00000-of-00003.drr'"):
        DRRDataset(tmp_path / "mem-*.drr")
    with pytest.raises(OutputError, match="exists already, one of 1 shard of"):
        small(few, output, shard_mb=1)


def test_what_is_too_small(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, honest = list[int](), Codec.encode

    def counted(self: Codec, images: np.ndarray, *rest: object) -> Codes:
        encoded.append(len(images))
        return honest(self, images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Codec, "encode", counted)
    for wrong in (0, -1, float("nan"), "2"):
        with pytest.raises(OptionError, match=r"`shard_mb=.*a number above zero") as caught:
            small(few, tmp_path / "mem.drr", shard_mb=wrong)
        assert caught.value.option == "shard_mb"
    with pytest.raises(OptionError, match=r"the models, which take 0\.\d\d MB") as caught:
        small(few, tmp_path / "mem.drr", shard_mb=0.01)
    assert caught.value.option == "shard_mb" and not encoded
    (made,) = contents(GOLDEN_BITSWAP)
    models = len(made.vqvae.data) + len(made.entropy_model.data)
    with pytest.raises(OptionError, match=r"class '\d' alone takes 0\.\d\d MB") as caught:
        small(few, tmp_path / "mem.drr", shard_mb=(models + 4000) / 1e6)
    assert os.listdir(tmp_path) == []
    enough = float(str(caught.value).split(" alone takes ")[1].split()[0])
    assert small(few, tmp_path / "mem.drr", shard_mb=enough).classes == 10


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(3_159_999, "3.159999"), (3_000_000, "3"), (1, "0.000001"), (1_234_567_890, "1234.56789")],
)
def test_a_limit_is_shown_as_smaller_than_what_it_must_hold(limit: int, shown: str) -> None:
    models = Section("1.0", {}, b"12"), Section("1.0", {}, bytes(limit - 1))  # a byte too much
    with pytest.raises(OptionError) as caught:
        check_models([models], limit)
    said = re.fullmatch(r"`shard_mb=(\S+)`: each .* take (\S+) MB; .*", str(caught.value))
    assert said is not None and said[1] == shown
    assert float(said[1]) * MB == limit < float(said[2]) * MB


# --- the command ----------------------------------------------------------------------------------


def test_the_command(
    drrpack: Command,
    few: Path,
    tmp_path: Path,
    limit: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "mem.drr"
    command = ("encode", few, "-o", output, "--codec", GOLDEN_BITSWAP, "--shard-mb")
    shown = json.loads(drrpack(*command, str(limit), "--json").output)
    assert shown == stats_of_shards(output).to_json()
    assert shown["bytes"]["file"] == sum(os.path.getsize(path) for path in shown["files"])
    assert "say --force to replace them all" in drrpack.refused(*command, "1")
    screen.print_stats(stats_of_shards(output))
    several = f"mem-*-of-{len(shown['files']):05}.drr"
    assert f"{tmp_path / several}: format 1.0, 60 images in" in capsys.readouterr().out
    quiet = drrpack(*command, "1", "--force", "--quiet")
    assert quiet.output == f"{tmp_path / 'mem-00000-of-00001.drr'}\n"
    told = drrpack.refused(*command, "0.001", "--force")
    assert "error: --shard-mb 0.001: each file holds the models" in told and "--thin" in told


ENDED = """
    import os, signal, sys
    from drrpack.cli.main import main

    number, step, when = int(sys.argv.pop(1)), int(sys.argv.pop(1)), sys.argv.pop(1)
    rename, calls = os.rename, []

    def ended(source, target):
        calls.append(1)
        if when == "before" and len(calls) == step:
            os.kill(os.getpid(), number)
        rename(source, target)
        if when == "after" and len(calls) == step:
            os.kill(os.getpid(), number)

    os.rename = ended
    main()
"""


def ended(
    source: Path, output: Path, limit: float, number: int, step: int, when: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", dedent(ENDED), str(number), str(step), when, "encode", source]
    options = ["-o", output, "--codec", GOLDEN_BITSWAP, "--shard-mb", str(limit)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*map(str, command), *map(str, options)], env=environment, capture_output=True, text=True
    )


def test_a_kill_between_two_shards(few: Path, tmp_path: Path, limit: float) -> None:
    output = tmp_path / "mem.drr"
    step = 1 + 2 + 1  # the first rename is that of a folder
    done = ended(few, output, limit, signal.SIGKILL, step, "before")
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = sorted(path.name for path in tmp_path.glob("mem-*"))
    assert len(there) == 2 and there[0].startswith("mem-00000-of-0000")
    for name in there:
        library.verify(tmp_path / name)
    for read in (
        DRRDataset,
        lambda path: library.stats([path]),
        lambda path: library.verify([path]),
    ):
        with pytest.raises(MissingError, match=r"found 2 of \d files.*'mem-00002-of-0000"):
            read(tmp_path / "mem-*.drr")
    with pytest.warns(UserWarning) as told:
        library.export(tmp_path / there[0], tmp_path / "another.npz")
    first, second = (str(one.message) for one in told)
    assert first.startswith(f"brought the new files {tmp_path / 'mem-*.drr'} to their place")
    assert second.endswith(".lock, left behind by a run that was killed")
    assert len(DRRDataset(tmp_path / "mem-*.drr")) == 60
    (tmp_path / "another.npz").unlink()
    made = small(few, output, shard_mb=limit, force=True)
    assert sorted(map(str, tmp_path.iterdir())) == list(made.files)
    assert len(DRRDataset(made.path)) == 60


def test_signals_between_two_shards(few: Path, tmp_path: Path, limit: float) -> None:
    output = tmp_path / "mem.drr"
    done = ended(few, output, limit, signal.SIGINT, 1 + 2, "after")
    assert done.returncode == 130 and "interrupted" in done.stderr, done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_two_processes_write_the_set_of_one(few: Path, tmp_path: Path, limit: float) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    made = small(few, tmp_path / "a" / "mem.drr", shard_mb=limit)
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "drrpack"]
    command = ["encode", few, "-o", tmp_path / "b" / "mem.drr", "--shard-mb", limit]
    options = ["--codec", GOLDEN_BITSWAP, "--device", "cpu", "--quiet"]
    done = subprocess.run(
        [*map(str, [*program, *command, *options])],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(made.files), "the first process speaks for both"
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
