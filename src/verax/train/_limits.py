"""What the items of a certificate are held against, unless the experiment or the command line says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verax.findings import InputError, suggested

# Each default with its reason:
DEFAULTS: dict[str, float] = {
    "calibration_error": 0.05,  # a stated 90 % may mean 85 to 95: about what a reader of a probability takes it for
    "latency_p99_seconds": 0.1,  # one example; what a person waits for without noticing (Nielsen, 1993)
    "inference_peak_bytes": 2 * 2**30,  # the whole process; what the smallest common server has to give
    "training_peak_bytes": 0.0,  # 0 stands for the memory of the machine that certifies: what needs more swaps
}


def chosen_limits(*overrides: Mapping[str, float | int]) -> dict[str, float]:
    """Returns the defaults with overrides applied in order.

    Raises:
      InputError: if a name is unknown, or a limit is not a positive number.
    """
    limits = dict(DEFAULTS, training_peak_bytes=float(machine_bytes()))
    for each in overrides:
        check_limits(each)
        limits |= {name: float(value) for name, value in each.items()}
    return limits


def check_limits(limits: Any) -> None:
    """Raises an InputError unless limits are positive numbers by known names."""
    if not isinstance(limits, Mapping):
        raise InputError(f"limits must be a dict of numbers by name, got {limits!r}. {suggested('', DEFAULTS)}")
    for name, value in limits.items():
        if name not in DEFAULTS:
            raise InputError(f"unknown limit {name!r}. {suggested(name, DEFAULTS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise InputError(f"limit {name} must be a positive number, got {value!r}.")


def machine_bytes() -> int:
    """Returns the physical memory of this machine, in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)
