"""`vx.tune`: proposals, planned into programs, trained by an executor, kept in a storage; the winner trained anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from verax.findings import InputError
from verax.train import Experiment
from verax.tune._check import check_given
from verax.tune._ended import ended
from verax.tune._given import Given
from verax.tune._halving import Halving
from verax.tune._kept import kept_in
from verax.tune._plan import Plan
from verax.tune._running import Running
from verax.tune._search import BY_MODEL, check_search
from verax.tune._space import checked_space, combinations_of, is_grid
from verax.tune._study import Study, Trial
from verax.tune.executors import executor_of

LARGEST_GRID = 100_000  # combinations that are all tried, unless fewer trials are asked for
UNBOUNDED = 64  # trials of a study of intervals, where nobody says how many


def tune(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Any],
    *,
    search: str | None = None,
    trials: int | None = None,
    generation: int = 8,
    objective: str = "validation/loss",
    pruner: Halving | None = None,
    executor: Any = "local",
    storage: str | Path | None = None,
    name: str = "study",
    seed: int = 0,
    seeds: int = 1,
    retrain: int = 5,
    **hyperparameters: Any,
) -> Study:
    """Returns the study of a space: validation chooses among the trials, and the winner is trained anew.

    Hyperparameters that can be inputs of a compiled program are found by tracing, and all trials that share a program
    are trained together. The winner is then trained alone with fresh seeds and scored once on the test split.

    Args:
      experiment: the function from hyperparameters to an Experiment.
      space: for each hyperparameter a list of values, `vx.uniform(low, high)`, `vx.log_uniform`, `vx.int_uniform`, or a
        function from the hyperparameters chosen before it to one of these, or to None where it does not apply.
      search: `grid`, `random`, `quasi-random` (Sobol'), `tpe` or `gp` (both of Optuna; `gp` needs PyTorch). By default
        `grid` where every hyperparameter has a list, else `tpe`.
      trials: how many; of a grid all where it is not given, else 64.
      generation: how many trials `tpe` and `gp` propose before they see their results: fewer are chosen better, more
        share their programs.
      objective: what chooses: `validation/loss`, `validation/accuracy` or another metric of the task.
      pruner: `vx.Halving()` ends bad trials early; None trains all to the end.
      executor: `local`, `processes`, `processes:N`, `ray`, `ray:HOST:PORT` or `ray://HOST:PORT`: where tasks run. All
        give the same trials (`vx.tune.executors`).
      storage: a folder as a Path, for a `study.db` in it, or a URL of Optuna's storage (`sqlite:///study.db`,
        `journal:study.log`, `postgresql+psycopg://...`): there the study is kept, and goes on after it was killed. None
        keeps it in memory.
      name: of the study in the storage.
      seed: of the study: of its proposals, and the first seed of each trial.
      seeds: trainings of each trial; its value is their mean.
      retrain: fresh seeds for the winner, at least 2 for an interval; 0 leaves it as it is.
      **hyperparameters: held fixed in all trials.

    Raises:
      InputError: if a hyperparameter is unknown, has no values, changes nothing, the data has no validation split, or
        a grid has over 100,000 combinations and `trials` is not given; all before the first trial. Also if no trial
        stayed finite.

    Example:
      >>> import optax
      >>> inputs = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
      >>> data = {"train": (inputs[::2], inputs[::2, 0]), "validation": (inputs[1::2], inputs[1::2, 0])}
      >>> network = (lambda key, x: jnp.zeros((1, 1)), lambda params, x: x @ params)
      >>> def line(rate: float = 0.1) -> vx.Experiment:
      ...     return vx.Experiment(network, vx.regression(), optax.sgd(rate), data, epochs=3)
      >>> study = tune(line, {"rate": [0.01, 0.3]}, retrain=0)
      >>> dict(study.best.hyperparameters)
      {'rate': 0.3}
    """
    steps = events(
        experiment, space, search=search, trials=trials, generation=generation, objective=objective, pruner=pruner,
        executor=executor, storage=storage, name=name, seed=seed, seeds=seeds, retrain=retrain, **hyperparameters,
    )  # fmt: skip
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def events(
    experiment: Callable[..., Experiment],
    space: Mapping[str, Any],
    *,
    search: str | None = None,
    trials: int | None = None,
    generation: int = 8,
    objective: str = "validation/loss",
    pruner: Halving | None = None,
    executor: Any = "local",
    storage: str | Path | None = None,
    name: str = "study",
    seed: int = 0,
    seeds: int = 1,
    retrain: int = 5,
    **hyperparameters: Any,
) -> Generator[Plan | Trial, None, Study]:
    """Yields each plan before it is run and each trial as it ends, and returns the study: `tune` to be watched.

    A study that goes on yields its earlier trials first.
    """
    clock = time.perf_counter()
    space = checked_space(space)
    search = search or ("grid" if is_grid(space) else "tpe")
    check_search(search)
    if trials is not None:
        _check_numbers(trials=(trials, 1))
    _check_numbers(generation=(generation, 1), seeds=(seeds, 1), retrain=(retrain, 0), seed=(seed, 0))
    if pruner is not None and not isinstance(pruner, Halving):
        raise InputError(f"pruner must be vx.Halving() or None, got {pruner!r}.")
    both = set(space) & set(hyperparameters)
    if both:
        raise InputError(f"{', '.join(sorted(both))} cannot be searched and held fixed at once.")
    total = number_of_trials(space, search, trials)
    size = generation if search in BY_MODEL else None  # the others propose all trials at once
    given = Given(experiment, space, search, total, size, objective, pruner, seed, seeds, hyperparameters)
    runs_tasks = executor_of(executor, experiment)
    check_given(given)
    with kept_in(given, storage, name) as kept, runs_tasks as runner:
        running = Running(given, runner, kept)
        yield from running.events()
    return ended(running, retrain, time.perf_counter() - clock, executor)


def number_of_trials(space: Mapping[str, Any], search: str | None, trials: int | None) -> int:
    """Returns how many trials a study has: of a grid all combinations if no number is given, else 64.

    Raises:
      InputError: if a grid has more combinations than fit into memory, and no number is given.
    """
    space = checked_space(space)
    if (search or ("grid" if is_grid(space) else "tpe")) != "grid":
        return trials or UNBOUNDED
    count = combinations_of(space, trials or LARGEST_GRID + 1)
    if trials is None and count > LARGEST_GRID:
        raise InputError(
            f"a grid must have at most {LARGEST_GRID:,} combinations, got {count:,} or more. Give the number of "
            "trials, or another search: random, quasi-random or tpe."
        )
    return min(trials or count, count)


def _check_numbers(**given: tuple[Any, int]) -> None:
    for name, (value, least) in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}.")
