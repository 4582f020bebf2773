"""Healthy programs that look as if they had a fault: what the doctor must be quiet about.

`PROGRAMS` lists them. Each is a function that returns a `TrainingProgram`, the same each time, with the ids that it
tempts to and the held-out score that it must reach; `check.py` trains them, `run.py` lets the doctor look at them.
"""

from calibration import _dense, _images, _numbers, _rows, _sequences, _steps, _unusual  # noqa: F401 - they enter the list
from calibration._healthy import FOUND, Healthy

PROGRAMS: tuple[Healthy, ...] = tuple(FOUND)

__all__ = ["PROGRAMS", "Healthy"]
