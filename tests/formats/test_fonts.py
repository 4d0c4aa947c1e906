"""Names in a picture: every letter is drawn by a font that has it, or escaped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from drrpack.formats import fonts as finding
from drrpack.formats.fonts import drawable


def write_font(path: Path, letters: str) -> Path:
    """A font whose every letter is a bar, of another height for each, and which has no others."""
    builder = pytest.importorskip("fontTools.fontBuilder").FontBuilder(1000, isTTF=True)
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = {ord(letter): f"letter{number}" for number, letter in enumerate(letters)}
    glyphs = {}
    for number, name in enumerate([".notdef", *names.values()]):
        pen = TTGlyphPen(None)
        height = 700 - 100 * number
        pen.moveTo((0, 0))
        for corner in ((0, height), (500, height), (500, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics({name: (1000, 0) for name in glyphs})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Bars", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The fonts of the system, none at first."""
    fonts: list[Path] = []
    monkeypatch.setattr(finding, "_font_files", lambda: fonts)
    finding._installed.cache_clear()
    yield fonts
    finding._installed.cache_clear()


def test_plain_names_stay_as_they_are(installed: list[Path]) -> None:
    text, font = drawable("maple_tree", 7, 122)
    assert text == "maple_tree" and font.getlength(text) <= 122


def test_no_font_has_the_letters(installed: list[Path]) -> None:
    assert drawable("猫", 12, 122)[0] == r"12: \u732b"
    assert drawable("naïve", 3, 122)[0] == r"3: na\xefve"


def test_a_font_that_has_them(installed: list[Path], tmp_path: Path) -> None:
    installed += [tmp_path / "gone.ttf", write_font(tmp_path / "some.ttf", "犬猫")]
    text, font = drawable("猫犬", 0, 122)
    assert text == "猫犬" and font.getbbox(text)[2] > 0
    assert drawable("猫x", 5, 122)[0] == r"5: \u732bx", "that font has no x, and no other has 猫"


def test_a_name_that_a_picture_would_break_over(installed: list[Path], tmp_path: Path) -> None:
    installed.append(write_font(tmp_path / "some.ttf", "a\nb"))
    assert drawable("a\nb", 1, 122)[0] == r"1: a\nb"


@pytest.mark.parametrize("name", ["x" * 200, "W" * 30, "猫" * 99])
def test_names_end_before_the_pictures_begin(installed: list[Path], name: str) -> None:
    text, font = drawable(name, 0, 122)
    assert text.endswith("...") and 90 < font.getlength(text) <= 122


def test_accents_are_drawn_everywhere() -> None:
    """Pillow's own font has no more than ASCII; the one that matplotlib brings has."""
    text, font = drawable("naïve кот", 0, 122)
    assert text == "naïve кот"
    boxes = set()
    for letter in "ïк\U0010ffff":
        picture = Image.new("L", (20, 20))
        ImageDraw.Draw(picture).text((2, 2), letter, fill=255, font=font)
        boxes.add(picture.tobytes())
    assert len(boxes) == 3, "two letters that look the same are boxes"
