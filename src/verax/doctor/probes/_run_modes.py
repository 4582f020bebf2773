"""The trained network in both modes on the same rows: do running statistics hold what the data have?"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject, on_device
from verax.doctor._trajectory import Trajectory, require_whole, steady_batches
from verax.doctor._trial import Outcome
from verax.findings import Finding
from verax.network import Variables
from verax.trees import Tree, is_floating, leaves_by_path

BATCHES = 20  # whose statistics are averaged
DISCREPANCY = 0.5  # of the training-mode loss that evaluation on the same rows may cost (TheDeepChecker's Switch_Mode)
RESTORED = 0.5  # of that difference which true statistics must take away, for them to be the cause


def statistics_hold(subject: Subject, trajectory: Trajectory, outcome: Outcome) -> Seen:
    """Returns whether evaluation suffers from running statistics that are not those of the data."""
    require_whole(trajectory)
    moving = {path: leaf for path, leaf in leaves_by_path(trajectory.final.model_state).items() if _is_statistic(leaf)}
    if not moving:
        raise NotApplicable("the network keeps no state")
    first = subject.first_epoch[:BATCHES]
    asked = [_losses(subject, trajectory.final, on_device(batch), number) for number, batch in enumerate(first)]
    trained, evaluated = (float(np.mean(each)) for each in zip(*asked, strict=True))
    said = f"loss of the same rows {trained:.4g} in training mode, {evaluated:.4g} in evaluation"
    if not evaluated - trained > DISCREPANCY * max(abs(trained), 1e-3):
        return Seen(said)
    renewed = Variables(trajectory.final.params, true_statistics(subject, trajectory.final))
    again = float(np.mean([_losses(subject, renewed, on_device(batch), 0)[1] for batch in first]))
    if evaluated - again < RESTORED * (evaluated - trained):
        symptom = Finding(
            "train-eval-discrepancy",
            "warning",
            f"the same rows lose {trained:.4g} in training mode and {evaluated:.4g} in evaluation.",
            "Look at what changes between the two modes: normalisation, dropout, a scale.",
            part="model",
            evidence=(said,),
            confidence=0.6,
        )
        return Seen(said, (symptom,))
    worst = _furthest(trajectory.final.model_state, renewed.model_state)
    finding = Finding(
        "stale-batch-stats",
        "error",
        f"the running statistics are not those of the data: the same rows lose {trained:.4g} in training mode and "
        f"{evaluated:.4g} in evaluation.",
        "Carry the state that a training pass returns, and let it follow within the run: momentum 0.9 to 0.99 in Flax "
        "(the share that is kept).",
        part="model",
        evidence=(said, worst),
        confidence=1.0,
        tried=f"with the statistics of {len(first)} training batches in their place, {again:.4g} in evaluation",
    )
    return Seen(said, (finding,))


def true_statistics(subject: Subject, variables: Variables) -> Tree:
    """Returns the model state with each running statistic where it would settle on the training batches.

    A running statistic is `kept * old + (1 - kept) * of_the_batch`: two passes over one batch give `kept`, and with it
    what the batch holds.
    """
    step = jax.jit(lambda state, inputs, key: subject.forward(Variables(variables.params, state), inputs, key)[1])
    totals, count = None, 0
    for _, batch in steady_batches(subject):
        inputs, key = on_device(batch).inputs, subject.noise(count)
        once = step(variables.model_state, inputs, key)
        twice = step(once, inputs, key)
        settled = jax.tree.map(_settled, variables.model_state, once, twice)
        totals = settled if totals is None else jax.tree.map(_added, totals, settled)
        count += 1
        if count == BATCHES:
            break
    return jax.tree.map(lambda total, old: total / count if _is_statistic(old) else old, totals, variables.model_state)


def _settled(old: Any, once: Any, twice: Any) -> Any:
    if not _is_statistic(old):
        return old
    first, second = np.asarray(once, np.float64) - np.asarray(old), np.asarray(twice, np.float64) - np.asarray(once)
    moved = np.abs(first).sum()
    kept = min(float(np.abs(second).sum() / moved), 0.999999) if moved else 0.0
    return jax.numpy.asarray(np.asarray(old) + first / (1 - kept), old.dtype)


def _added(total: Any, more: Any) -> Any:
    return total + more if _is_statistic(more) else total


def _is_statistic(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and is_floating(leaf)


def _losses(subject: Subject, variables: Variables, batch: Any, number: int) -> tuple[float, float]:
    """Returns the loss of a batch in training mode and in evaluation."""
    key = subject.noise(number)
    trained = subject.gradient(variables.params, variables.model_state, batch, key)[0][0]
    penalty = 0.0 if subject.penalty is None else float(subject.penalty(variables.params))
    return float(trained) - penalty, float(subject.loss_of(variables, batch, key))


def _furthest(old: Tree, new: Tree) -> str:
    """Returns which statistic is furthest from what it should be, in words."""
    pairs = zip(leaves_by_path(old).items(), jax.tree.leaves(new), strict=True)
    far = {
        path: float(np.abs(np.asarray(there) - np.asarray(here)).mean() / (np.abs(np.asarray(there)).mean() + 1e-12))
        for (path, here), there in pairs
        if _is_statistic(here)
    }
    path = max(far, key=lambda each: far[each])
    return f"{path} is off by {far[path]:.0%} of its size"


PROBES = (Probe("running statistics", ("stale-batch-stats", "train-eval-discrepancy"), statistics_hold, "run"),)
