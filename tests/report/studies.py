"""Studies made by hand: a rate that matters, a width and a name that do not, and every way in which a trial can end."""

import math
import random
from collections.abc import Sequence
from typing import Any

from verax.evaluate import Estimate
from verax.train import lane_estimate
from verax.tune import Study, Trial, Winner

OBJECTIVE = "validation/loss"


def a_trial(number: int, setting: dict[str, Any], value: float = 1.0, state: str = "complete", **given: Any) -> Trial:
    """A trial whose loss falls to its value within six epochs."""
    value = float(value)
    last = {"pruned": 2, "not finite": 3, "not trained": 0}.get(state, 6)
    curve = [value + 1.5 * math.exp(-epoch) for epoch in range(last)]
    reasons = {
        "complete": "all 6 epochs were trained",
        "pruned": "not among the best of 40 after 2 epochs",
        "not finite": "not finite by step 12",
        "not trained": "not trained: width must be positive",
    }
    fields = {
        "seconds": 0.25,
        "stop_reason": reasons[state],
        "values": (value,),
        "curves": {OBJECTIVE: (tuple(curve) + (None,) * (state == "not finite"),)} if last else {},
        "parameters": 1000 * number + 1000,
        "task": "g0-0",
    }
    shown = value if state in ("complete", "pruned") else math.nan
    return Trial(setting, shown, number=number, state=state, **{**fields, **given})  # type: ignore[arg-type]


def of_trials(trials: Sequence[Trial], space: dict[str, Any] | None = None, winner: bool = True, **given: Any) -> Study:
    """A study of trials, the best by loss; its space as in study.json, without what is False."""
    done = [trial for trial in trials if trial.state == "complete"]
    best = min(done, key=lambda trial: trial.value)
    told = {
        name: None if each is None else each if "values" in each else {"log": False, "whole": False, **each}
        for name, each in (space or {}).items()
    }
    facts = {"search": "random", "seed": 0, "seeds": 1, "pruner": None, "executor": "local", "programs": 1}
    facts |= {"search_seconds": 20.0, "compile_seconds": 4.0, "lanes": {"g0-0": len(trials)}, "plan": ["a plan"]}
    if told:
        facts["space"] = told
    return Study(tuple(trials), OBJECTIVE, best, None, a_winner(best, trials) if winner else None, (), facts, **given)


def a_winner(best: Trial, trials: Sequence[Trial], luck: tuple[float, float, float] = (0.005, 0.002, 0.008)) -> Winner:
    """The winner as fresh seeds see it; trials within 0.01 tie, the fewest parameters first."""
    values = tuple(best.value + more for more in (0.004, 0.005, 0.006))
    tied = [trial for trial in trials if trial.state == "complete" and trial.value <= best.value + 0.01]
    numbers = tuple(trial.number for trial in sorted(tied, key=lambda trial: trial.parameters))
    return Winner(
        (5, 6, 7), values, lane_estimate(values), Estimate(*luck), {"accuracy": lane_estimate([0.9, 0.92])}, numbers
    )


def a_study(count: int, names: Sequence[str] = ("learning_rate", "width", "activation"), seed: int = 0) -> Study:
    """Settings at random: the first hyperparameter decides, trials above 0.3 break, the worst are pruned."""
    chosen, trials = random.Random(seed), []
    for number in range(count):
        rate = 10 ** chosen.uniform(-4, 0)
        setting = dict(zip(names, (rate, chosen.choice([16, 32]), chosen.choice(["relu", "tanh"])), strict=True))
        value = 0.1 + 0.1 * (math.log10(rate) + 1.5) ** 2 + 0.005 * chosen.random()
        state = "not finite" if rate > 0.3 else "pruned" if value > 0.5 else "complete"
        trials.append(a_trial(number, setting, value, state))
    if count > 5:
        trials[5] = a_trial(5, {**trials[5].hyperparameters, names[1]: 64}, state="not trained")
    space: dict[str, Any] = {
        names[0]: {"low": 1e-4, "high": 1.0, "log": True},
        names[1]: {"values": [16, 32, 64, 128]},
        names[2]: {"values": ["relu", "tanh"]},
    }
    return of_trials(trials, space)
