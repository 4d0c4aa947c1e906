"""The class-incremental methods; importing this package makes them known by name."""

from drrpack.trainers.methods import drr, ub
from drrpack.trainers.methods.base import METHODS, Method, PhaseContext, PhaseData, get_method

__all__ = ["METHODS", "Method", "PhaseContext", "PhaseData", "drr", "get_method", "ub"]
