"""A range of learning rates in which the loss falls: many rates from the same start on the same batches, at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optax
from jaxtyping import Float

from verax.findings import InputError
from verax.train._finder_curves import curves_of_experiment, curves_of_loss
from verax.train._finder_judge import LearningRates, judged
from verax.trees import Tree


def find_learning_rate(
    subject: Any,
    params: Tree = None,
    batches: Iterable[Any] | None = None,
    *,
    optimizer: Callable[[Any], optax.GradientTransformation] | None = None,
    rates: int | Sequence[float] = 24,
    between: tuple[float, float] = (1e-6, 10.0),
    trial_steps: int = 100,
    initial: Any = None,
    **hyperparameters: Any,
) -> LearningRates:
    """Returns the interval of learning rates in which the loss falls steadily, or says that there is none and why.

    Every rate has a short training of its own, all from the same weights on the same batches with the same noise, side
    by side in one compiled program. This is not Smith's test, in which one training runs through growing rates: there a
    rate starts from whatever the smaller ones left behind, so that the loss at a rate says little about that rate. One
    more training, at rate 0, is what the falls are measured against: it has the same batches.

    A rate is in the interval if its training stays finite, falls by at least half as much as that of the best rate,
    ends with at least four fifths of its own largest fall, and never rises above the untrained loss by more than a
    tenth of the best fall. A fall counts if it is above four standard errors of the difference between batches.

    The rates hold for the first `trial_steps` steps: a warm-up longer than that is all that is seen of a schedule.
    Memory is that of as many trainings as there are rates. Nothing given is changed.

    Args:
      subject: a function from hyperparameters to an Experiment that takes `learning_rate`; or, with `params` and
        `batches`, a loss `(params, batch) -> scalar`.
      params: where to start, for a loss.
      batches: minibatches of one shape, for a loss; taken in turn, again from the first when they are used up.
      optimizer: from a rate to an Optax transformation, for a loss; `optax.adam` by default.
      rates: how many, evenly spaced on a logarithmic axis; or the rates themselves.
      between: the smallest and the largest rate.
      trial_steps: of each training, at least 8.
      initial: weights to start from, for an experiment.
      **hyperparameters: for the experiment's function.

    Raises:
      InputError: if what is given does not fit together, or the experiment's optimizer does not use `learning_rate`.

    Example:
      >>> def loss(params, batch):
      ...     return jnp.sum(params**2 * jnp.array([1.0, 4.0]))  # curvature 8: plain steps diverge above 2 / 8
      >>> found = find_learning_rate(loss, jnp.ones(2), [0.0], optimizer=optax.sgd)
      >>> found.high < 0.25, found.low < found.suggestion <= found.high
      (True, True)

    References:
      Smith (2017), "Cyclical Learning Rates for Training Neural Networks", for the test with growing rates.
    """
    tried = _rates(rates, between)
    if isinstance(trial_steps, bool) or not isinstance(trial_steps, int) or trial_steps < 8:
        raise InputError(f"trial_steps must be a whole number of at least 8, got {trial_steps!r}.")
    lanes = np.concatenate([np.zeros(1), tried]).astype(np.float32)
    if params is not None or batches is not None:
        curves = curves_of_loss(subject, params, batches, optimizer, lanes, trial_steps, initial, hyperparameters)
        return judged(tried, curves[1:], curves[0])
    if optimizer is not None:
        raise InputError("optimizer= is for a loss with params and batches; an experiment has its own.")
    curves, remark = curves_of_experiment(subject, lanes, trial_steps, initial, hyperparameters)
    return judged(tried, curves[1:], curves[0], remark)


def _rates(rates: Any, between: Any) -> Float[np.ndarray, " rates"]:
    if isinstance(rates, int) and not isinstance(rates, bool):
        low, high = (float(each) for each in between) if len(tuple(between)) == 2 else (0.0, 0.0)
        if not 0 < low < high < math.inf:
            raise InputError(f"between must be two rates above 0, the smaller one first, got {between!r}.")
        if not 2 <= rates <= 256:
            raise InputError(f"rates must be between 2 and 256, 16 to 32 are usual, got {rates}.")
        return np.geomspace(low, high, rates)
    values = np.asarray(rates, float)
    if (
        values.ndim != 1
        or len(values) < 2
        or not (np.isfinite(values) & (values > 0)).all()
        or (np.diff(values) <= 0).any()
    ):
        raise InputError(f"rates must be a number of rates or at least two rising rates above 0, got {rates!r}.")
    return values
