"""The schedule of the learning rate against the length of the run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Rule, rule_of, with_optimizer
from verax.findings import Finding
from verax.trees import Tree

LITTLE = 0.2  # of the peak: a run that never passes it, or does so for half of its steps only, is spent in the warm-up
HALF = 0.5  # of the run
TINY = 0.01  # of the peak: nothing is learnt any more
LATE = 0.6  # of the run: one-cycle schedules peak at 0.3 to 0.5
IDLE = 0.25  # of the run: what ends at zero by a cosine has 0.06 of it below 1 %, an exponential fall to 1 % none
WARM_UP = 0.1  # of the run: 1 to 10 % is usual


def look(subject: Subject) -> Seen:
    """Measures the sizes of the steps along the run, and beyond it, by running the optimizer on constant gradients."""
    rule, steps = rule_of(subject), subject.steps
    if rule.schedule is None:
        raise NotApplicable("the optimizer has no schedule.")
    if not rule.sizes.any():
        raise NotApplicable("constant gradients move no parameter.")
    faults = {fault.id: fault for fault in rule.schedule.faults}
    warming = faults.get("warmup-too-long")
    reached = warming.share if warming else 1.0
    shares = rule.sizes * reached  # of the peak that the schedule has, in the run or after it
    taken = rule.peak + 1
    low = float(np.sum(shares[:taken] < LITTLE) / steps)
    idle = _idle(shares)
    compared = (
        f"over {steps:,} steps: {reached:.1%} of the peak is reached, at step {taken:,}; "
        f"{idle:.0%} of the run passes below 1 % of it afterwards"
    )
    evidence = (_shown(shares),)
    if warming or taken > LATE * steps > 0:
        at = warming.step if warming else taken
        said = (
            f"steps still grow when the run of {steps:,} ends: it reaches {reached:.1%} of the peak of the schedule, "
            f"which comes at step {at:,}."
            if warming
            else f"the warm-up takes {at:,} of {steps:,} steps."
        )
        advice = (
            f"Shorten the warm-up to about {max(1, round(WARM_UP * steps)):,} steps; it counts updates, not epochs."
        )
        if warming and (reached < LITTLE or low > HALF):
            return Seen(
                compared,
                (Finding("warmup-too-long", "error", said, advice, None, "optimizer", evidence, 0.95),),
            )
        doubtful = Finding("warmup-too-long", "warning", said, advice, None, "optimizer", evidence, 0.8)
        return Seen(compared, (), (Suspicion(doubtful, (_paced(at / (WARM_UP * steps)),)),))
    if idle > IDLE:
        ends = steps - round(idle * steps)
        said = f"steps are below 1 % of the largest for {idle:.0%} of the run: from step {ends + 1:,} of {steps:,} on."
        advice = f"Give the schedule the length of the run: {steps:,} updates of the optimizer."
        if idle > HALF and "lr-decayed-early" in faults:
            return Seen(
                compared,
                (Finding("lr-decayed-early", "error", said, advice, None, "optimizer", evidence, 0.9, step=ends + 1),),
            )
        doubtful = Finding("lr-decayed-early", "warning", said, advice, None, "optimizer", evidence, 0.8, step=ends + 1)
        return Seen(compared, (), (Suspicion(doubtful, (_paced(max(ends, 1) / steps),)),))
    return Seen(compared)


def too_short(rule: Rule) -> bool:
    """Returns whether the schedule leaves too few steps near its peak, which explains slow learning."""
    found = rule.schedule.faults if rule.schedule else ()
    return any(fault.id in ("warmup-too-long", "lr-decayed-early") for fault in found)


def _idle(shares: np.ndarray) -> float:
    """Returns the share of the run after the last step of a size worth speaking of."""
    return float(1 - (np.flatnonzero(shares >= TINY * shares.max())[-1] + 1) / len(shares))


def _shown(shares: np.ndarray) -> str:
    """Returns the size of the steps at a few points of the run, as shares of the peak."""
    points = np.linspace(0, len(shares) - 1, 6).astype(int)
    return "size of the steps, of the peak: " + ", ".join(
        f"{shares[point]:.1%} at step {point + 1:,}" for point in points
    )


def _paced(pace: float) -> Repair:
    """Returns the repair whose schedule passes faster or slower: its counters are moved on by `pace` a step."""

    def paced(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        inner = optax.with_extra_args_support(optimizer)

        def init(params: Tree) -> Any:
            return inner.init(params), jnp.zeros((), jnp.int32)

        def update(grads: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
            own, count = state
            shown = jnp.round(count * jnp.float32(pace)).astype(jnp.int32)
            faster = jax.tree.map(lambda leaf: _shown_instead(leaf, count, shown), own)
            updates, after = inner.update(grads, faster, params, **extra)
            restored = jax.tree.map(lambda old, new, leaf: _restored(old, new, leaf, count), own, after, faster)
            return updates, (restored, count + 1)

        return optax.GradientTransformationExtraArgs(init, update)

    return with_optimizer("the schedule made for the length of the run", paced)


def _counts(leaf: Any) -> bool:
    return jnp.ndim(leaf) == 0 and jnp.issubdtype(jnp.result_type(leaf), jnp.signedinteger)


def _shown_instead(leaf: Any, count: Any, shown: Any) -> Any:
    """Returns another count in the place of one that has counted every step."""
    return jnp.where(leaf == count.astype(leaf.dtype), shown.astype(leaf.dtype), leaf) if _counts(leaf) else leaf


def _restored(old: Any, new: Any, shown: Any, count: Any) -> Any:
    """Returns the count as it would be without that."""
    if not _counts(old):
        return new
    return jnp.where(old == count.astype(old.dtype), old + (new - shown), new)


PROBES = (Probe("schedule of the learning rate", ("warmup-too-long", "lr-decayed-early"), look),)
