"""Recalibration of a classifier by one number."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from verax.evaluate._inputs import Values, class_logits, logits_and_labels

COLDEST, HOTTEST = 0.01, 100.0


def fit_temperature(logits: Values, labels: Values) -> float:
    """Returns the temperature by which logits are to be divided so that confidence fits accuracy.

    It minimises the negative log-likelihood, which has one minimum in the temperature. Above 1 the network was too sure
    of itself. Where every example is right the likelihood grows without end as the temperature falls; then it is set
    so that the mean confidence is `(n + 1) / (n + 2)`, what `n` right answers out of `n` support (Laplace's rule).

    Args:
      logits: (examples, classes), or of a binary classifier (examples,) or (examples, 1); from a calibration split that
        was neither trained on nor is tested on.
      labels: the true classes (examples,).

    Returns:
      A number in `[0.01, 100]`; the order of the classes is the same at any temperature, so is the accuracy.

    Raises:
      InputError: if the arguments are not finite logits and labels of the same examples.

    Example:
      >>> logits = np.array([[4.0, 0.0]] * 4)
      >>> temperature = fit_temperature(logits, np.array([0, 0, 0, 1]))
      >>> print(apply_temperature(logits, temperature)[0].round(3))
      [0.75 0.25]

    References:
      Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2.
    """
    table, classes = logits_and_labels(logits, labels)
    from scipy.optimize import brentq, minimize_scalar

    ends = math.log(COLDEST), math.log(HOTTEST)
    own = table[np.arange(len(classes)), classes]
    others = np.where(np.arange(table.shape[1]) == classes[:, None], -np.inf, table).max(axis=1)
    if (own > others).all():
        limit = (len(classes) + 1) / (len(classes) + 2)

        def excess(log_temperature: float | int) -> float:
            return float(apply_temperature(table, math.exp(log_temperature)).max(axis=1).mean()) - limit

        if excess(ends[0]) <= 0:
            return COLDEST
        return HOTTEST if excess(ends[1]) >= 0 else math.exp(float(brentq(excess, *ends)))

    def loss(log_temperature: float | int) -> float:
        scaled = table / math.exp(log_temperature)
        top = scaled.max(axis=1)
        return float(np.mean(top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - own / math.exp(log_temperature)))

    return math.exp(float(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-8}).x))


def apply_temperature(logits: Values, temperature: float | int) -> Float[np.ndarray, "examples classes"]:
    """Returns the class probabilities of logits at a temperature, in float64; two columns for one logit an example.

    Args:
      logits: (examples, classes), or of a binary classifier (examples,) or (examples, 1).
      temperature: what they are divided by; 1 leaves them as they are, above 1 makes them less sure.

    Raises:
      InputError: if the logits are not finite numbers of one of these shapes.
      ValueError: if the temperature is not positive.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    scaled = class_logits(logits) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
