"""The size of the steps: against the weights, against the loss, and against the noise of the gradient."""

from __future__ import annotations

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen, Suspicion
from verax.doctor._subject import Subject, on_device
from verax.doctor.probes._rule import Step, flat, rule_of, times
from verax.doctor.probes._schedule import too_short
from verax.findings import Finding
from verax.trees import Tree

LARGE = 0.2  # of the initial weights, in one step: a healthy step is near 0.001 (Bengio 2012); Adam at 0.01 is at 0.1
RISING = 0.6  # of the first steps that raise the loss on their own batch: half do where noise alone decides
SMALL_MOVE = 0.1  # of the weights, over the whole run
SMALL_FALL = 0.5  # of the loss, over the whole run, if it went on falling as at the start: it never does so for long
TRIED = 5  # batches of the step test
NOISY = 10  # times the batch size (McCandlish et al. 2018, 2.2)
BATCHES = 8  # from which the noise is measured


def too_high(subject: Subject) -> Seen:
    """Looks at the loss of each of the first steps on its own batch: before, after, and after a tenth of it."""
    rule = rule_of(subject)
    walk = rule.walk
    if not np.isfinite(walk[0].before):
        raise NotApplicable("the loss is not finite to begin with.")
    moved = [step for step in walk if flat(step.updates).any()]
    if not moved:
        raise NotApplicable("the first steps move no parameter.")
    diverged = not np.isfinite(walk[-1].after)
    rises = np.array([not step.after <= step.before for step in moved])
    tenths = [_part(subject, step, 0.1) for step in moved[:TRIED]]
    helps = bool(np.median([after < step.before for step, after in zip(moved, tenths, strict=False)]) > 0.5)
    ratio = _ratio(walk) / max(float(rule.sizes[: len(walk)].mean()), 1e-3)
    compared = (
        f"{rises.mean():.0%} of the first {len(moved)} steps raise the loss on their own batch; at its peak a step "
        f"moves the weights by {ratio:.2%}"
    )
    evidence = (
        f"{int(rises.sum())} of the first {len(moved)} steps raise the loss on their own batch, "
        f"the first one from {moved[0].before:.4g} to {moved[0].after:.4g}",
        f"a tenth of the first step leads to {tenths[0]:.4g}",
        f"a step changes the weights by {ratio:.2%} of their size, at the peak of the schedule",
        *((f"after {len(walk)} steps the loss is {walk[-1].after}",) if diverged else ()),
    )
    if not (diverged or (rises.mean() >= RISING and helps) or ratio > LARGE):
        return Seen(compared)
    said = (
        f"a step changes the weights by {ratio:.1%} of their size, and {rises.mean():.0%} of the first {len(moved)} "
        "raise the loss on their own batch."
    )
    finding = Finding(
        "learning-rate-too-high", "warning", said, "Divide the learning rate by 10.", None, "optimizer", evidence, 0.8
    )
    return Seen(compared, (), (Suspicion(finding, (times(0.1), times(0.01))),))


def too_low(subject: Subject) -> Seen:
    """Compares what the planned steps can add up to with the weights and with the loss."""
    rule = rule_of(subject)
    if too_short(rule):
        raise NotApplicable("the schedule does not fit the run: that comes first.")
    walk = rule.walk
    share = float(
        rule.sizes.mean() / max(rule.sizes[: len(walk)].mean(), 1e-6)
    )  # of a later step, against the first ones
    if not all(np.isfinite([step.after for step in walk])) or not share or not _ratio(walk):
        raise NotApplicable("the first steps move nothing, or diverge.")
    ratio = _ratio(walk) * share
    slope = float(np.mean([flat(step.grads) @ flat(step.updates) for step in walk])) * share
    loss = abs(walk[0].before)
    fall = -slope * subject.steps / loss if loss else np.inf
    compared = f"{subject.steps:,} steps can move the weights by {ratio * subject.steps:.2%}, the loss by {fall:.2%}"
    if not (ratio * subject.steps < SMALL_MOVE and 0 < fall < SMALL_FALL):
        return Seen(compared)
    said = (
        f"a step changes the weights by {ratio:.1e} of their size: all {subject.steps:,} can lower the loss by "
        f"{fall:.1%} at most."
    )
    evidence = (
        f"update over weight: {ratio:.2e} a step, {ratio * subject.steps:.2e} in the run if all point one way",
        f"gradient times update: {slope:+.3g} a step, {slope * subject.steps:+.3g} in the run; the loss is {loss:.4g}",
    )
    advice = "Multiply the learning rate by 10 to 1,000."
    finding = Finding("learning-rate-too-low", "warning", said, advice, None, "optimizer", evidence, 0.8)
    return Seen(compared, (), (Suspicion(finding, (times(10.0), times(100.0), times(1000.0))),))


def noise(subject: Subject) -> Seen:
    """Measures how far the gradients of the first batches differ from one another: the simple noise scale.

    References:
      McCandlish et al. (2018), "An Empirical Model of Large-Batch Training", 2.2 and appendix A.1.
    """
    shapes = jax.tree.map(np.shape, subject.first_epoch[0])
    batches = [each for each in subject.first_epoch if jax.tree.map(np.shape, each) == shapes][:BATCHES]
    if len(batches) < 4:
        raise NotApplicable("fewer than four full batches an epoch.")
    grads = np.stack(
        [
            flat(subject.gradient(*subject.variables, on_device(batch), subject.noise(number))[1])
            for number, batch in enumerate(batches)
        ]
    )
    if not np.isfinite(grads).all():
        raise NotApplicable("gradients are not finite.")
    rows = np.shape(jax.tree.leaves(batches[0].targets)[0])[0]
    spread = float(grads.var(axis=0, ddof=1).sum())
    mean = float(grads.mean(axis=0) @ grads.mean(axis=0)) - spread / len(batches)  # without what the noise adds to it
    scale = np.inf if mean <= 0 else spread * rows / mean
    compared = f"simple noise scale {scale:.3g} examples, batches of {rows}"
    if not scale > NOISY * rows:
        return Seen(compared)
    said = f"at the start the noise scale of the gradient is {scale:.3g} examples, a batch has {rows}."
    advice = "A larger batch would do as well with fewer steps; nothing else asks for it."
    return Seen(compared, (Finding("batch-size-too-small", "info", said, advice, None, "batches"),))


def _ratio(walk: tuple[Step, ...]) -> float:
    """Returns the median size of a step, as a share of that of the first weights: leaves with two axes, or all."""

    def norm(tree: Tree) -> float:
        leaves = jax.tree.leaves(tree)
        matrices = [leaf for leaf in leaves if np.ndim(leaf) >= 2] or leaves
        return float(np.linalg.norm(flat(matrices)))

    return float(np.median([norm(step.updates) for step in walk])) / max(norm(walk[0].variables.params), 1e-30)


def _part(subject: Subject, step: Step, factor: float) -> float:
    """Returns the loss on a step's own batch after a part of it."""
    params, model_state = step.variables
    params = rule_of(subject).moved(params, step.updates, factor)
    return float(subject.gradient(params, model_state, step.batch, step.key)[0][0])


PROBES = (
    Probe("step size, from above", ("learning-rate-too-high",), too_high),
    Probe("step size, from below", ("learning-rate-too-low",), too_low),
    Probe("noise of the gradient", ("batch-size-too-small",), noise),
)
