"""Do running statistics move, fast enough, with enough rows in a batch, and does the training use the batch's own?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject, shuffled
from verax.doctor.probes._points import marks, shape_of
from verax.findings import Finding, Leaf
from verax.jaxpr import Equation, equations, mixing_equations
from verax.trees import is_floating, leaves_by_path

LEFT = 0.5  # of the initial statistics at the end: more than half of what evaluation uses was never measured
SUSPECT = 0.1
FORGETFUL = 0.5  # keeps less than half from step to step: the mean of two batches, where 0.9 to 0.99 are usual
OFF = 0.5  # of a standard deviation between two means; the catalogue's, as is the factor for variances
FACTOR = 2.0
ROWS = 8  # a variance of 8 numbers is uncertain by sqrt(2 / 7), a half
FEW_ROWS = 4  # and of 4 by sqrt(2 / 3), four fifths
USUAL = 0.9
NEARBY = 60


class Kept(NamedTuple):
    """A running statistic: the share that a step keeps, its value, and what one batch gives."""

    path: str
    share: float
    before: np.ndarray
    batch: np.ndarray


def look_at_running_statistics(subject: Subject) -> Seen:
    """Moves the statistics before a step, to see what share of them is left after it."""
    kept = running_statistics(subject)
    if not kept:
        raise NotApplicable("the model keeps no running statistics.")
    batch_used = _batch_reduction(subject) is not None
    still = [each for each in kept if each.share == 1 and np.array_equal(each.before, each.batch)]
    if len(still) == len(kept):
        return _unmoved(kept, batch_used)
    moving = [each for each in kept if 0 <= each.share < 1]
    if not moving:
        raise NotApplicable("the model's state does not move as running means do.")
    slow = max(moving, key=lambda each: each.share)
    left = slow.share**subject.steps
    steps = subject.steps
    compared = f"a step keeps {slow.share:.4g} of the statistics: {left:.2g} of the initial ones after {steps} steps."
    message = (
        f"running statistics keep {slow.share:.4g} a step, so {left:.0%} of their initial values are left after the "
        f"{steps} steps."
    )
    advice = "Use a momentum of 0.9 to 0.99 (in Flax and Haiku it is the share that is kept, in PyTorch the reverse)."
    where = Leaf(f"model_state/{slow.path}")
    if left > LEFT and (off := _off(moving, subject.steps)):
        return Seen(compared, (Finding("stale-batch-stats", "error", message, advice, where, "model", (off,), 0.95),))
    repair = (Repair(f"running statistics that keep {USUAL}", partial(_with_momentum, kept)),)
    finding = Finding("stale-batch-stats", "warning", message, advice, where, "model", (), 0.8)
    if left > SUSPECT:
        return Seen(compared, (), (Suspicion(finding, repair),))
    if slow.share < FORGETFUL:
        message = (
            f"running statistics keep only {slow.share:.3g} a step: evaluation uses those of the last batch or two."
        )
        return Seen(compared, (), (Suspicion(replace(finding, message=message), repair),))
    return Seen(compared)


def running_statistics(subject: Subject) -> list[Kept]:
    """Returns what a training step makes of each floating-point leaf of the model state."""
    params, state = subject.variables
    paths = [path for path, leaf in leaves_by_path(state).items() if is_floating(leaf)]
    if not paths:
        return []
    raised = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf) if is_floating(leaf) else leaf, state)
    after, after_raised = (
        _floating(subject.gradient(params, each, subject.batch, subject.noise(0))[0][1][1]) for each in (state, raised)
    )
    before, found = _floating(state), []
    for path in paths:
        if path not in after or after[path].shape != before[path].shape or not np.isfinite(after[path]).all():
            continue
        share = float(np.mean(after_raised[path] - after[path]))
        share = 1.0 if np.array_equal(after[path], before[path]) else round(share, 6)
        batch = (after[path] - share * before[path]) / (1 - share) if share < 1 else after[path]
        found.append(Kept(path, share, before[path], batch))
    return found


def _floating(tree: Any) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf, np.float64) for path, leaf in leaves_by_path(tree).items() if is_floating(leaf)}


def _unmoved(kept: Sequence[Kept], batch_used: bool) -> Seen:
    compared = f"{len(kept)} running statistics before and after a step in training: none moves."
    initial = all(np.ptp(each.before) == 0 and each.before.flat[0] in (0, 1) for each in kept if each.before.size)
    where = Leaf(f"model_state/{kept[0].path}")
    if batch_used:
        message = (
            "training uses the statistics of each batch and never updates the running ones, which evaluation uses."
        )
        advice = (
            "Take the new model state from the forward pass: mutable=['batch_stats'], and carry it to the next step."
        )
        return Seen(compared, (Finding("stale-batch-stats", "error", message, advice, where, "model", (), 0.95),))
    if not initial:  # measured before, and kept as they are: fine-tuning
        return Seen(f"{compared} They were measured before, so this is a choice.")
    message = "training uses the running statistics, at their initial values of 0 and 1, and never updates them."
    advice = "Normalise by the batch in training: use_running_average=not train, is_training=True, model.train()."
    return Seen(compared, (Finding("eval-mode-in-training", "error", message, advice, where, "model", (), 0.95),))


def _off(moving: Sequence[Kept], steps: int) -> str:
    """Returns how far statistics will be from those of a batch if these stay as they are; empty if they are near."""
    for each in moving:
        left = each.share**steps
        final = left * each.before + (1 - left) * each.batch
        name = each.path.lower()
        if "var" in name and each.batch.min() > 0:
            ratio = float(np.median(np.maximum(final / each.batch, each.batch / final)))
            if ratio > FACTOR:
                return f"{each.path}: at the end off by a factor of {ratio:.2g} from a batch's (median over channels)"
    spreads = {
        each.path.rpartition("var")[0]: np.sqrt(np.maximum(each.batch, 1e-12)) for each in moving if "var" in each.path
    }
    for each in moving:
        spread = spreads.get(each.path.rpartition("mean")[0])
        if "mean" in each.path and spread is not None and spread.shape == each.batch.shape:
            gap = float(np.median(each.share**steps * np.abs(each.before - each.batch) / spread))
            if gap > OFF:
                return (
                    f"{each.path}: at the end {gap:.2g} standard deviations from that of a batch (median over channels)"
                )
    return ""


def _with_momentum(kept: Sequence[Kept], subject: Subject) -> Subject:
    """Returns the program with running statistics that keep the usual share."""
    apply, shares = subject.network.apply_fn, {each.path: each.share for each in kept}

    def moved(variables: Any, inputs: Any, key: Any, training: bool) -> Any:
        outputs, after = apply(variables, inputs, key, training)
        if not training:
            return outputs, after
        before = leaves_by_path(variables.model_state)
        leaves = [
            _moved(before[path], leaf, shares[path]) if path in shares and shares[path] < 1 else leaf
            for path, leaf in leaves_by_path(after).items()
        ]
        return outputs, jax.tree.unflatten(jax.tree.structure(after), leaves)

    return subject.changed(network=replace(subject.network, apply_fn=moved))


def _moved(before: Any, after: Any, share: float) -> Any:
    batch = (after - jnp.asarray(share, after.dtype) * before) / jnp.asarray(1 - share, after.dtype)
    return jnp.asarray(USUAL, after.dtype) * before + jnp.asarray(1 - USUAL, after.dtype) * batch


def look_at_batch_statistics(subject: Subject) -> Seen:
    """Counts the numbers that each batch statistic is taken of."""
    first = _batch_reduction(subject)
    if first is None:
        raise NotApplicable("no normalisation over the examples of a batch in training.")
    if not running_statistics(subject) and not _evaluation_differs(subject):
        raise NotApplicable(
            "the normalisation is the same in both modes, and the probe of batch independence looks at that."
        )
    taken, axes = shape_of(first.eqn.invars[0]), first.eqn.params["axes"]
    numbers = int(np.prod([taken[axis] for axis in axes]))
    error = np.sqrt(2 / max(numbers - 1, 1))
    compared = f"numbers behind each batch statistic: {numbers}, so a variance is uncertain by {error:.0%}."
    if numbers >= ROWS:
        return Seen(compared)
    message = f"batch statistics are taken of {numbers} numbers, so each variance is uncertain by {error:.0%}."
    advice = "Use batches of 16 or more, or a normalisation within each example (LayerNorm, GroupNorm)."
    finding = Finding(
        "batchnorm-small-batch", "warning", message, advice, first.place.span, "batches", (f"in {first.place}",), 0.9
    )
    if numbers <= FEW_ROWS or subject.own_batches:
        return Seen(compared, (finding,) if numbers <= FEW_ROWS else ())
    return Seen(compared, (), (Suspicion(finding, (Repair("batches of 32", partial(_with_batches, 32)),)),))


def _batch_reduction(subject: Subject) -> Equation | None:
    """Returns the first reduction over the examples in training that becomes a normalisation."""
    program = subject.training_program
    tracked = marks(subject, params=False, model_state=False, inputs=True, key=False)
    mixing = mixing_equations(program, tracked) or ()
    every = list(equations(program))
    keys = [each.key for each in every]
    for first in mixing:
        if first.eqn.primitive.name == "reduce_sum":
            start = keys.index(first.key)
            if {"rsqrt", "sqrt"} & {each.eqn.primitive.name for each in every[start : start + NEARBY]}:
                return first
    return None


def _evaluation_differs(subject: Subject) -> bool:
    tracked = marks(subject, params=False, model_state=False, inputs=True, key=False)
    return mixing_equations(subject.evaluation_program, tracked) is None


def _with_batches(size: int, subject: Subject) -> Subject:
    return subject.changed(batch_size=size, batches_of=partial(shuffled, subject.train, size, subject.seed))


PROBES = (
    Probe("running statistics", ("stale-batch-stats", "eval-mode-in-training"), look_at_running_statistics),
    Probe("batch statistics", ("batchnorm-small-batch",), look_at_batch_statistics),
)
