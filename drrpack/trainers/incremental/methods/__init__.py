"""The class-incremental methods; importing this package makes them known by name."""

from drrpack.trainers.incremental.methods import (
    drr,
    er,
    er_jpeg,
    er_webp,
    finetune,
    ib_drr,
    ib_drr_star,
    ub,
)
from drrpack.trainers.incremental.methods.base import (
    METHODS,
    Method,
    PhaseContext,
    PhaseData,
    get_method,
)

__all__ = [
    "METHODS",
    "Method",
    "PhaseContext",
    "PhaseData",
    "drr",
    "er",
    "er_jpeg",
    "er_webp",
    "finetune",
    "get_method",
    "ib_drr",
    "ib_drr_star",
    "ub",
]
