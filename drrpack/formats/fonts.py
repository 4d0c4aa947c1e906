"""Draw the names of classes: with a font that has their letters, or as escapes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

SIZE = 10  # pixels, of Pillow's own font as well
_ABSENT = "\U0010ffff"  # no character, so no font has it: what is drawn instead is its box

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

_FANCY = (
    "bold",
    "italic",
    "oblique",
    "light",
    "thin",
    "black",
    "condensed",
    "mono",
    "serif",
    "math",
)


def drawable(name: str, number: int, width: int) -> tuple[str, Font]:
    """A name as a font can draw it, and that font; at most ``width`` pixels wide.

    Where no font here has its letters they are escaped as in Python, and the ``number`` of the
    class comes first: of some names escapes alone would not tell much.
    """
    font: Font = ImageFont.load_default(SIZE)
    if not _covers(font, name):
        found = _installed(name) if name.isprintable() else None
        if found is None:
            name = f"{number}: {_escaped(font, name)}"
        else:
            font = found
    return _fitted(font, name, width), font


def _escaped(font: Font, name: str) -> str:
    return "".join(c if _covers(font, c) else ascii(c)[1:-1] for c in name)


def _fitted(font: Font, name: str, width: int) -> str:
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"{name}...") > width:
        name = name[:-1]
    return f"{name}..."


def _covers(font: Font, text: str) -> bool:
    """Whether a font has all letters of a text: none looks like what it draws for no character."""
    if not text.isprintable() or not isinstance(font, ImageFont.FreeTypeFont):
        return text.isprintable() and text.isascii()  # a Pillow without FreeType has no more
    absent = _drawn(font, _ABSENT)
    return all(c == " " or _drawn(font, c) != absent for c in set(text))


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


@lru_cache(maxsize=256)
def _installed(text: str) -> Font | None:
    """The first font of this system with all the letters; None where there is none."""
    for path in _font_files():
        try:
            font = ImageFont.truetype(str(path), SIZE)
            if _covers(font, text):
                return font
        except (OSError, ValueError):  # no font, or one of coloured bitmaps in other sizes
            continue
    return None


@lru_cache(maxsize=1)
def _font_files() -> list[Path]:
    """The fonts of this system, plain ones first, before them the one that matplotlib brings."""
    from matplotlib import get_data_path  # slow to import, and few names need it
    from matplotlib.font_manager import findSystemFonts

    own = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return [own, *sorted(map(Path, findSystemFonts()), key=_plainness)]


def _plainness(path: Path) -> tuple[bool, str]:
    return any(word in path.stem.lower() for word in _FANCY), path.name
