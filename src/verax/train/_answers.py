"""What a network gives on a split, and the temperature that makes its probabilities truer."""

from __future__ import annotations

import jax

from verax.data import Examples
from verax.evaluate import predict
from verax.network import Network, Variables
from verax.train._objective import Objective
from verax.train._task import Answers
from verax.trees import count


def answers_on(network: Network, objective: Objective, variables: Variables, examples: Examples) -> Answers:
    """Returns a network's outputs on a split; on its first rows where those of all are too many to hold."""
    most = objective.meaning.most_numbers
    if most is not None:
        one = jax.tree.map(lambda leaf: leaf[:1], examples.inputs)
        shapes = jax.eval_shape(lambda inputs: network.apply(variables, inputs)[0], one)
        rows = max(1, most // count(shapes))
        examples = Examples(*jax.tree.map(lambda leaf: leaf[:rows], tuple(examples)))
    return Answers(predict(network, variables, examples.inputs), examples)


def temperature_on(network: Network, objective: Objective, variables: Variables, calibration: Examples) -> float | None:
    """Returns what logits are to be divided by, fitted on a calibration split; None for tasks without logits."""
    if not objective.recalibrates:
        return None
    return objective.meaning.temperature(answers_on(network, objective, variables, calibration))
