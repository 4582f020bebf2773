"""Seeds and folds as lanes: many trainings of one experiment as one compiled program."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verax.data import Dataset, load
from verax.data._folds import Fold, as_folds, fold_datasets, table
from verax.data._folds import folds as divide_into_folds
from verax.findings import InputError
from verax.train._experiment import Experiment, resolve
from verax.train._fingerprint import fingerprint
from verax.train._folder import check_free, save_run
from verax.train._lanes_loop import train_session
from verax.train._lanes_session import basis, fitted, lane_plan, prepare_lanes
from verax.train._run import Run
from verax.train._runs import Runs


def train_lanes(
    experiment: Experiment | Callable[..., Experiment],
    *,
    seeds: int | Sequence[Any] | None = None,
    folds: int | Sequence[Any] | None = None,
    out: str | Path | None = None,
    initial: Any = None,
    **hyperparameters: Any,
) -> Runs:
    """Trains an experiment with several seeds, or on several folds of its data, all in one compiled program.

    Each lane is what the single run with its seed or its data would have been, up to the rounding of float32 in another
    order: the same first weights, order of the examples and noise, its own early stopping. A lane that stops early or
    is no longer finite leaves the others alone.

    Args:
      experiment: a finished Experiment, or the function that makes one.
      seeds: how many, from 0, or a list of them.
      folds: how many parts to hold out in turn (`vx.data.folds`), or a list of the row numbers `(train, test)` or
        `(train, validation, test)` in the data as one table. Each fold fits its preprocessing to its own train rows.
      out: a folder to make, with a run folder for each lane and `lanes.json`.
      initial: weights that all lanes start from.
      **hyperparameters: for the function.

    Returns:
      The runs; `runs.summary()` has the mean of each metric with its interval.

    Raises:
      InputError: for anything that is wrong with seeds, folds, data, hyperparameters or shapes, before the first step.

    Example:
      >>> import optax
      >>> inputs = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
      >>> network = (lambda key, x: jnp.zeros((1, 1)), lambda params, x: x @ params)
      >>> line = vx.Experiment(
      ...     network, vx.regression(), optax.sgd(0.3), {"train": (inputs, 2 * inputs[:, 0])}, batch_size=8, epochs=20
      ... )
      >>> runs = train_lanes(line, seeds=2)
      >>> [round(float(run.variables.params[0, 0]), 1) for run in runs]
      [2.0, 2.0]
    """
    if (seeds is None) == (folds is None):
        raise InputError(f"give seeds or folds, one of them, got seeds={seeds!r}, folds={folds!r}.")
    if out is not None:
        check_free(out)
    if folds is None:
        runs = _train_seeds(experiment, _seeds(seeds), initial, hyperparameters)
    else:
        runs = _train_folds(resolve(experiment, hyperparameters), folds, initial)
    if out is not None:
        save_runs(out, experiment, runs)
    return runs


def _seeds(given: Any) -> list[int]:
    """Returns seeds as a list of ints."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        given = range(int(given))
    if isinstance(given, str | bool) or not isinstance(given, Sequence | np.ndarray):
        raise InputError(f"seeds must be a number of seeds or a list of them, got {given!r}.")
    seeds: list[Any] = [int(each) if isinstance(each, np.integer) else each for each in given]
    if not seeds:
        raise InputError("seeds must be at least one, got none.")
    if any(isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < 2**32 for each in seeds):
        raise InputError(f"seeds must be whole numbers in [0, 2**32), got {seeds!r}.")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds must differ, got {seeds!r}: the same seed twice is the same run twice.")
    return seeds


def _train_seeds(experiment: Any, seeds: list[int], initial: Any, hyperparameters: dict[str, Any]) -> Runs:
    if "seed" in hyperparameters:
        raise InputError(f"give seed or seeds, not both, got seed={hyperparameters['seed']!r} and seeds={seeds!r}.")
    made = [resolve(experiment, {**hyperparameters, "seed": seed}) for seed in seeds]
    if not isinstance(experiment, Experiment):
        _check_alike(experiment, made)
    dataset = load(made[0].data)
    base = basis(made[0], dataset)
    first = fitted(made[0], dataset)
    made = [replace(each, network=first.network, objective=first.objective, optimizer=first.optimizer) for each in made]
    plan = lane_plan(first, base, dataset.examples("train").size)
    session = prepare_lanes(made, [dataset] * len(made), [plan] * len(made), base, initial)
    return Runs(train_session(session))


