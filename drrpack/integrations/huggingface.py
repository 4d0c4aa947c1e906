"""Memories and datasets of the Hugging Face library ``datasets``: one into the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image as PILImage

from drrpack.core.errors import OptionError, SourceError
from drrpack.core.wording import few, shortened
from drrpack.formats.account import Stats
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.integrations.extras import not_installed
from drrpack.operations.encode import encode
from drrpack.operations.preparing import Pathlike
from drrpack.operations.progress import Report

try:
    import datasets
except ImportError as error:
    raise not_installed("library datasets of Hugging Face", "datasets") from error


def to_hf(memory: AnyPath | DRRDataset) -> datasets.Dataset:
    """The images of a ``.drr`` file as a dataset with the columns ``image`` and ``label``.

    Their features are ``Image`` (PNG, so the pixels stay the same) and ``ClassLabel``, with the
    names of the memory's classes. The images lie in memory; ``save_to_disk`` writes them.

    Args:
        memory: the path or the address of the file, or a `DRRDataset` of it, for some classes, say.

    Raises:
        FormatError: the file is missing or damaged.
    """
    if not isinstance(memory, DRRDataset):
        with DRRDataset(memory, cache_bytes=0) as held:
            return to_hf(held)
    pixels, labels = memory.to_numpy()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[*memory.classes])}
    )
    columns = {"image": [*map(PILImage.fromarray, pixels)], "label": labels.tolist()}
    return datasets.Dataset.from_dict(columns, features=features)


def from_hf(
    dataset: datasets.Dataset | datasets.DatasetDict,
    output: Pathlike,
    *,
    image: str | None = None,
    label: str | None = None,
    size: int | None = None,
    quality: int | None = None,
    raw_per_class: int = 0,
    codec: Pathlike | None = None,
    device: str = "auto",
    seed: int = 0,
    force: bool = False,
    class_names: Sequence[str] | None = None,
    report: Report | None = None,
) -> Stats:
    """Encode a dataset of Hugging Face into a ``.drr`` file; returns the account of its bytes.

    Of a ``DatasetDict`` the split ``train`` is encoded, and ``test`` (or else ``validation``) is
    recorded as the test split. What else `drrpack.encode` can do, it does with
    ``drrpack.encode(labelled(dataset), ...)``.

    Args:
        dataset: one with a column of images and a column of labels.
        output: the file to write.
        image, label: the names of these columns; by default the only column with the feature
            ``Image`` and the only one with ``ClassLabel``.
        class_names: names for labels that are plain numbers.
        size, quality, raw_per_class, codec, device, seed, force, report: as for `drrpack.encode`.

    Raises:
        OptionError: there is no such column, or there are several.
        SourceError, FormatError, OutputError: as for `drrpack.encode`.
    """
    train, test = _splits(dataset)
    return encode(
        labelled(train, image=image, label=label),
        output,
        test=None if test is None else labelled(test, image=image, label=label),
        size=size,
        quality=quality,
        raw_per_class=raw_per_class,
        codec=codec,
        device=device,
        seed=seed,
        force=force,
        class_names=class_names,
        report=report,
    )


@dataclass(frozen=True)
class Labelled:
    """A dataset of Hugging Face as a map-style dataset of ``(PIL image, label)``."""

    rows: datasets.Dataset = field(repr=False)
    image: str
    label: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[object, object]:
        row: Mapping[str, object] = self.rows[index]
        return row[self.image], row[self.label]

    @property
    def classes(self) -> list[str] | None:
        """The names of the labels; None if labels are plain numbers."""
        feature = self.rows.features[self.label]
        return [*feature.names] if isinstance(feature, datasets.ClassLabel) else None

    @property
    def targets(self) -> list[int]:
        """The label of every item, without reading an image."""
        return [*self.rows[self.label]]


def labelled(
    dataset: datasets.Dataset, *, image: str | None = None, label: str | None = None
) -> Labelled:
    """A dataset in the form that `drrpack.encode`, `drrpack.append` and `drrpack.replay` take.

    Args:
        dataset: one split. image, label: as for `from_hf`.

    Raises:
        OptionError: there is no such column, or there are several.
    """
    return Labelled(
        dataset.with_format(None),
        _column(dataset, image, "image", datasets.Image),
        _column(dataset, label, "label", datasets.ClassLabel),
    )


def _column(dataset: datasets.Dataset, given: str | None, option: str, feature: type) -> str:
    """The column that is given, or the only one of a feature."""
    names: list[str] = [*dataset.column_names]
    fitting = [name for name in names if isinstance(dataset.features[name], feature)]
    if given is None and not fitting and option in names:
        return option
    if given is None and len(fitting) == 1:
        return fitting[0]
    if given in names and given is not None:
        return given
    found = f"no column {given!r}" if given is not None else f"{len(fitting)} columns"
    raise OptionError(
        f"`{option}`: found {found} with the feature {feature.__name__} among {few(names)}, "
        f"expected one: say which with `{option}=NAME`",
        option=option,
    )


def _splits(
    dataset: datasets.Dataset | datasets.DatasetDict,
) -> tuple[datasets.Dataset, datasets.Dataset | None]:
    """What is encoded, and what is its test split."""
    if isinstance(dataset, datasets.Dataset):
        return dataset, None
    if not isinstance(dataset, datasets.DatasetDict) or "train" not in dataset:
        found = few([*dataset]) if isinstance(dataset, datasets.DatasetDict) else shortened(dataset)
        raise SourceError(
            f"dataset: found {found}, expected a Dataset, or a DatasetDict with a split 'train': "
            "choose a split, as in dataset['train']; load it without streaming"
        )
    return dataset["train"], dataset.get("test", dataset.get("validation"))
