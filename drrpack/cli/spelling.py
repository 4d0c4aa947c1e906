"""Spell arguments in messages as options: the library writes `size=32`, users type --size 32."""

from __future__ import annotations

import ast
import re
from contextlib import suppress

# The arguments of operations that are options here. A test compares this list with the commands.
OPTIONS = frozenset((
    "augmentation", "base", "browser", "budget_mb", "ceiling", "chart", "class_order", "classes",
    "classes_from", "codec", "columns", "compiled", "decoder_only", "depth", "device", "download",
    "draws", "entropy", "epochs", "exemplars", "extend", "family", "finetune", "finetune_decoder",
    "fit", "fit_classes", "force", "format", "full", "grow", "grow_epochs", "grow_minutes",
    "image_column", "keep_entropy_model", "label_column", "max_megapixels", "memory", "method",
    "minutes", "network", "options", "out", "output", "phases", "port", "preset", "quality",
    "quick", "raw_per_class", "raw_select", "recipe", "resume", "rivals", "rows", "sample", "seed",
    "seeds", "shard_mb", "size", "skip_bad", "source", "test", "test_augmentation", "test_view",
    "thin", "train", "train_at", "value_range", "width", "work",
))  # fmt: skip
_SPELLED_OTHERWISE = {
    "value_range": "--range",
    "compiled": "--compile",
    "options": "--set",
    "fit='scratch'": "--fit",
    "fit='finetune'": "--finetune",
    "fit='decoder'": "--finetune-decoder",
    "depth='quick'": "--quick",
    "depth='full'": "--full",
}
_ARGUMENT = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")


def spelled(text: str) -> str:
    """Replace arguments between backticks in a message of the library by options."""
    return _ARGUMENT.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if name not in OPTIONS:
        return found[0]
    whole = _SPELLED_OTHERWISE.get(found[0].strip("`"))
    if whole is not None:
        return whole
    option = _SPELLED_OTHERWISE.get(name, f"--{name.replace('_', '-')}")
    return option if value in (None, "True") else f"{option} {_value(value)}"


def _value(text: str) -> str:
    """Turn a value in Python's spelling into what users type.

    Text loses its quotes, the parts of a tuple are separated by spaces, those of a list by commas.
    """
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].replace(", ", " ")
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1].replace(", ", ",")
    if text.startswith(("'", '"')):
        with suppress(SyntaxError, ValueError):  # the message cut the value short
            return str(ast.literal_eval(text))
    return text
