"""`verax gradcheck`: are the automatic gradients of an experiment those of its objective?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.cli._file import load_experiment
from verax.cli._say import say, say_json, waiting
from verax.cli._train import given


def gradcheck(file: Path, /, *, rows: int = 16, json: bool = False, **hyperparameters: Any) -> int:
    """Compares the automatic gradients of an experiment's objective with finite differences in float64, leaf by leaf.

    The objective is the experiment's own, at its first parameters, on some rows of its training split. Every custom_vjp
    and custom_jvp on the way is checked by itself too. Exits with 1 if a gradient is wrong.

    Args:
      file: the Python file that defines experiment(...).
      rows: of the training split.
      json: prints the report as JSON on stdout.
      **hyperparameters: for the experiment.
    """
    experiment = load_experiment(file)
    from verax.debug import check_experiment_gradients

    with waiting("checking gradients"):
        report = check_experiment_gradients(experiment, rows=rows, **given(hyperparameters))
    if json:
        say_json(report.to_json())
    else:
        say(str(report))
    return int(not report.passed)
