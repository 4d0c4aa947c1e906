"""A method in a file of its own, outside the tree, by real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METHOD = '''"""Distillation from the last network, on reconstructions of the newest classes."""

from dataclasses import dataclass

from torch.nn import functional as F

from drrpack.trainers.incremental.methods import Method, MethodOptions


@dataclass(frozen=True)
class Distilled(MethodOptions):
    temperature: float = 2.0


class Distillation(Method):
    name = "distillation"
    needs = frozenset({"replayed"})
    Options = Distilled
    network = None

    def train_phase(self, context):
        images, labels = context.%s(context.new)
        teacher = self.network and context.snapshot(self.network)
        old, heat = len(context.seen) - len(context.new), self.options.temperature

        def loss(network, batch):
            logits = network(batch.images)
            terms = {"cross_entropy": F.cross_entropy(logits, batch.labels)}
            if teacher:
                wanted = (teacher(batch.images)[:, :old] / heat).softmax(1)
                terms["distillation"] = F.cross_entropy(logits[:, :old] / heat, wanted)
            return terms

        classifier = context.train(images, labels, network=self.network, loss=loss)
        self.network = classifier.network
        return classifier

    def memory_bytes(self, context):
        return {"old_network": sum(p.nbytes for p in self.network.parameters())}

    def state_dict(self):
        return self.network.state_dict()

    def load_state_dict(self, state, context):
        self.network = context.new_network()
        self.network.load_state_dict(state)
        self.network.open_head(len(context.seen))
'''
OPTIONS = (
    "--no-ceiling", "--base", "2", "--phases", "2", "--classes", "0:6", "--width", "4",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder outside the tree with two methods, one of which uses what it did not declare."""
    (tmp_path / "distilling.py").write_text(METHOD % "replayed")
    (tmp_path / "peeking.py").write_text(METHOD % "raw")
    return tmp_path


def command(memory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "drrpack", "train", str(memory), *OPTIONS, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "300"}


def train(place: Path, memory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(memory, *options), cwd=place, env=environment(), capture_output=True, text=True
    )


def result(out: Path) -> dict[str, object]:
    """A result less what differs from run to run."""
    found = json.loads((out / "result.json").read_text())
    phases = [{k: v for k, v in phase.items() if k != "seconds"} for phase in found["phases"]]
    return {k: v for k, v in found.items() if k != "wall_seconds"} | {"phases": phases}


def killed(place: Path, memory: Path, *options: str) -> None:
    """Start the same and end it by SIGKILL once the first phase is safe."""
    out = place / "cut"
    with subprocess.Popen(
        command(memory, *options, "--out", "cut"), cwd=place, env=environment(),
        stdout=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(out.glob("phases/*.pt")) and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it had ended before"


def test_it_runs_and_resumes(place: Path, digits_drr: Path) -> None:
    options = ("--method", "distilling:Distillation", "--set", "temperature=4", "--epochs", "3")
    done = train(place, digits_drr, *options, "--out", "whole")
    assert done.returncode == 0, done.stderr
    whole = result(place / "whole")
    assert whole["method"] == "distillation" and len(whole["phases"]) == 3  # type: ignore[arg-type]
    assert set(whole["phases"][-1]["loss_terms"]) == {"cross_entropy", "distillation"}  # type: ignore[index]
    config = whole["config"]
    assert config["options"] == {"temperature": 4.0}  # type: ignore[index]
    assert config["method_from"] == "distilling:Distillation"  # type: ignore[index]

    killed(place, digits_drr, *options)
    done = train(place, digits_drr, *options, "--out", "cut", "--resume")
    assert done.returncode == 0, done.stderr
    assert result(place / "cut") == whole
    other = (*options[:2], "--epochs", "3", "--out", "cut", "--resume")
    done = train(place, digits_drr, *other)
    assert done.returncode == 2
    assert "options.temperature was 4.0 and is now 2.0" in done.stderr


def test_it_is_refused_where_it_uses_what_it_did_not_declare(place: Path, digits_drr: Path) -> None:
    options = ("--method", "peeking:Distillation", "--epochs", "1", "--out", "run")
    done = train(place, digits_drr, *options)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "found needs = 'replayed', expected 'raw_new' or 'raw_seen'" in done.stderr
    assert not list((place / "run").glob("phases/*.pt"))


def test_a_module_that_there_is_not(place: Path, digits_drr: Path) -> None:
    done = train(place, digits_drr, "--method", "absent:Distillation", "--out", "run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--method absent:Distillation: found no module 'absent'" in done.stderr
    assert not (place / "run").exists()
