"""The memory of an optimizer against the length of the run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import with_optimizer
from verax.findings import Finding
from verax.train._optimizer import with_standard_promotion
from verax.trees import Tree

LONG = 0.2  # of the run
SHORT = 20  # steps that are never too many: the usual momentum of 0.9 has 10
AGES = (32, 16)  # steps after which an impulse is looked for: far enough apart to tell 0.999 from 1
USUAL = 0.9


def look(subject: Subject) -> Seen:
    """Turns the sign of one past gradient, and measures how much of it is left in the updates."""
    kept = kept_a_step(subject)
    if kept is None:
        raise NotApplicable("updates do not remember past gradients.")
    horizon = 1 / (1 - kept) if kept < 1 else np.inf
    share = horizon / subject.steps
    compared = f"a gradient fades by {kept:.4f} a step: a memory of {horizon:,.0f} of {subject.steps:,} steps"
    if share <= LONG or horizon <= SHORT:
        return Seen(compared)
    said = f"the optimizer remembers about {horizon:,.0f} steps, the run has {subject.steps:,}."
    evidence = (
        f"what is left of a gradient fades by {kept:.4f} a step, so the memory is 1 / (1 - {kept:.4f})",
        f"that is {share:.0%} of the planned steps",
    )
    advice = f"Use a momentum (b1) of {USUAL}."
    finding = Finding("momentum-too-high", "warning", said, advice, None, "optimizer", evidence, 0.8)
    repairs = (_forgetting(kept, averaged=False), _forgetting(kept, averaged=True)) if kept < 1 else ()
    return Seen(compared, (), (Suspicion(finding, repairs),))


def kept_a_step(subject: Subject) -> float | None:
    """Returns the share of a gradient's part in the updates that is left after a step; None where there is no memory.

    The gradients are of one size and swing at random, so that second moments stay as they are. Two runs in which one
    past sign is turned differ from a third, at the same step, by what is left of it: the schedule and the correction of
    a bias are the same in both. Measured on a tree with all axes shortened to 1.
    """
    inner, steps = with_standard_promotion(subject.optimizer), AGES[0] + 1
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct([min(1, size) for size in leaf.shape], leaf.dtype), subject.variables.params
    )
    signs = np.random.default_rng(0).choice([-1.0, 1.0], steps).astype(np.float32)
    lanes = np.stack([signs] * 3)
    for lane, age in enumerate(AGES, 1):
        lanes[lane, -1 - age] *= -1

    def full(number: Any) -> Tree:
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, number), shapes)

    def run(gradients: Any) -> Any:
        params, loss = full(0.5), jnp.float32(1)

        def step(state: Tree, gradient: Any) -> Any:
            grads = full(0.01 * gradient)
            updates, state = inner.update(grads, state, params, value=loss, grad=grads, value_fn=lambda _: loss)
            return state, jnp.stack([leaf.astype(jnp.float32).sum() for leaf in jax.tree.leaves(updates)])

        return jax.lax.scan(step, inner.init(params), gradients)[1][-1]

    base, *turned = np.asarray(jax.jit(jax.vmap(run))(lanes), np.float64)
    old, young = (float(np.abs(each - base).sum()) for each in turned)
    if not np.isfinite([old, young]).all() or young <= 1e-5 * np.abs(base).sum():
        return None
    return min(1.0, (old / young) ** (1 / (AGES[0] - AGES[1])))


def _forgetting(kept: float, *, averaged: bool) -> Repair:
    """Returns the repair that takes the memory out of the updates and puts the usual one in its place.

    The update of a sum `u = kept * u_before + step` gives away its step; that of an average corrected for its bias does
    so times `1 - kept ** t`.
    """

    def fresh(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        def init(params: Tree) -> Any:
            return optax.tree.zeros_like(params), jnp.zeros((), jnp.int32)

        def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Any]:
            del params
            before, count = state
            filled = 1 - jnp.float32(kept) ** (count + 1) if averaged else jnp.float32(1)
            sums = jax.tree.map(lambda leaf: leaf * filled.astype(leaf.dtype), updates)
            steps = jax.tree.map(lambda new, old: new - jnp.asarray(kept, new.dtype) * old, sums, before)
            return steps, (sums, count + 1)

        gain = (1 - USUAL) / (1 - kept) if averaged else 1.0  # an average has the size of what it averages
        undone = optax.GradientTransformation(init, update)
        return optax.chain(optimizer, undone, optax.trace(USUAL), optax.scale(gain))

    kind = "an average" if averaged else "a sum"
    return with_optimizer(f"a memory of {1 / (1 - USUAL):.0f} steps (as that of {kind})", fresh)


PROBES = (Probe("memory of the optimizer", ("momentum-too-high",), look),)
