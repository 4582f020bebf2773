"""What is wrong with a training program, why, and what to change: probes, a training run read, repairs tried.

Its names load on first use: the catalogue's pages need no JAX, and `verax explain` shows them at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verax.doctor._program import TrainingProgram

__all__ = ["TrainingProgram"]

_FILES = {"TrainingProgram": "_program"}


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(importlib.import_module(f"verax.doctor.{_FILES[name]}"), name)
    raise AttributeError(f"module 'verax.doctor' has no attribute {name!r}")
