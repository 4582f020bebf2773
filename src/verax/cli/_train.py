"""`verax train`: trains the experiment that a file defines, and writes its run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from verax.cli._file import load_experiment
from verax.cli._progress import numbers, watch
from verax.cli._runs import new_folder, on_disk
from verax.cli._say import say, say_findings, say_json, seconds_text, waiting
from verax.cli._trackers import Trackers


def train(
    file: Path,
    /,
    *,
    out: Path | None = None,
    seeds: int | None = None,
    folds: int | None = None,
    tensorboard: bool = False,
    wandb: str | None = None,
    mlflow: str | None = None,
    json: bool = False,
    **hyperparameters: Any,
) -> int:
    """Trains the experiment that a file defines, and writes its run folder.

    The file defines a function experiment(...) that returns a vx.Experiment; its parameters are options here.
    `verax train FILE.py --help` lists them.

    Args:
      file: the Python file.
      out: the folder to write; runs/NAME-DATE-TIME if not given. Nothing is overwritten.
      seeds: trains with seeds 0, 1, ... in one program: a folder with a run for each, and the mean with its interval.
      folds: holds each of so many parts of the rows out in turn, all in one program: likewise, scored on those rows.
      tensorboard: writes TensorBoard event files into the run folder while it trains.
      wandb: a project at Weights & Biases to write the run to as it trains (WANDB_MODE=offline sends nothing).
      mlflow: a tracking server or store of MLflow that the run is written to, such as sqlite:///mlflow.db.
      json: prints a summary as JSON on stdout; progress goes to stderr.
      **hyperparameters: for the experiment.
    """
    from verax.train import records

    trackers = Trackers(tensorboard, wandb, mlflow)
    trackers.check()
    experiment = load_experiment(file)
    folder = new_folder(out, file.stem)
    if seeds is not None or folds is not None:
        return _train_lanes(experiment, folder, seeds, folds, trackers, json, given(hyperparameters))
    steps = trackers.follow(records(experiment, out=folder, **given(hyperparameters)), folder)
    try:
        run = watch(steps, to_stderr=json)
    except KeyboardInterrupt:
        steps.close()  # the trackers say that the run was cut off
        say(f"Stopped before the end. {on_disk(folder)} There are no weights to use.", to_stderr=True)
        raise
    failed = say_findings(run.findings)
    last = last_values(run.history)
    if json:
        say_json(
            {
                "run": str(folder),
                "stop_reason": run.stop_reason,
                "metrics": last,
                "hyperparameters": dict(run.experiment.hyperparameters),
                "findings": [str(finding) for finding in run.findings],
                **run.facts,
            }
        )
    else:
        facts = run.facts
        say(f"{run.network.name}, {facts['parameters']:,} parameters: {run.stop_reason}; {numbers(last)}")
        say(
            f"compiled in {seconds_text(facts['compile_seconds'])}, trained in {seconds_text(facts['train_seconds'])} "
            f"({facts['examples_per_second']:,.0f} examples/s)"
        )
        say(f"run: {folder}\nnext: verax certify {folder}")
    return int(failed)


def _train_lanes(
    experiment: Callable[..., Any],
    folder: Path,
    seeds: int | None,
    folds: int | None,
    trackers: Trackers,
    json: bool,
    hyperparameters: dict[str, Any],
) -> int:
    """Trains all seeds or folds in one program, and writes a folder with a run for each of them."""
    from verax.train import score_lanes
    from verax.train._lanes import train_lanes

    with waiting(f"training {seeds} seeds in one program" if folds is None else f"training {folds} folds"):
        runs = train_lanes(experiment, seeds=seeds, folds=folds, out=folder, **hyperparameters)
    folders = [folder / name.replace(" ", "-") for name in runs.names]
    for run, own in zip(runs, folders, strict=True):
        for _ in trackers.follow((record for record in run.history), own):
            pass
    failed = say_findings({str(finding): finding for run in runs for finding in run.findings}.values())
    held_out = score_lanes(runs, "test") if runs.folds and not failed else None
    if json:
        scores = {"held_out": held_out.to_json()} if held_out is not None else {}
        say_json({"run": str(folder), **runs.to_json(), **scores})
    else:
        say(str(runs.summary()))
        if held_out is not None:
            say(str(held_out))
        say(f"runs: {folder}\nnext: verax {'show' if runs.folds else 'certify'} {folders[0]}")
    return int(failed)


def given(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the hyperparameters without a seed that was not given."""
    return {name: value for name, value in hyperparameters.items() if name != "seed" or value is not None}


def last_values(history: Any) -> dict[str, float]:
    """Returns the values of the last epoch, or an empty dict."""
    epochs = [record for record in history if record.kind == "epoch"]
    return dict(epochs[-1].values) if epochs else {}
