"""Which learning rates lower the loss steadily, from the losses of short trainings."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

WINDOW = 4  # losses are compared by quarters of the steps
SHARE = 0.5  # of the best fall: what a rate of the interval reaches at least
KEPT = 0.8  # of a rate's own largest fall: what a steady one still has at the end
RISE = 0.1  # of the best fall: how far above the untrained loss a steady one may be for a quarter
NOISE = 4.0  # standard errors: a fall above them is one, also among 32 rates


@dataclass(frozen=True)
class LearningRates:
    """What each learning rate did in a short training, and where the loss falls.

    Attributes:
      rates: the rates that were tried, rising.
      losses: the mean loss over the last quarter of the steps, at each rate; not finite where training was not.
      untrained: the same without any training, on the same batches.
      steps: of each training.
      low: the smallest rate of the interval in which the loss falls steadily; None if there is none.
      high: the largest one.
      suggestion: a rate to begin with: that of the lowest loss, at most half of `high`.
      reason: why the interval is as it is, or why there is none.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    untrained: float
    steps: int
    low: float | None
    high: float | None
    suggestion: float | None
    reason: str

    def __str__(self) -> str:
        if self.low is None or self.high is None or self.suggestion is None:
            return f"no learning rate: {self.reason}"
        return f"learning rate {self.low:.2g} to {self.high:.2g}, begin with {self.suggestion:.2g}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values; None stands for a loss that is not finite."""
        losses = [each if math.isfinite(each) else None for each in self.losses]
        return {**vars(self), "rates": list(self.rates), "losses": losses}


def judged(
    rates: Float[np.ndarray, " rates"],
    curves: Float[np.ndarray, "rates steps"],
    untrained: Float[np.ndarray, " steps"],
    remark: str = "",
) -> LearningRates:
    """Returns the interval of rates whose loss falls steadily, from the loss at every step.

    Args:
      rates: rising.
      curves: the loss of each rate at each step.
      untrained: the loss at each step without training, on the same batches.
      remark: a sentence to end the reason with.
    """
    steps = curves.shape[1]
    cuts = [steps * quarter // WINDOW for quarter in range(WINDOW + 1)]
    with np.errstate(all="ignore"):
        gaps = untrained[None].astype(float) - curves  # rates steps
        falls = np.stack([gaps[:, i:j].mean(axis=1) for i, j in itertools.pairwise(cuts)], axis=1)
        losses = curves[:, cuts[-2] :].astype(float).mean(axis=1)
        error = gaps[:, cuts[-2] :].std(axis=1, ddof=1) / math.sqrt(steps - cuts[-2])
    base = float(untrained[cuts[-2] :].astype(float).mean())
    finite = np.isfinite(curves).all(axis=1)
    fall = np.where(finite, falls[:, -1], -np.inf)
    least = 1e-4 * abs(base)
    learns = finite & (fall > least) & (fall > NOISE * np.where(finite, error, 0))
    falls = np.where(finite.reshape(-1, 1), falls, -np.inf)
    ends_low = learns & (fall >= KEPT * falls.max(axis=1))
    worse = ~finite | (fall < -least)
    result = LearningRates(
        tuple(rates.tolist()),
        tuple(losses.tolist()),
        base,
        steps,
        None,
        None,
        None,
        _none(rates, base, learns, worse, remark),
    )
    if not ends_low.any():
        return result
    best = float(fall[ends_low].max())
    steady = ends_low & (falls.min(axis=1) > -RISE * best)
    if not steady.any():
        return result
    best = float(fall[steady].max())
    centre = int(np.flatnonzero(steady & (fall == best))[0])
    good = steady & (fall >= SHARE * best)
    first = centre - int(np.argmin(np.append(good[centre::-1], False))) + 1
    last = centre + int(np.argmin(np.append(good[centre:], False))) - 1
    low, high = float(rates[first]), float(rates[last])
    suggestion = max(low, min(float(rates[centre]), high / 2))
    said = f"the loss falls from {base:.4g} to {losses[centre]:.4g} within {steps} steps at {rates[centre]:.2g}."
    if last == len(rates) - 1:
        said += " The largest rate tried is still in the interval: try larger ones."
    if first == 0:
        said += " The smallest rate tried is still in the interval: try smaller ones."
    return LearningRates(result.rates, result.losses, base, steps, low, high, suggestion, f"{said} {remark}".strip())


def _none(
    rates: Float[np.ndarray, " rates"],
    untrained: float,
    learns: Bool[np.ndarray, " rates"],
    worse: Bool[np.ndarray, " rates"],
    remark: str,
) -> str:
    """Returns why there is no interval."""
    tried = f"{len(rates)} rates from {rates[0]:.2g} to {rates[-1]:.2g}"
    if not math.isfinite(untrained):
        said = f"the loss is {untrained} before any training. Look for a NaN or Inf in the data or the weights."
    elif worse.all():
        said = f"all of {tried} diverge: the loss rises or is not finite. Try smaller rates."
    elif learns.any():
        said = (
            f"of {tried}, {int(learns.sum())} lower the loss, but none steadily: it rises again or first. Try smaller "
            "rates, more trial_steps or larger batches."
        )
    elif worse.any():
        said = (
            f"none of {tried} lowers the loss by more than its noise, and from {rates[worse.argmax()]:.2g} on it rises "
            "or is not finite. Try more trial_steps, or look for a network that does not learn with vx.overfit_batch."
        )
    else:
        said = (
            f"none of {tried} lowers the loss by more than its noise: the network does not learn. Look at its "
            "gradients with vx.gradient_health and at one batch with vx.overfit_batch, or try larger rates."
        )
    return f"{said} {remark}".strip()
