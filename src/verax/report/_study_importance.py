"""Which hyperparameters matter: Optuna's functional analysis of variance over the complete trials."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from verax.plot._trials import Content, Scale, complete, scales
from verax.tune._search import quiet_optuna

MOST = 200  # complete trials that are looked at: the time grows with the square
FEWEST = 8  # complete trials, and two for each hyperparameter: of fewer a forest of trees says nothing


class Importance(NamedTuple):
    """What explains the objective.

    Attributes:
      shares: of the variation, by hyperparameter, the largest first; they sum to 1. Empty if not computed.
      note: over what it was computed and what was left out, or why it was not computed.
    """

    shares: dict[str, float]
    note: str


def importance(content: Content) -> Importance:
    """Returns the share of the objective's variation that each hyperparameter explains, alone.

    Trials that were not trained to their end do not count: their values are of other epochs. Of more than 200 others,
    200 are taken at equal distances between the best and the worst. A positive objective that spans more than a factor
    of 30 is taken by its logarithm, or a few bad trials would be all that is explained. Values are given to Optuna by
    their place along the axis, so that a logarithmic interval weighs its decades equally.

    References:
      Hutter, Hoos and Leyton-Brown (2014), "An Efficient Approach for Assessing Hyperparameter Importance".
    """
    trials, known = complete(content), scales(content)
    every = len(trials)
    trials = [trials[at * every // MOST] for at in range(MOST)] if every > MOST else trials
    told = [scale for scale in known if all(scale.name in trial["hyperparameters"] for trial in trials)]
    varied = [scale for scale in told if len({repr(trial["hyperparameters"][scale.name]) for trial in trials}) > 1]
    if len(known) < 2:
        return Importance({}, "Not computed: there is a single hyperparameter.")
    least = max(FEWEST, 2 * len(varied))
    if len(trials) < least:
        return Importance({}, f"Not computed: {len(trials)} complete trials are too few; it takes {least}.")
    if len(varied) < 2:
        return Importance({}, "Not computed: fewer than two hyperparameters vary among all complete trials.")
    values = [float(trial["value"]) for trial in trials]
    if min(values) == max(values):
        return Importance({}, "Not computed: all complete trials have the same value.")
    log = min(values) > 0 and max(values) / min(values) > 30
    left_out = ", ".join(scale.name for scale in known if scale not in varied)
    what = f"the logarithm of {content['objective']}" if log else content["objective"]
    note = f"How much of the variation of {what} each explains alone, over {len(trials)}"
    note += f"{f' of {every}' if every > MOST else ''} complete trials (fANOVA)."
    note += f" Left out, for they do not vary or not all trials have them: {left_out}." if left_out else ""
    return Importance(_by_optuna(varied, trials, [math.log(value) if log else value for value in values]), note)


def _by_optuna(varied: list[Scale], trials: list[Content], values: list[float]) -> dict[str, float]:
    import optuna

    kinds: dict[str, Any] = {scale.name: _distribution(scale) for scale in varied}
    with quiet_optuna():
        study = optuna.create_study()
        for trial, value in zip(trials, values, strict=True):
            given = {scale.name: _param(scale, trial["hyperparameters"][scale.name]) for scale in varied}
            study.add_trial(optuna.trial.create_trial(params=given, distributions=kinds, value=value))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _distribution(scale: Scale) -> Any:
    import optuna

    if scale.values is not None and math.isnan(scale.low):
        return optuna.distributions.CategoricalDistribution([repr(value) for value in scale.values])
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _param(scale: Scale, value: Any) -> str | float:
    if scale.values is not None and math.isnan(scale.low):
        return repr(value)
    return min(max(scale.place(value), 0.0), 1.0)
