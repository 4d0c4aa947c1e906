"""Encoding a folder: what the file says of its making, and a real kill in the middle of it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from tiny_memory import encode_tiny, one_thread_alone, options_for, tiny_networks, write_digits

from drrpack.core.codec import Codec
from drrpack.core.errors import DrrError, SourceError
from drrpack.core.progress import Step
from drrpack.formats.container import Reader
from drrpack.formats.originals import open_originals
from drrpack.formats.sources.source import open_source
from drrpack.operations import encode as encoding
from drrpack.operations.encode_plan import EncodePlan, plan_encode
from drrpack.operations.progress import Event
from drrpack.trainers.fitting.loop import FitProgress

pytestmark = pytest.mark.usefixtures("one_thread")

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of each digit, and one to test on."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", train=4, test=1)


@dataclass(frozen=True)
class Fitted:
    """What was planned, a codec for the first six of ten classes, and what was told meanwhile."""

    plan: EncodePlan
    events: list[Event]


@pytest.fixture(scope="module")
def fitted(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    options = options_for(few, tmp_path_factory.mktemp("fitted") / "mem.drr", fit_classes=6)
    with tiny_networks(), one_thread_alone():
        made = Fitted(plan_encode(options), [])
        assert encoding.carry_out(made.plan, made.events.append) == options.output
    return made


def test_what_the_file_says_of_its_making(fitted: Fitted, few: Path) -> None:
    source = open_source(few)
    with Reader(fitted.plan.options.output) as reader:
        kept, log = reader.metadata["sources"][0], reader.metadata["fit"]
        figures = reader.metadata["figures"]
    digests = {"train": source.digest(), "test": source.digest("test")}
    classes = list(source.classes)
    listing = {split: listing_of(few / split) for split in ("train", "test")}
    where = {"name": "digits", "size": None, "classes": classes}
    assert kept == {"digest": digests, "listing": listing, **where}
    assert (log["source_digest"], log["classes"], log["device"]) == (digests["train"], 6, "cpu")
    assert set(log["networks"]) == {"features", "vqvae", "bitswap_top", "bitswap_bottom"}
    assert figures["psnr_on"] == "training images of 4 unseen classes"
    assert figures["psnr_images"] == 4 * 4


def listing_of(folder: Path) -> str:
    """The digest of names and sizes, as the format's page has it."""
    files = sorted(path for path in folder.glob("*/*"))
    names = [f"{path.parent.name}/{path.name}".encode() for path in files]
    text = b"".join(
        len(name).to_bytes(8, "little") + name + path.stat().st_size.to_bytes(8, "little")
        for name, path in zip(names, files, strict=True)
    )
    return hashlib.sha256(b"drrpack-listing-1\0" + text).hexdigest()


def test_stages_and_leftovers(fitted: Fitted) -> None:
    plan, output = fitted.plan, fitted.plan.options.output
    assert plan.fit_classes == 6 and plan.left.checkpoints == output.parent / ".mem.drr.fit"
    told = [e for e in fitted.events if isinstance(e, FitProgress | Step)]
    stages = list(dict.fromkeys(event.stage for event in told))
    assert stages == [
        "features", "VQ-VAE", "bitswap top", "bitswap bottom", "codes", "streams", "figures",
    ]  # fmt: skip
    codes = [e for e in fitted.events if isinstance(e, Step) and e.stage == "codes"]
    assert [event.done for event in codes] == list(range(4, 41, 4))
    assert {event.total for event in codes} == {40}
    assert [path.name for path in output.parent.iterdir()] == ["mem.drr"]


def test_nothing_is_written_where_decoding_fails(
    few: Path, digits_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompress = Codec.decompress

    def wrong(*arguments: object) -> object:
        decoded = decompress(*arguments)  # type: ignore[arg-type]
        decoded[3].bottom[0, 0, 0] ^= 1
        return decoded

    monkeypatch.setattr(Codec, "decompress", wrong)
    with pytest.raises(DrrError, match=r"class number 3 .* nothing was written"):
        encode_tiny(few, tmp_path / "mem.drr", codec=digits_drr)
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import os, signal, sys
    from pathlib import Path

    sys.path[:0] = sys.argv[3:]
    import torch
    from tiny_memory import encode_tiny
    from drrpack.trainers.fitting import loop as fitting

    torch.set_num_threads(1)
    fitting.CHECKPOINT_SECONDS = -1.0  # after every step
    kept = []
    keep = fitting._keep

    def keep_and_die(task, *arguments):
        keep(task, *arguments)
        kept.append(task.stage)
        if kept.count("bitswap top") == 2 or (kept.count("VQ-VAE") == 4 and not resumed):
            os.kill(os.getpid(), signal.SIGKILL)

    fitting._keep = keep_and_die
    resumed = Path(sys.argv[2]).with_name(".mem.drr.fit").exists()
    encode_tiny(Path(sys.argv[1]), Path(sys.argv[2]), epochs=4)
"""


@pytest.mark.slow
def test_killed_twice_and_resumed_like_undisturbed(few: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    output = tmp_path / "cut" / "mem.drr"
    places = [HERE.parents[1], HERE.parent]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), few, output, *places]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    fitted = ["features.pt", "vqvae.pt"]
    for there in (fitted, ["bitswap-top.pt", *fitted]):
        done = subprocess.run([*map(str, command)], env=environment, timeout=250)
        assert done.returncode == -signal.SIGKILL
        lock, fit = sorted(path.name for path in output.parent.iterdir())
        assert lock.endswith(".lock") and fit == ".mem.drr.fit"
        assert sorted(path.name for path in (tmp_path / "cut/.mem.drr.fit").iterdir()) == there
    encode_tiny(few, output, epochs=4)
    undisturbed = encode_tiny(few, tmp_path / "whole.drr", epochs=4)
    assert [path.name for path in output.parent.iterdir()] == ["mem.drr"]
    with Reader(output) as one, Reader(undisturbed) as two:
        assert one.vqvae == two.vqvae and one.entropy_model == two.entropy_model
        rows = range(len(one.index))
        assert [one.stream(row, "bottom") for row in rows] == [
            two.stream(row, "bottom") for row in rows
        ]
        assert one.metadata["figures"] == two.metadata["figures"]


def test_a_folder_whose_name_is_not_utf8(
    digits_drr: Path, tmp_path: Path, remembered: Path
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))
    write_digits(folder, train=2, test=1)
    output = encode_tiny(folder, tmp_path / "mem.drr", codec=digits_drr)
    with Reader(output) as reader:
        assert reader.metadata["sources"][0]["name"] == "bad\\xff"
        for known in (remembered.read_bytes(), b""):
            remembered.write_bytes(known)
            assert open_originals(reader, None, "train").load("3").shape == (2, 32, 32, 3)


def test_sides_beyond_the_format_are_refused_before_the_work(tmp_path: Path) -> None:
    place = tmp_path / "src" / "cat"
    place.mkdir(parents=True)
    Image.new("RGB", (4097, 1)).save(place / "0.png")
    with pytest.raises(SourceError, match=r"src: its images are 4097x1, .* 4096 .*`size`"):
        plan_encode(options_for(tmp_path / "src", tmp_path / "mem.drr"))
