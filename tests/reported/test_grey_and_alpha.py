"""Reported: lucidrains/stylegan2-pytorch#108: one grey picture with an alpha channel among others
ended the training.

Right: grey, alpha and palettes in a class are RGB in the memory, the pixels that ImageFolder of
torchvision would give.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from samples import Encode, folder, picture
from torchvision.datasets import ImageFolder

from drrpack import DRRDataset
from drrpack.formats.sources.source import open_source


def mixed(root: Path) -> Path:
    """One grey picture in many modes, and coloured ones with alpha and a palette."""
    grey = picture(3).convert("L")
    colour = folder(root, "grey", "colour", images=1) and picture(4)
    alpha = Image.linear_gradient("L").resize((32, 32))
    modes = {name: grey.convert(name) for name in ("L", "RGB", "LA", "RGBA", "P")}
    modes["LA-shaded"] = Image.merge("LA", [grey, alpha])
    for name, image in modes.items():
        image.save(root / "grey" / f"{name}.png")
    Image.merge("RGBA", [*colour.split(), alpha]).save(root / "colour" / "RGBA.png")
    colour.quantize(16).save(root / "colour" / "P.png")
    colour.quantize(16).save(root / "colour" / "P-clear.png", transparency=3)
    colour.save(root / "colour" / "YCbCr.jpg")
    return root


def test_all_are_rgb(tmp_path: Path, encode: Encode) -> None:
    source = mixed(tmp_path / "src")
    expected = ImageFolder(source)
    images, labels = open_source(source).load_all()
    assert labels.tolist() == expected.targets
    for image, (path, _) in zip(images, expected.samples, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")), path)
    assert [image.mode for image, _ in expected] == ["RGB"] * len(images)
    dataset = DRRDataset(encode(source))
    decoded = dataset.to_numpy()[0]
    names = [f"{Path(path).parent.name}/{Path(path).name}" for path, _ in expected.samples]
    alike = [i for i, name in enumerate(names) if name.startswith("grey/") and "0" not in name]
    np.testing.assert_array_equal(decoded[alike], decoded[[alike[0]] * 6])
