"""`verax tune`: every combination of some hyperparameters, chosen by validation, and the winner's run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verax.cli._arguments import parameter_kinds
from verax.cli._file import load_experiment
from verax.cli._runs import new_folder, write_run
from verax.cli._say import say, say_findings, say_json, waiting
from verax.cli._study import read_space
from verax.cli._train import given
from verax.findings import InputError


def tune(
    file: Path,
    /,
    *,
    space: tuple[str, ...] = (),
    metric: str = "validation/loss",
    out: Path | None = None,
    json: bool = False,
    **hyperparameters: Any,
) -> int:
    """Trains every combination of some hyperparameters; validation chooses, and the winner is trained anew and kept.

    The other parameters of the experiment are options too, and hold for all trials. The test split is never touched.
    The run folder of the winner holds study.json, which `verax certify` finds there.

    Args:
      file: the Python file that defines experiment(...).
      space: a hyperparameter with its values, such as learning_rate=1e-3,1e-2; once for each.
      metric: what chooses, such as validation/loss or validation/accuracy.
      out: the folder to write; runs/NAME-DATE-TIME if not given. Nothing is overwritten.
      json: prints the study as JSON on stdout; progress goes to stderr.
      **hyperparameters: for the experiment, the same in all trials.
    """
    experiment = load_experiment(file)
    if not space:
        raise InputError("tune needs at least one --space, such as --space learning_rate=1e-3,1e-2.")
    values = read_space(space, parameter_kinds(experiment))
    folder = new_folder(out, file.stem)
    fixed = {name: value for name, value in given(hyperparameters).items() if name not in values}
    try:
        study = watch_study(experiment, values, metric, fixed, to_stderr=json)
    except KeyboardInterrupt:
        say("Stopped before the end. Nothing was written.", to_stderr=True)
        raise
    write_run(folder, experiment, study.best_run, study)
    failed = say_findings(study.best_run.findings)
    if json:
        say_json({"run": str(folder), **study.to_json()})
    else:
        say(f"best: {setting(study.best.hyperparameters)} ({metric} {study.best.value:.4g})")
        say(f"run: {folder}\nnext: verax certify {folder}")
    return int(failed)


def watch_study(
    experiment: Callable[..., Any],
    space: Mapping[str, Sequence[Any]],
    metric: str = "validation/loss",
    fixed: Mapping[str, Any] | None = None,
    *,
    to_stderr: bool = False,
) -> Any:
    """Returns the study of a space, and prints a row for each trial as it ends."""
    from verax.tune import trials

    total = math.prod(len(values) for values in space.values())
    steps = trials(experiment, space, metric=metric, **(fixed or {}))
    digits, width = len(str(total)), max(len(metric), 8)
    number = 0
    while True:
        try:
            with waiting(f"trial {number + 1} of {total}" if number < total else "training the best setting anew"):
                trial = next(steps)
        except StopIteration as end:
            return end.value
        number += 1
        if number == 1:
            say(f"{'trial':>{2 * digits + 3}}  {metric:>{width}}  seconds  setting", to_stderr=to_stderr)
        ended = "" if math.isfinite(trial.value) else f"  ({trial.stop_reason})"
        row = f"{number:>{digits}} / {total}  {trial.value:>{width}.4g}  {trial.seconds:>7.1f}"
        say(f"{row}  {setting(trial.hyperparameters)}{ended}", to_stderr=to_stderr)


def setting(hyperparameters: Mapping[str, Any]) -> str:
    """Returns hyperparameters as text: `learning_rate=0.001, hidden=64`."""
    return ", ".join(f"{name}={value}" for name, value in hyperparameters.items())
