"""Why a few rows could not be learnt by heart: causes in order of likelihood, each with its evidence."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from verax.findings import Finding, Leaf
from verax.trees import Tree, is_floating, leaves_by_path


class Evidence(NamedTuple):
    """What one attempt left behind, on the host.

    Attributes:
      task: the objective's.
      losses: the mean loss before each step and after the last.
      floor: the lowest possible loss.
      grads: gradients of the first step.
      updates: updates of the first step.
      start: parameters before the first step.
      end: parameters after the last.
      outputs: of the network at the end, as the loss compares them: of a Gaussian regressor the means.
      targets: what they are compared with.
    """

    task: str
    losses: np.ndarray
    floor: float
    grads: Tree
    updates: Tree
    start: Tree
    end: Tree
    outputs: Tree
    targets: Tree


def why_not(evidence: Evidence) -> tuple[Finding, ...]:
    """Returns what is wrong with network or loss, likeliest first; never empty."""
    looks = (_not_finite, _no_gradient, _output_activation, _wrong_sign, _ignored_inputs)
    found = tuple(finding for look in looks for finding in look(evidence))
    return found or (_stuck(evidence),)


def why_not_with_this_optimizer(own: Evidence, reference: Evidence, learning_rate: float) -> tuple[Finding, ...]:
    """Returns what is wrong with an optimizer in whose place Adam at `learning_rate` passed; never empty.

    A wrong last activation slows learning without always preventing it, so it is reported here too.
    """
    return (*_optimizer_faults(own, f"Adam at {learning_rate:g} passes."), *_output_activation(reference))


def _optimizer_faults(evidence: Evidence, passes: str) -> list[Finding]:
    first, last = evidence.losses[0], evidence.losses[-1]
    grads, updates, start, end = map(_floating, (evidence.grads, evidence.updates, evidence.start, evidence.end))
    still = [path for path in start if np.array_equal(start[path], end[path]) and not np.any(updates[path])]
    frozen = [path for path in still if np.any(grads[path])]
    uphill = sum(float(np.sum(grads[path] * updates[path])) for path in grads)
    if uphill > 0:
        message = f"the first update points up the loss (its product with the gradient is {uphill:.2g})."
        return [Finding("update-sign-error", "error", message, f"Negate the learning rate. {passes}")]
    if frozen and len(frozen) < len(start):
        advice = f"Look at masks and partitions of the optimizer. {passes}"
        return [
            Finding("unintended-freeze", "error", "has a gradient but is never updated.", advice, Leaf(p))
            for p in frozen
        ]
    if not np.isfinite(evidence.losses).all() or last > first:
        message = f"the loss goes from {first:.4g} to {last:.4g}."
        return [Finding("learning-rate-too-high", "error", message, f"Lower the learning rate. {passes}")]
    rises = (
        float(np.mean(np.diff(evidence.losses[len(evidence.losses) // 2 :]) > 0)) if len(evidence.losses) > 3 else 0.0
    )
    if rises > 0.3:
        message = f"the loss stops at {last:.4g} and rises in {rises:.0%} of the steps."
        return [Finding("learning-rate-too-high", "error", message, f"Lower the learning rate. {passes}")]
    message = f"the loss falls only from {first:.4g} to {last:.4g} in {len(evidence.losses) - 1} steps."
    return [Finding("learning-rate-too-low", "error", message, f"Raise the learning rate. {passes}")]


def _not_finite(evidence: Evidence) -> list[Finding]:
    found = []
    bad = np.flatnonzero(~np.isfinite(evidence.losses))
    if len(bad):
        advice = "Look for log, sqrt or division at zero, and check the inputs."
        found.append(
            Finding("non-finite-loss", "error", f"the loss is {evidence.losses[bad[0]]} at step {bad[0]}.", advice)
        )
    for path, grads in _floating(evidence.grads).items():
        if not np.isfinite(grads).all():
            message = (
                f"{np.count_nonzero(~np.isfinite(grads))} of {grads.size} derivatives of the first step are not finite."
            )
            found.append(Finding("non-finite-gradient", "error", message, "", Leaf(path or "params")))
    return found


def _no_gradient(evidence: Evidence) -> list[Finding]:
    grads, start, end = map(_floating, (evidence.grads, evidence.start, evidence.end))
    still = [path for path in grads if not np.any(grads[path]) and np.array_equal(start[path], end[path])]
    if still and len(still) == len(grads):
        advice = "Look for argmax, rounding or comparisons in the loss, and for stop_gradient."
        return [Finding("non-differentiable-loss", "error", "the gradient of every leaf is zero.", advice)]
    advice = "Is the leaf used? Look for stop_gradient and for units that are silent on every row."
    return [
        Finding("parameter-without-gradient", "error", "its gradient is zero.", advice, Leaf(path)) for path in still
    ]


def _output_activation(evidence: Evidence) -> list[Finding]:
    """An activation that the loss applies itself, or one that cannot reach the targets."""
    outputs = _array(evidence.outputs)
    if outputs is None or not np.isfinite(outputs).all():
        return []
    low, high = float(outputs.min()), float(outputs.max())
    if (
        evidence.task in ("classification", "language_model")
        and low >= 0
        and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)
    ):
        message = "the network's outputs are probabilities (each row sums to 1), and the loss applies softmax again."
        return [Finding("double-softmax", "error", message, "Return logits.")]
    if evidence.task in ("binary", "multilabel") and low >= 0 and high <= 1:
        message = f"the network's outputs lie in [{low:.3g}, {high:.3g}], and the loss applies sigmoid again."
        return [Finding("double-sigmoid", "error", message, "Return logits.")]
    targets = _array(evidence.targets)
    if evidence.task in ("regression", "autoencoder") and targets is not None:
        wanted_low, wanted_high = float(targets.min()), float(targets.max())
        for bounds, name in (((0.0, 1.0), "sigmoid"), ((-1.0, 1.0), "tanh"), ((0.0, np.inf), "ReLU")):
            within = low >= bounds[0] and high <= bounds[1]
            if within and (wanted_low < bounds[0] - 1e-3 or wanted_high > bounds[1] + 1e-3):
                message = (
                    f"outputs lie in [{low:.3g}, {high:.3g}] but targets in [{wanted_low:.3g}, {wanted_high:.3g}]."
                )
                advice = f"Leave out the last activation ({name}?), or scale the targets."
                return [Finding("wrong-output-activation", "error", message, advice)]
    return []


def _wrong_sign(evidence: Evidence) -> list[Finding]:
    first, last = evidence.losses[0], evidence.losses[-1]
    if evidence.task != "custom" and last < evidence.floor - 0.01 * abs(first - evidence.floor):
        message = f"the loss falls to {last:.4g}, below its floor of {evidence.floor:g}, and the answers stay wrong."
        return [Finding("loss-sign-error", "error", message, "Negate the loss.")]
    return []


def _ignored_inputs(evidence: Evidence) -> list[Finding]:
    outputs, targets = _array(evidence.outputs), _array(evidence.targets)
    if outputs is None or targets is None or len(outputs) < 2 or not np.isfinite(outputs).all():
        return []
    spread = float(np.ptp(outputs, axis=0).max())
    if np.ptp(targets, axis=0).max() > 0 and spread <= 1e-6 * (1 + float(np.abs(outputs).max())):
        advice = (
            "Look for inputs multiplied by zero or overwritten, and for a layer whose units are silent on every row."
        )
        return [Finding("input-ignored", "error", "the outputs are the same for every row.", advice)]
    return []


def _stuck(evidence: Evidence) -> Finding:
    first, last = evidence.losses[0], evidence.losses[-1]
    fell = (first - last) / (first - evidence.floor) if first > evidence.floor else 0.0
    steps = len(evidence.losses) - 1
    message = (
        f"the loss goes from {first:.4g} to {last:.4g} in {steps} steps, {fell:.0%} of the way to {evidence.floor:g}."
    )
    if fell < 0.1:
        advice = "Check the loss against its targets, and the gradients with vx.check_gradients."
        return Finding("loss-not-decreasing", "error", message, advice)
    return Finding("insufficient-capacity", "error", message, "Is a layer too narrow, or the last activation bounded?")


def _floating(tree: Tree) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf, np.float64) for path, leaf in leaves_by_path(tree).items() if is_floating(leaf)}


def _array(tree: Tree) -> np.ndarray | None:
    leaves = jax.tree.leaves(tree)
    return np.asarray(leaves[0], np.float64) if len(leaves) == 1 and np.ndim(leaves[0]) else None
