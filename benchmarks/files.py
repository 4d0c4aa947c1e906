"""What `drrpack encode` makes of a folder: bytes of each variant of the file, and the time.

    python benchmarks/files.py SOURCE -o benchmarks/results/NAME.json

Each variant is a command of its own, from the pictures to the checked file, by the codec that comes
along. The bytes are the file's, and those of `drrpack stats`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from made_by import made_by

VARIANTS = {"whole": (), "decoder-only": ("--decoder-only",), "thin": ("--thin",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: encoded(given.source, Path(folder) / f"{name}.drr", options)
            for name, options in VARIANTS.items()
        }
    text = json.dumps({"source": given.source.name, "files": found, **made_by()}, indent=1)
    print(text)
    given.output.write_text(text + "\n")


def encoded(source: Path, path: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """Bytes and bits of one variant, and the seconds that encoding it took."""
    start = time.perf_counter()
    run("encode", str(source), "-o", str(path), *options)
    seconds = time.perf_counter() - start
    stats = json.loads(run("stats", str(path), "--json"))
    return {
        "options": list(options),
        "file_bytes": path.stat().st_size,
        "bytes_per_image": path.stat().st_size / stats["images"],
        "encode_seconds": seconds,
        "stats": stats,
    }


def run(*arguments: str) -> str:
    """What a command prints; ends this script where it fails."""
    command = [sys.executable, "-m", "drrpack", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
