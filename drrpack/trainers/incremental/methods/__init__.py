"""The class-incremental methods; importing this package registers them by name.

A method outside drrpack also imports what it needs from here.
"""

from drrpack.trainers.incremental.buffer import Exemplars, FixedPerClass, FixedTotal
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method, State
from drrpack.trainers.incremental.methods import (
    der,
    drr,
    drr_soft,
    er,
    er_jpeg,
    er_webp,
    finetune,
    foster,
    gfr,
    ib_drr,
    ib_drr_star,
    icarl,
    lucir,
    lwf,
    memo,
    mnemonics,
    ub,
)
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.phase_data import PhaseData
from drrpack.trainers.incremental.registry import METHODS, get_method, register
from drrpack.trainers.incremental.trainings import Training
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier

__all__ = [
    "METHODS",
    "Batch",
    "Classifier",
    "Exemplars",
    "FixedPerClass",
    "FixedTotal",
    "Method",
    "MethodOptions",
    "PhaseContext",
    "PhaseData",
    "State",
    "Training",
    "der",
    "drr",
    "drr_soft",
    "er",
    "er_jpeg",
    "er_webp",
    "finetune",
    "foster",
    "get_method",
    "gfr",
    "ib_drr",
    "ib_drr_star",
    "icarl",
    "lucir",
    "lwf",
    "memo",
    "mnemonics",
    "register",
    "ub",
]
