"""`verax diagnose`: what is wrong with a training program or a run, why, and which repair helps?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.cli._diagnosis import made, say_diagnosis
from verax.cli._file import load_experiment
from verax.cli._runs import expect
from verax.cli._say import waiting


def diagnose(
    target: Path,
    /,
    *,
    seconds: float = 20.0,
    fix_seconds: float = 60.0,
    json: bool = False,
    all: bool = False,
    **hyperparameters: Any,
) -> int:
    """Says what is wrong with an experiment or a run, why, and what to change.

    It looks for faults as verax check does, reads a training run, and tries repairs where these decide. Of a run folder
    the history is read; a file's experiment is trained for this. Exits with 1 if something does harm.

    Args:
      target: the Python file that defines experiment(...), or a run folder.
      seconds: for looking, with the training run.
      fix_seconds: for repairs besides; 0 tries none.
      json: prints the diagnosis as JSON on stdout.
      all: shows remarks, and every probe with what it compared.
      **hyperparameters: for the experiment in a file.
    """
    if expect(target, "run", "experiment") == "run":
        from verax.train import load_run

        with waiting("loading the run"):
            what: Any = load_run(target)
    else:
        what = made(load_experiment(target), hyperparameters)
    from verax import doctor

    with waiting("diagnosing"):
        found = doctor.diagnose(what, seconds=seconds, fix_seconds=fix_seconds)
    return say_diagnosis(found, str(target), json, all)
