"""Rung: a Kubernetes-native tuning operator. The best hyperparameters for the least GPU time."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rung.optimizer import Optimizer as Optimizer

__version__ = "0.1.0"
__all__ = ["Optimizer", "__version__"]


def __getattr__(name: str) -> object:
    """`rung.Optimizer`, imported when it is asked for: the operator's parts need none of it."""
    if name == "Optimizer":
        return import_module("rung.optimizer").Optimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
