"""A newcomer's first file: the wheel, a fresh environment, no network, and `drrpack encode`.

    python benchmarks/newcomer.py SOURCE -o benchmarks/results/NAME.json [--wheels FOLDER]

The wheel is built from this checkout. With ``--wheels`` all that it needs is installed from wheels
in a folder (`pip download torch torchvision ... -d FOLDER`); without it the new environment borrows
the packages of this one. `unshare` cuts the network off, where it may; the JSON says whether.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from made_by import made_by

ROOT = Path(__file__).resolve().parents[1]
ALONE = ["unshare", "--map-root-user", "--net"]  # a command without a network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    cut_off = subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
    with tempfile.TemporaryDirectory() as folder:
        found = first_file(Path(folder), given.source, given.wheels, ALONE if cut_off else [])
    network = "cut off" if cut_off else "not cut off: no right to"
    content = {"network": network, "source": given.source.name, **found, **made_by()}
    text = json.dumps(content, indent=1)
    print(text)
    given.output.write_text(text + "\n")


def first_file(place: Path, source: Path, wheels: Path | None, alone: list[str]) -> dict[str, Any]:
    """Build, install and encode below ``place``; the clock runs from the installation on."""
    checkout = copied(place / "checkout")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", place, checkout])
    (wheel,) = place.glob("*.whl")
    home = place / "environment"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    options = ["--no-index"]
    if wheels is None:
        (packages,) = home.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        options.append("--no-deps")
    else:
        options += ["--find-links", str(wheels.resolve())]
    memory = place / "mem.drr"
    seconds = {
        "pip install": run([*alone, str(python), "-m", "pip", "install", *options, str(wheel)]),
        "drrpack encode": run(
            [*alone, str(home / "bin" / "drrpack"), "encode", str(source.resolve()), "-o", memory],
            cwd=place,
        ),
    }
    return {
        "wheel_bytes": wheel.stat().st_size,
        "packages": "borrowed" if wheels is None else "installed from wheels",
        "seconds": {**seconds, "in all": sum(seconds.values())},
        "file_bytes": memory.stat().st_size,
    }


def copied(place: Path) -> Path:
    """What the wheel is built from, without what earlier builds left behind."""
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "drrpack", place / "drrpack", ignore=no_cache)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, place)
    return place


def run(command: list[str | Path], cwd: Path | None = None) -> float:
    """Seconds of a command that must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=_clean())
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return time.perf_counter() - start


def _clean() -> dict[str, str]:
    """The environment without what would let a command find this checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    main()
