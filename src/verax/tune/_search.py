"""Which settings are tried: proposals as a function of the study's seed, the trial's number and earlier results."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from verax.findings import InputError
from verax.tune._space import Interval, Space, drawn, grid

SEARCHES = ("grid", "random", "quasi-random", "tpe", "gp")
BY_MODEL = ("tpe", "gp")
AT_RANDOM = 8  # trials before `tpe` has a model, which says nothing of fewer
DIGITS = 6  # to which scores are rounded before a model sees them: lanes differ in the last digits of float32


class Told(NamedTuple):
    """An earlier trial, as a model sees it.

    Attributes:
      setting: what was tried.
      value: what came of it, less is better; not finite where it did not stay so or could not be trained.
      pruned: after how many epochs it was left behind, with the value that it had then; None where it was not.
    """

    setting: Mapping[str, Any]
    value: float
    pruned: int | None = None


def proposals(
    space: Space, search: str, seed: int, first: int, count: int, told: Sequence[Told] = ()
) -> list[dict[str, Any]]:
    """Returns the settings of the trials `first`, `first + 1`, ...

    Those of a grid, at random and quasi-random depend on seed and number alone; those of a model on seed, `first` and
    the results of all earlier generations, so that the same study is the same however it was run.

    Args:
      space: checked.
      search: one of `SEARCHES`.
      seed: of the study.
      first: number of the first trial, from 0.
      count: how many; of a grid fewer where it ends.
      told: results of the trials before `first`, in the order of their numbers; for `tpe` and `gp`.

    Raises:
      InputError: if the search is unknown, or a grid is asked of intervals.
      ImportError: if `gp` lacks PyTorch, which Optuna's Gaussian process is written in.
    """
    if search == "grid":
        return list(itertools.islice(grid(space), first, first + count))
    if search == "random":
        return [_random(space, seed, number) for number in range(first, first + count)]
    if search == "quasi-random":
        return _quasi_random(space, seed, first, count)
    return _by_model(space, search, seed, first, count, told)


def check_search(search: str) -> None:
    """Raises an InputError if a search is unknown."""
    if search not in SEARCHES:
        raise InputError(f"search must be one of {', '.join(SEARCHES)}, got {search!r}.")


def _random(space: Space, seed: int, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, number])
    return drawn(space, lambda _, values: _at(values, rng.random()))


def _quasi_random(space: Space, seed: int, first: int, count: int) -> list[dict[str, Any]]:
    """Returns points of a scrambled Sobol' sequence (Owen 1998), one coordinate a hyperparameter."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The balance properties of Sobol")  # of a power of two points
        if first:
            sequence.fast_forward(first)
        points = sequence.random(count)
    names = list(space)
    return [
        drawn(space, lambda name, values, point=point: _at(values, float(point[names.index(name)])))  # type: ignore[misc]
        for point in points
    ]


def _at(values: list[Any] | Interval, share: float) -> Any:
    if isinstance(values, Interval):
        return values.at(share)
    return values[min(int(share * len(values)), len(values) - 1)]


def _by_model(
    space: Space, search: str, seed: int, first: int, count: int, told: Sequence[Told]
) -> list[dict[str, Any]]:
    """Returns what a sampler of Optuna asks for after the told trials, all of it before any result of its own.

    The sampler is made anew for each generation and knows its seed, so nothing depends on when results came in.
    """
    import optuna

    generation_seed = int(np.random.SeedSequence([seed, first]).generate_state(1)[0])
    if search == "gp":
        _need_torch()
        sampler: Any = optuna.samplers.GPSampler(seed=generation_seed, deterministic_objective=False)
    else:
        sampler = optuna.samplers.TPESampler(seed=generation_seed, constant_liar=True, n_startup_trials=AT_RANDOM)
    ended = [each.value for each in told if each.pruned is None and math.isfinite(each.value)]
    worst = max(ended, default=0.0) if search == "gp" else None
    with quiet_optuna():
        study = optuna.create_study(sampler=sampler)
        for each in told:
            study.add_trial(as_trial(space, each, worst))
        return [_asked(space, study.ask()) for _ in range(count)]


def _asked(space: Space, trial: Any) -> dict[str, Any]:
    def choose(name: str, values: list[Any] | Interval) -> Any:
        told = told_name(space, name, values)
        if isinstance(values, Interval):
            suggest = trial.suggest_int if values.whole else trial.suggest_float
            return suggest(told, values.low, values.high, log=values.log)
        return values[trial.suggest_categorical(told, list(range(len(values))))]

    return drawn(space, choose)


def as_trial(space: Space, told: Told, worst: float | None) -> Any:
    """Returns an ended trial of Optuna as `_by_model` reads it: values of lists are their places in the list.

    Args:
      space: checked.
      told: what came of it.
      worst: the value of one that is not finite; None tells it as pruned without a value. That is worse than all others
        to TPE, which takes a complete one for better than a pruned one whatever their values; a Gaussian process knows
        complete ones only.
    """
    import optuna

    params: dict[str, Any] = {}
    distributions: dict[str, Any] = {}

    def choose(name: str, values: list[Any] | Interval) -> Any:
        value, known = told.setting[name], told_name(space, name, values)
        if isinstance(values, Interval):
            distributions[known], params[known] = distribution_of(values), value
        else:
            distributions[known] = optuna.distributions.CategoricalDistribution(list(range(len(values))))
            params[known] = [repr(each) for each in values].index(repr(value))
        return value

    drawn(space, choose)
    value = told.value if math.isfinite(told.value) else worst
    rounded = None if value is None else float(f"{value:.{DIGITS}g}")
    if rounded is not None and told.pruned is None:
        return optuna.trial.create_trial(params=params, distributions=distributions, value=rounded)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.PRUNED,
        params=params,
        distributions=distributions,
        intermediate_values={} if rounded is None or told.pruned is None else {told.pruned: rounded},
    )


def told_name(space: Space, name: str, values: list[Any] | Interval) -> str:
    """Returns the name by which Optuna knows a hyperparameter.

    Optuna wants the same choices whenever it meets a name, so where they depend on what was chosen before each set of
    them has a name of its own.

    Example:
      >>> told_name({"width": lambda chosen: [8, 16]}, "width", [8, 16])
      'width of [8, 16]'
    """
    if not callable(space[name]):
        return name
    if isinstance(values, Interval):  # of intervals it lets the ends differ
        return name + (" (whole)" if values.whole else "") + (" (log)" if values.log else "")
    return f"{name} of {values}"


def distribution_of(interval: Interval) -> Any:
    """Returns an interval as Optuna has it."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if interval.whole:
        return IntDistribution(int(interval.low), int(interval.high), log=interval.log)
    return FloatDistribution(interval.low, interval.high, log=interval.log)


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keeps Optuna from logging every trial, and from warning of what is experimental in it."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "search='gp' uses Optuna's Gaussian process, which needs PyTorch: pip install torch. search='tpe' does not."
        ) from error
