"""A picture ``name.svg`` that has a ``name-dark.svg`` beside it is shown as that in the dark."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class DarkPictures(SphinxTransform):
    """Add the dark variant behind each image that has one; the theme shows one of the two."""

    default_priority = 200  # before images are collected

    def apply(self, **kwargs: object) -> None:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for image in list(self.document.findall(nodes.image)):
            light = Path(image["uri"])
            dark = light.with_name(f"{light.stem}-dark{light.suffix}")
            if not (folder / dark).is_file():
                continue
            twin = image.deepcopy()
            twin["uri"] = dark.as_posix()
            image["classes"].append("only-light")
            twin["classes"].append("only-dark")
            image.parent.insert(image.parent.index(image) + 1, twin)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(DarkPictures)
    return {"parallel_read_safe": True}
