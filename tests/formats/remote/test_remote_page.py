"""The Python in docs/remote.md runs as it is printed, with the address of a server at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from byte_server import serving

pytest.importorskip("aiohttp")
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.usefixtures("one_thread")
def test_the_example_of_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "remote.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    (said,) = re.findall(r"# (\(.*)$", block, re.M)
    with serving((ROOT / "tests" / "golden" / "digits.drr").read_bytes()) as server:
        exec(block.replace("https://example.org/mem.drr", server.address), {})
    assert capsys.readouterr().out.splitlines() == [said]


def test_the_figures_were_counted() -> None:
    page = (ROOT / "docs" / "remote.md").read_text("utf-8")
    found = json.loads((ROOT / "benchmarks" / "results" / "remote-reads.json").read_text())
    assert f"has {found['memory']['bytes']['file']:,} bytes" in page
    cached = found["with what an earlier run left in the cache"]
    for step, counts in found["without the cache"].items():
        again = f"{cached[step]['requests']} request, {cached[step]['bytes']:,} bytes"
        assert f"| {step} | {counts['requests']} | {counts['bytes']:,} | {again} |" in page
