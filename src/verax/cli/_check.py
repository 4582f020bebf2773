"""`verax check`: is an experiment sound, before it is trained?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.cli._diagnosis import made, say_diagnosis
from verax.cli._file import load_experiment
from verax.cli._say import waiting


def check(
    file: Path, /, *, seconds: float = 20.0, json: bool = False, all: bool = False, **hyperparameters: Any
) -> int:
    """Looks for faults in an experiment without training it: data, loss, gradients, modes, randomness, schedule.

    The file defines a function experiment(...) that returns a vx.Experiment, or a vx.TrainingProgram: the parts of a
    training loop of your own. Exits with 1 if something does harm.

    Args:
      file: the Python file.
      seconds: after which no further probe is started.
      json: prints the diagnosis as JSON on stdout.
      all: shows remarks, and every probe with what it compared.
      **hyperparameters: for the experiment.
    """
    experiment = load_experiment(file)
    program = made(experiment, hyperparameters)
    from verax import doctor

    with waiting("checking"):
        found = doctor.check(program, seconds=seconds)
    return say_diagnosis(found, str(file), json, all)
