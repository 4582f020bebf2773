"""What cannot be searched, refused before the first trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from verax.data import load
from verax.findings import InputError
from verax.network import as_network
from verax.train import EarlyStopping, Experiment, base_key, fingerprint
from verax.train._tracing_errors import explained
from verax.tune._given import Given
from verax.tune._space import one_of_each


def check_given(given: Given) -> None:
    """Refuses what cannot be searched.

    Raises:
      InputError: if no setting can be trained, the objective is unknown, or a hyperparameter changes nothing.
    """
    kinds = ("validation",) if given.first.ema is None else ("validation", "ema_validation")
    known = [f"{kind}/{metric}" for kind in kinds for metric in given.first.objective.metrics]
    has_validation = "validation" in load(given.first.data).splits
    try:
        EarlyStopping(metric=given.objective).check_metric(known if has_validation else [])
    except InputError as error:
        raise InputError(str(error).replace("the metric must", "objective must", 1)) from None
    for name, values in one_of_each(given.space):
        if len(values) > 1 and name != "seed" and not changes_something(given, name, values):
            tried = ", ".join(map(repr, values))
            raise InputError(
                f"the hyperparameter {name!r} changes nothing: {tried} give the same program and data. "
                "Does the experiment function use it?"
            )


def changes_something(given: Given, name: str, values: Sequence[Any]) -> bool:
    """Returns whether two values of a hyperparameter give different programs or data, at any setting looked at."""
    for setting in given.looked_at:
        if name not in setting or given.made_or_error(setting)[0] is None:
            continue
        found, idle = given.planner.about(setting)
        if name in found and found[name].is_input:
            if name not in idle:
                return True
            continue
        others = [{**setting, name: value} for value in values]
        made = [one for other in others if (one := given.made_or_error(other)[0]) is not None]
        if len(made) < len(others) or any(_differ(made[0], other) for other in made[1:]):
            return True
    return False


def _differ(one: Experiment, other: Experiment) -> bool:
    """Returns whether two experiments train differently: by what is cheap to compare, then by their programs."""
    numbers = ("batch_size", "epochs", "steps", "seed", "remainder", "decay", "ema", "precision", "accumulate")
    if any(getattr(one, name) != getattr(other, name) for name in numbers):
        return True
    if load(one.data).fingerprint != load(other.data).fingerprint:
        return True
    return _shapes(one) != _shapes(other) or fingerprint(one) != fingerprint(other)


def _shapes(experiment: Experiment) -> str:
    inputs = jax.tree.map(lambda leaf: leaf[:1], load(experiment.data).examples("train").inputs)
    network = as_network(experiment.network)
    with explained(f"the network {network.name}", {"inputs": inputs}):
        return repr(jax.eval_shape(network.init, base_key(0), inputs))