def _check_alike(function: Callable[..., Experiment], made: Sequence[Experiment]) -> None:
    """Refuses lanes of which the seed changes more than weights, noise and order.

    A function that does not take the seed cannot do so, and is not traced again for it.
    """
    parameters = inspect.signature(function).parameters.values()
    takes_it = any(each.name == "seed" or each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    if not takes_it:
        return
    digests = {fingerprint(replace(each, seed=0)) for each in made}
    if len(digests) > 1:
        raise InputError(
            "lanes share one program and one data set, but the experiment's own use of `seed` changes its data or its "
            "program. Let it change weights, noise and order alone (leave `seed` to Verax), or train the seeds one by "
            "one."
        )


def _train_folds(experiment: Experiment, given: Any, initial: Any) -> Runs:
    dataset = load(experiment.data)
    divisions = _divisions(experiment, dataset, given)
    datasets = fold_datasets(dataset, divisions)
    base = basis(experiment, datasets[0])
    experiments = [fitted(replace(experiment, data=each), each) for each in datasets]
    plans = {size: lane_plan(experiments[0], base, size) for size in {each.examples("train").size for each in datasets}}
    groups: dict[Any, list[int]] = {}
    for lane, each in enumerate(datasets):
        groups.setdefault(_shape(experiment, each, plans[each.examples("train").size]), []).append(lane)
    runs: dict[int, Run] = {}
    for lanes in groups.values():  # lanes whose steps have other shapes need a program of their own
        own = [datasets[lane] for lane in lanes]
        sizes = [each.examples("train").size for each in own]
        session = prepare_lanes(
            [experiments[lane] for lane in lanes], own, [plans[each] for each in sizes], base, initial
        )
        runs |= dict(zip(lanes, train_session(session), strict=True))
    return Runs(tuple(runs[lane] for lane in range(len(datasets))), tuple(divisions))


def _divisions(experiment: Experiment, dataset: Dataset, given: Any) -> list[Fold]:
    if isinstance(given, int | np.integer):
        return divide_into_folds(experiment.data, int(given))
    return as_folds(given, table(dataset).size)


def _shape(experiment: Experiment, dataset: Dataset, plan: Any) -> tuple[Any, ...]:
    """Returns what must be equal for two lanes to share a program: the shapes of their batches."""
    validation = dataset.parts["validation"].size if "validation" in dataset.splits else 0
    counted = validation if not experiment.objective.per_example else bool(validation)
    return plan.equal_steps, plan.rest, counted


def save_runs(folder: str | Path, experiment: Any, runs: Runs) -> Path:
    """Writes a run folder for each lane (`seed-0`, ... or `fold-0`, ...) and `lanes.json`, and returns the folder.

    The row numbers of folds are in `folds.npz`: `train-0`, `test-0` and so on.

    Args:
      folder: to be made.
      experiment: the function that made the experiment, for the snapshot of its source.
      runs: what it came to.

    Raises:
      InputError: if the folder exists and is not empty.
    """
    folder = check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in zip(runs.names, runs.runs, strict=True):
        # A fold's data are not what the function gives, so its run cannot be made again from the function alone.
        save_run(folder / name.replace(" ", "-"), run.experiment if runs.folds else experiment, run)
    if runs.folds:
        rows = {
            f"{part}-{number}": each
            for number, fold in enumerate(runs.folds)
            for part, each in fold._asdict().items()
            if len(each)
        }
        np.savez_compressed(folder / "folds.npz", allow_pickle=False, **rows)
    (folder / "lanes.json").write_text(json.dumps(runs.to_json(), indent=1, allow_nan=False) + "\n")
    return folder
