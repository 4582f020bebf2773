"""Clipping that leaves next to nothing of every gradient."""

from __future__ import annotations

import numpy as np
import optax

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Rule, flat, rule_of, with_optimizer
from verax.findings import Finding
from verax.trees import Tree

OVER = 100  # times the limit
OFTEN = 0.9  # of the first steps
LEVEL = 0.05  # by which updates may differ that are called equal, or in proportion
LEAST = 5e-10  # a gradient in the middle of what is still proportional: Adam with an epsilon of 1e-8 is at 5e-11


def look(subject: Subject) -> Seen:
    """Gives the optimizer a real gradient at many scales: where do its updates stop to grow in proportion?"""
    rule = rule_of(subject)
    grads = flat(rule.walk[0].grads)
    if not np.isfinite(grads).all() or not grads.any():
        raise NotApplicable("the first gradient is zero or not finite.")
    limit = limit_of(rule)
    if limit is None:
        return Seen("updates stay in proportion to the gradient, or its scale makes no difference at all")
    norms = np.array([np.linalg.norm(flat(step.grads)) for step in rule.walk])
    over = norms / limit
    compared = f"gradients of norm {np.median(norms):.3g} are clipped at about {limit:.3g}"
    if np.mean(over > OVER) < OFTEN:
        return Seen(compared)
    said = f"clipping at a norm of about {limit:.2g} leaves 1/{np.median(over):,.0f} of the median gradient."
    evidence = (
        f"norm of the first {len(norms)} gradients: {norms.min():.3g} to {norms.max():.3g}, "
        f"median {np.median(norms):.3g}",
        f"updates are proportional to a gradient up to a norm of {limit:.3g}, and equal for all above it",
    )
    advice = f"Clip at about the median norm, {np.median(norms):.2g}, or not at all."
    finding = Finding("over-clipping", "warning", said, advice, None, "optimizer", evidence, 0.85)
    return Seen(compared, (), (Suspicion(finding, (_widened(rule, float(np.median(norms)), limit),)),))


def limit_of(rule: Rule) -> float | None:
    """Returns the norm at which a rule begins to clip the first gradient; None if it does not clip it, or it makes no
    difference, because the rule is free of scale."""
    sizes, grads = rule.responses, np.abs(flat(rule.walk[0].grads))
    if not sizes[0] or abs(sizes[1] - sizes[0]) > LEVEL * sizes[0]:
        return None
    linear = [
        power
        for power in sizes
        if power < 0 < sizes[power] and abs(sizes[power + 1] - 10 * sizes[power]) <= LEVEL * sizes[power + 1]
    ]
    if not linear or not rule.forgets(1.0):
        return None
    scale = 10.0 ** max(linear)
    if float(np.median(grads[grads > 0])) * scale < LEAST:
        return None
    level = sizes[0] / (sizes[max(linear)] / scale)  # where the line through the small ones reaches that of the large
    return float(level * np.linalg.norm(grads))


def _widened(rule: Rule, norm: float, limit: float) -> Repair:
    """Returns the repair that clips at another norm: the optimizer sees gradients so small that it clips none."""
    small = limit / norm / 10

    def widened(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        if _decays(rule):
            return optax.chain(optimizer, optax.scale(norm / limit))
        clip = optax.clip_by_global_norm(norm)
        return optax.chain(clip, optax.scale(small), optimizer, optax.scale(1 / small))

    return with_optimizer(f"gradients clipped at a norm of {norm:.2g}", widened)


def _decays(rule: Rule) -> bool:
    """Returns whether a gradient of zero moves the parameters: then updates cannot be scaled without their decay."""
    zeros: Tree = optax.tree.zeros_like(rule.params)
    return bool(flat(rule.update(zeros, rule.at_peak, rule.params)[0]).any())


PROBES = (Probe("clipping", ("over-clipping",), look),)
