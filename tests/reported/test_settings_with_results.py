"""Reported: python/pyperformance#11: a comparison did not say which versions it was of, so nobody
could tell whether its figures were of what they expected.
Right: compare's JSON and its chart carry the setting of each rival and the versions that made it.
"""

from __future__ import annotations

import json
from pathlib import Path

import PIL
from PIL import Image

from drrpack.formats.sources.source import open_source
from drrpack.trainers.comparison import chart as compare_chart
from drrpack.trainers.comparison import compare, peers
from drrpack.trainers.comparison.choices import Choice, Comparison


def made(folder: Path) -> Comparison:
    sample = compare.draw_sample(open_source(folder), [0, 1], 10)
    raw = Choice("raw", "", 3072.0, 0, None, 1.0, None, None)
    memory = Choice("DRR", "q75", 50.0, 0, 24.0, 0.6, 1.0, 1.0, options={"quality": 75})
    files = [
        compare.measured(peers.LOSSY[name], sample, [])[0]
        for name in ("JPEG", "WebP", "JPEG-sheet")
    ]
    return Comparison(60, 10, (32, 32), [raw, *files, memory])


def test_the_json_tells_how_each_rival_was_made(digits_folder: Path) -> None:
    found = json.loads(json.dumps(made(digits_folder).to_json()))
    assert found["versions"]["pillow"] == PIL.__version__ and found["versions"]["libwebp"]
    told = {choice["family"]: choice["options"] for choice in found["choices"]}
    assert told["WebP"] == {"quality": 0, "method": 6}
    assert told["JPEG"] == {"quality": 1, "subsampling": "4:2:0"}
    assert told["JPEG-sheet"] == {"quality": 1, "subsampling": "4:2:0", "optimize": True}


def test_the_chart_tells_it_too(digits_folder: Path, tmp_path: Path) -> None:
    comparison = made(digits_folder)
    compare_chart.draw(comparison, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        found = json.loads(picture.info["Description"])
    assert found == json.loads(json.dumps(comparison.to_json()))
    labels = [compare_chart.label(choice) for choice in comparison.choices]
    assert labels[1:4] == ["JPEG (4:2:0)", "WebP (method 6)", "JPEG-sheet (4:2:0, optimize)"]
