"""Healthy programs that look as if they had a fault: what the doctor must be quiet about; and programs with a fault.

`PROGRAMS` lists the healthy ones. Each is a function that returns a `TrainingProgram`, the same each time, with the ids
that it tempts to and the held-out score that it must reach; `check.py` trains them, `run.py` lets the doctor look at
them. `FAULTY` lists programs with one fault each, for `run_faulty.py`.
"""

from calibration import (  # noqa: F401 - they enter the list  # noqa: F401 - likewise
    _dense,
    _faults_of_data,
    _faults_of_losses,
    _faults_of_models,
    _faults_of_steps,
    _images,
    _numbers,
    _rows,
    _sequences,
    _steps,
    _unusual,
)
from calibration._faulty import FAULTY, Faulty
from calibration._healthy import FOUND, Healthy

PROGRAMS: tuple[Healthy, ...] = tuple(FOUND)

__all__ = ["FAULTY", "PROGRAMS", "Faulty", "Healthy"]
