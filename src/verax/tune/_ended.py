"""The end of a study: its best trial, how it was made, and the winner trained anew."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from verax.findings import InputError
from verax.tune._judge import best_first
from verax.tune._running import Running
from verax.tune._space import described
from verax.tune._study import Study, Trial
from verax.tune._winner import retrained


def ended(ran: Running, retrain: int, seconds: float, executor: Any) -> Study:
    """Returns the study that has run.

    Args:
      ran: to its end.
      retrain: fresh seeds for the winner.
      seconds: that the search took.
      executor: as the user named it.

    Raises:
      InputError: if no trial stayed finite.
    """
    given = ran.given
    trials = [ran.trials[number] for number in sorted(ran.trials)]
    best = trials[best_first([_final(trial) for trial in trials], given.objective)[0]]
    if math.isnan(_final(best)):
        untrained = [each.stop_reason for each in trials if each.state == "not trained"]
        if len(untrained) == len(trials):
            raise InputError(f"none of the {len(trials)} trials could be trained. The first: {untrained[0]}")
        raise InputError(f"none of the {len(trials)} trials stayed finite. Try smaller learning rates.")
    facts = {
        "search": given.search,
        "space": described(given.space),
        "seed": given.seed,
        "generation": given.generation,
        "seeds": given.seeds,
        "pruner": repr(given.pruner) if given.pruner else None,
        "executor": executor if isinstance(executor, str) else type(executor).__name__,
        "plan": [str(plan).splitlines()[0] for plan in ran.plans],
        "programs": sum(result.programs for result in ran.results),
        "compile_seconds": sum(result.compile_seconds for result in ran.results),
        "search_seconds": seconds,
        "peak_bytes": max((result.peak_bytes for result in ran.results), default=0),
        "lanes": {result.name: result.lanes for result in sorted(ran.results, key=lambda each: each.name)},
    }
    verdicts = ran.plans[0].verdicts if ran.plans else ()
    study = Study(tuple(trials), given.objective, best, None, None, verdicts, facts)
    if not retrain:
        return study
    used = [seed for trial in trials for seed in given.seeds_of(trial.hyperparameters)]
    fresh = [max(used) + 1 + place for place in range(retrain)]
    in_turn = retrain > 1 and given.seed_is_own
    run, winner = retrained(given.function, best, trials, given.objective, fresh, given.fixed, in_turn=in_turn)
    return replace(study, best_run=run, winner=winner)


def _final(trial: Trial) -> float:
    """Returns a trial's value; that of one that was not trained to its end does not compare."""
    return trial.value if trial.state == "complete" else math.nan
