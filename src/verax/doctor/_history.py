"""What a history tells by itself of the moments of a run: its loss left for good, its held-out loss turned."""

from __future__ import annotations

import numpy as np

from verax.findings import Finding, Moment
from verax.train import History

LEFT = 3.0  # times the loss of the start (`_run_fit` has the same)
TURNED = 1.6  # times the best held-out loss: twice what a healthy run wanders and more (`_run_fit` has the same)
STEPS = 20  # steps of which the start and the end are the medians, at most a fifth of the run


def moments_of(history: History) -> tuple[Finding, ...]:
    """Returns findings with their steps, as far as the recorded losses tell: no network is run.

    They are symptoms; `vx.diagnose` looks for causes and is surer, since it sees the answers row by row.

    Example:
      >>> from verax.train import Record
      >>> losses = (2.0,) * 60 + (50.0,) * 40
      >>> history = History((Record("chunk", 100, 1, {"train/loss": losses}, 1.0),))
      >>> [(found.id, found.step) for found in moments_of(history)]
      [('loss-divergence', 61)]
    """
    return (*_divergence(history), *_overfitting(history))


def _divergence(history: History) -> list[Finding]:
    """Returns the step from which the training loss stayed above what it began with, where it ended far above it."""
    steps, losses = (np.array(part, float) for part in history.series("train/loss", "chunk"))
    few = min(STEPS, len(losses) // 5)
    if few < 2 or not np.isfinite(losses).all():
        return []  # too short, or a loss that is not finite is the finding
    start, end = float(np.median(losses[:few])), float(np.median(losses[-few:]))
    if not (start > 0 and end > LEFT * start):
        return []
    below = np.flatnonzero(losses <= LEFT * start)
    step = int(steps[min(below[-1] + 1, len(steps) - 1)]) if len(below) else int(steps[0])
    said = f"the loss stays above {LEFT:g} times what it began with: {start:.4g} at first, {end:.4g} at the end."
    advice = (
        "Lower the learning rate, or clip gradients with optax.clip_by_global_norm(1.0); vx.diagnose looks for causes."
    )
    return [Finding("loss-divergence", "warning", said, advice, Moment(step), confidence=0.7)]


def _overfitting(history: History) -> list[Finding]:
    """Returns the step of the best held-out loss, where it rose far above that while the training loss fell on."""
    steps, held = (np.array(part, float) for part in history.series("validation/loss"))
    at, train = (np.array(part, float) for part in history.series("train/loss"))
    if len(held) < 3 or not np.array_equal(steps, at) or not (np.isfinite(held).all() and np.isfinite(train).all()):
        return []
    best = int(held.argmin())
    if not (held[best] > 0 and held[-1] > TURNED * held[best] and train[-1] < train[best]):
        return []
    rose = f"from {held[best]:.4g} at best to {held[-1]:.4g} at the end"
    said = f"the held-out loss rose {rose}, while the training loss fell on."
    advice = "Stop at the best step (stopping=vx.EarlyStopping()), or a smaller network, decay or dropout."
    return [Finding("overfitting", "warning", said, advice, Moment(int(steps[best])), "model", confidence=0.7)]
