"""How classifiers are trained where nothing else is said; light, as ``--help`` shows it."""

from __future__ import annotations

EPOCHS = 16
WIDTH = 8  # filters in the first block
SEEDS = 1  # classifiers for each format and group of classes
DRAWS = 1  # random groups of the classes
