"""Whether updates go down the loss: they are added to the parameters, so they must point against the gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Rule, cosine, flat, random_like, rule_of, scaled
from verax.findings import Finding, Leaf
from verax.trees import Tree, count

STEPS = 12  # past the first step of a warm-up, and past the accumulation of a few batches
CLIMBS = -0.1  # a cosine that is no rounding of 0
ADVICE = "Give the learning rate a minus sign: Optax adds updates, so a chain ends with optax.scale(-learning_rate)."
PASSED_ON = (
    "optax.masked passes on unchanged what its mask leaves out: add optax.masked(optax.set_to_zero(), the others), or "
    "use optax.partition."
)


def look(subject: Subject) -> Seen:
    """Asks the optimizer for updates to gradients that never change, random and real, and to their opposites."""
    rule, params = rule_of(subject), jax.tree.leaves(subject.variables.params)
    if not params:
        raise NotApplicable("there are no parameters.")
    random, real = random_like(subject.variables.params), rule.walk[0].grads
    cosines = [np.nan_to_num(_along(rule, grads)) for grads in (random, real)]
    moving = np.array([each != 0 for each in cosines[0]])
    if not moving.any():
        raise NotApplicable("the optimizer moves no parameter.")
    sizes = np.array([np.size(leaf) for leaf in params])
    climbs = (cosines[0] < CLIMBS) & (cosines[1] <= 0)
    compared = f"cosine of updates and descent, random gradients: {np.average(cosines[0], weights=sizes):.2f}"
    if not climbs.any():
        return Seen(compared)
    everywhere = sizes[climbs].sum() > 0.5 * sizes[moving].sum()
    matrices = any(np.ndim(leaf) >= 2 for leaf, up in zip(params, climbs, strict=True) if up)
    which = [path for path, up in zip(subject.paths, climbs, strict=True) if up]
    step = rule.walk[0]
    slope = float(flat(step.grads) @ flat(step.updates))
    evidence = (
        f"cosine of update and -gradient: {cosines[0][climbs].mean():.3f} for random gradients, "
        f"{cosines[1][climbs].mean():.3f} for the first batch's",
        f"gradient times update, the change of the loss to first order: {slope:+.3g}",
        f"loss on the same batch: {step.before:.4g} before the first step, {step.after:.4g} after it",
    )
    if everywhere and _rewards_errors(subject):
        said = "updates climb the objective, and the objective is larger for better answers: it is maximised."
        return Seen(compared, (Finding("update-sign-error", "info", said, part="optimizer", evidence=evidence),))
    passed_on = _passes_on(rule, random, climbs)
    parts = "" if everywhere else f" of {len(which)} of {moving.sum()} parameters ({', '.join(which[:3])})"
    said = f"updates{parts} point up the gradient: cosine with descent {cosines[0][climbs].mean():.2f}."
    severity = "error" if everywhere or matrices else "info"  # multipliers of constraints, scalars, climb on purpose
    where = None if everywhere else Leaf(which[0])
    advice = PASSED_ON if passed_on else ADVICE
    finding = Finding("update-sign-error", severity, said, advice, where, "optimizer", evidence, 1.0)
    return Seen(compared, (finding,))


def _along(rule: Rule, grads: Tree) -> np.ndarray:
    """Returns for each parameter the cosine of descent and what is odd in the gradient among the updates: no decay."""
    totals = []
    for sign in (1.0, -1.0):
        state, total = rule.at_peak, None
        for _ in range(STEPS):
            updates, state = rule.update(scaled(grads, sign), state, rule.params)
            total = updates if total is None else jax.tree.map(jnp.add, total, updates)
        totals.append(total)
    triples = zip(*(jax.tree.leaves(tree) for tree in (grads, *totals)), strict=True)
    return np.array([cosine(-flat(grad), flat(plus) - flat(minus)) for grad, plus, minus in triples])


def _passes_on(rule: Rule, grads: Tree, climbs: np.ndarray) -> bool:
    """Returns whether the updates that climb are the gradients themselves."""
    updates = rule.update(grads, rule.at_peak, rule.params)[0]
    pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(updates), climbs, strict=True)
    return all(np.allclose(flat(grad), flat(update), rtol=1e-3) for grad, update, up in pairs if up)


def _rewards_errors(subject: Subject) -> bool:
    """Returns whether the loss falls where outputs move away from the targets: then climbing it is right."""
    batch = subject.batch
    (_, (outputs, _)), _ = subject.gradient(*subject.variables, batch, subject.noise(0))
    leaves, targets = jax.tree.leaves(outputs), jax.tree.leaves(batch.targets)
    if subject.task == "custom" or len(leaves) != 1 or len(targets) != 1 or not count(outputs):
        return False
    slopes = np.asarray(jax.tree.leaves(jax.grad(lambda outputs: subject.mean_loss(outputs, batch))(outputs))[0])
    output, target = np.asarray(leaves[0], np.float64), np.asarray(targets[0])
    if subject.task in ("classification", "sequence"):
        if slopes.shape != (*target.shape, slopes.shape[-1]):
            return False
        counted = (target >= 0) & (target < slopes.shape[-1])
        right = np.take_along_axis(slopes, np.where(counted, target, 0)[..., None].astype(int), -1)[..., 0]
        return bool((right - slopes.mean(axis=-1))[counted].sum() > 0)
    if slopes.size != target.size:
        return False
    slopes, output, target = slopes.ravel(), output.ravel(), target.ravel().astype(np.float64)
    away = output - target if subject.task == "regression" else 1 - 2 * target
    return bool((slopes * away).sum() < 0)


PROBES = (Probe("direction of the updates", ("update-sign-error",), look),)
