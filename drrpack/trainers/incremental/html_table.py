"""The cells by which a table of a report names the runs of a row."""

from __future__ import annotations

from collections.abc import Sequence

from drrpack.formats.pages.look import Cells
from drrpack.trainers.incremental.grouping import Group, heading


def heads_of(columns: Sequence[str]) -> list[str]:
    """The first headings of a table with a row for each group; ``columns`` are settings."""
    return ["method", "phases", *map(heading, columns)]


def named(group: Group, columns: Sequence[str]) -> Cells:
    """The first cells of a group's row, below `heads_of`."""
    return [group.method, (group.phases, str(group.phases)), *group.cells(columns)]
