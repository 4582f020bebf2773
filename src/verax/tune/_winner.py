"""The winner trained anew with fresh seeds: what it is worth, what was luck, and which trials are as good."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from verax.evaluate import Estimate
from verax.findings import InputError
from verax.train import Experiment, LaneEstimate, Run, Runs, fit, lane_estimate, resolve, score_lanes, train_lanes
from verax.tune._judge import cost, is_higher_better
from verax.tune._study import Trial, Winner


def retrained(
    function: Callable[..., Experiment],
    best: Trial,
    trials: Sequence[Trial],
    objective: str,
    seeds: Sequence[int],
    fixed: Mapping[str, Any],
    *,
    in_turn: bool = False,
) -> tuple[Run, Winner]:
    """Returns the winner trained alone with the first seed, and what it is worth over all of them.

    The test split is opened once, for all seeds together, and chooses nothing.

    Args:
      function: the user's.
      best: the winner.
      trials: of the study.
      objective: what chose.
      seeds: fresh ones.
      fixed: hyperparameters of all trials.
      in_turn: trains the seeds one after another, where each has data or a program of its own.
    """
    setting = {name: value for name, value in best.hyperparameters.items() if name != "seed"}
    function = _taking_a_seed(function, {**fixed, **setting}, seeds[0])
    run = fit(function, **fixed, **setting, seed=seeds[0])
    if in_turn:
        others = tuple(fit(function, **fixed, **setting, seed=seed) for seed in seeds[1:])
    else:
        others = train_lanes(function, seeds=list(seeds[1:]), **fixed, **setting).runs if len(seeds) > 1 else ()
    runs = Runs((run, *others))
    values = [value_of(each, objective) for each in runs]
    if any(map(math.isnan, values)):
        broken = [seed for seed, value in zip(seeds, values, strict=True) if math.isnan(value)]
        raise InputError(
            f"the winner did not stay finite when trained anew with seed {', '.join(map(str, broken))}: that it did in "
            "the search was luck. Search smaller learning rates."
        )
    value = lane_estimate(values)
    test = score_lanes(runs).metrics if "test" in run.dataset.splits else {}
    return run, Winner(
        tuple(seeds),
        tuple(values),
        value,
        luck(best.value, value, objective),
        test,
        ties(best, trials, value, objective),
    )


def _taking_a_seed(function: Callable[..., Experiment], setting: Mapping[str, Any], seed: int) -> Any:
    """Returns a function that can be given a seed: where it takes any name but cannot do with this one, another."""
    try:
        resolve(function, {**setting, "seed": seed})
    except TypeError:

        def named(**given: Any) -> Experiment:
            return function(**given)

        named.__name__ = getattr(function, "__name__", "experiment")
        names = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in setting]
        named.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
        return named
    return function


def value_of(run: Run, objective: str) -> float:
    """Returns the objective at the epoch whose weights a run uses: its best one if it stops early, else its last."""
    steps, values = run.history.series(objective)
    if not values or run.stop_reason.startswith("not finite"):
        return math.nan
    best = run.best if run.experiment.stopping else None
    return values[-1] if best is None else values[steps.index(int(best.step))]


def luck(seen: float, value: LaneEstimate, objective: str) -> Estimate:
    """Returns by how much the search flattered the winner: what it saw, less what fresh seeds give.

    Example:
      >>> from verax.train import lane_estimate
      >>> print(luck(0.95, lane_estimate([0.90, 0.92, 0.94]), "validation/accuracy"))
      0.0300 [-0.0197, 0.0797]
    """
    sign = 1 if is_higher_better(objective) else -1
    ends = sorted(sign * (seen - end) for end in (value.mean.low, value.mean.high))
    return Estimate(sign * (seen - value.mean.value), *ends)


def ties(best: Trial, trials: Sequence[Trial], value: LaneEstimate, objective: str) -> tuple[int, ...]:
    """Returns the numbers of trials that noise does not tell from the winner, the simplest first.

    A trial's value has the noise of its seeds, estimated from the winner's fresh ones; it ties unless it is worse than
    the 95 % interval of prediction (Student's t) around their mean.

    Args:
      best: the winner.
      trials: of the study.
      value: of the winner with fresh seeds.
      objective: what chose.
    """
    from scipy.special import stdtrit

    reach = 0.0
    if value.lanes > 1:
        seeds = max(len(best.values), 1)
        reach = float(stdtrit(value.lanes - 1, 0.975)) * value.sd * math.sqrt(1 / seeds + 1 / value.lanes)
    worst = cost(value.mean.value, objective) + reach
    tied = [
        trial
        for trial in trials
        if trial.state == "complete" and (trial.value == best.value or cost(trial.value, objective) <= worst)
    ]
    return tuple(trial.number for trial in sorted(tied, key=lambda trial: (trial.parameters, trial.number)))
