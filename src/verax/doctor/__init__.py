"""What is wrong with a training program, why, and what to change: probes, a training run read, repairs tried.

Its names load on first use: the catalogue's pages need no JAX, and `verax explain` shows them at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verax.doctor._check import check, diagnose
    from verax.doctor._diagnosis import Diagnosis
    from verax.doctor._probe import Examined
    from verax.doctor._program import TrainingProgram

__all__ = ["TrainingProgram", "check", "diagnose", "Diagnosis", "Examined"]

_FILES = {
    "TrainingProgram": "_program",
    "check": "_check",
    "diagnose": "_check",
    "Diagnosis": "_diagnosis",
    "Examined": "_probe",
}


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(importlib.import_module(f"verax.doctor.{_FILES[name]}"), name)
    raise AttributeError(f"module 'verax.doctor' has no attribute {name!r}")
