"""What a gradient check says about a leaf, in words."""

from __future__ import annotations

import numpy as np

from verax.debug._gradient_causes import Cause
from verax.debug._gradient_report import LeafGradient, RuleGradient
from verax.findings import Finding, Leaf
from verax.jaxpr import Place


def not_deterministic(places: tuple[Place, ...], how: str = "") -> Finding:
    """Returns the finding for a loss with two answers, and where they come from."""
    known = [place for place in places if place.span]
    how = f" ({how})" if how else ""
    lines = f", from {', '.join(map(str, known))} on" if known else ""
    return Finding(
        "unseeded-randomness",
        "error",
        f"the loss gives two answers for the same arguments{lines}{how}, so no gradient can be checked.",
        "Draw random numbers with jax.random from a key that is passed in, and keep no state outside.",
        known[0].span if known else None,
    )


def non_finite_loss(value: float) -> Finding:
    """Returns the finding for a loss that is not finite where it is to be checked."""
    return Finding(
        "non-finite-loss", "error", f"the loss is {value} in float64.", "Check the inputs and the parameters first."
    )


def findings_on(leaf: LeafGradient, grads: np.ndarray, precision: str, cause: Cause | None) -> list[Finding]:
    """Returns what is to be said about a leaf: nothing if it passed."""
    where = Leaf(leaf.path or "params")
    if not np.isfinite(grads).all():
        bad = int(np.count_nonzero(~np.isfinite(grads)))
        message = f"{bad} of {grads.size} derivatives are NaN or infinite."
        advice = "Look for log or division at zero, sqrt at zero, or a jnp.where whose unused branch is not finite."
        return [Finding("non-finite-gradient", "error", message, advice, where)]
    if leaf.status == "passed":
        return []
    if leaf.status == "undecided":
        return [_undecided(leaf, grads, precision, cause, where)]
    numbers = _numbers(leaf)
    reason = f" {cause.text}" if cause else ""
    if not grads.any():
        message = f"the automatic gradient is zero but the loss changes: {numbers}{reason}"
        advice = "Look for stop_gradient, a cast to integers, argmax or rounding between this leaf and the loss."
        advice = cause.advice if cause else advice
        return [Finding("parameter-without-gradient", "error", message, advice, where)]
    worst = leaf.worst
    ratio = worst.automatic / worst.numerical if worst.numerical else np.inf
    message = f"the sign is wrong: {numbers}{reason}" if abs(ratio + 1) < 1e-3 else f"{numbers}{reason}"
    advice = "Look for a custom_vjp, custom_jvp or stop_gradient that this leaf goes through."
    advice = cause.advice if cause else advice
    return [Finding("wrong-custom-gradient", "error", message, advice, where)]


def findings_on_rules(rules: tuple[RuleGradient, ...], findings: list[Finding]) -> list[Finding]:
    """Returns what is to be said about rules that are wrong by themselves but that no leaf has shown."""
    said = "\n".join(finding.message for finding in findings)
    hidden = [rule for rule in rules if rule.status == "failed" and str(rule) not in said]
    return [
        Finding(
            "wrong-custom-gradient",
            "warning",
            f"wrong by itself, though no leaf shows it here: {rule}.",
            "Mend that rule: at other parameters it will spoil the gradient.",
            rule.definition or rule.place.span,
        )
        for rule in dict.fromkeys(hidden)
    ]


def _numbers(leaf: LeafGradient) -> str:
    worst = leaf.worst
    place = " along a direction through the leaf" if worst.where is None else f" at {list(worst.where)}"
    share = f"{leaf.wrong} of {leaf.coordinates + leaf.directions} disagree."
    return f"automatic {worst.automatic:.6g}, numerical {worst.numerical:.6g}{place}; {share}"


def _undecided(leaf: LeafGradient, grads: np.ndarray, precision: str, cause: Cause | None, where: Leaf) -> Finding:
    if cause is not None:
        message = f"it cannot be judged by differences: {cause.text} {_numbers(leaf)}"
        return Finding("straight-through-gradient", "info", message, cause.advice, where)
    if leaf.kinks:
        message = f"all {leaf.kinks} derivatives that were compared lie on kinks of the loss, so none could be judged."
        advice = "Check at other parameters, moved by a little noise."
        return Finding("gradient-undecided", "warning", message, advice, where)
    if precision == "float64":
        message = (
            f"its gradient is at most {np.abs(grads).max():.1e}, less than rounding lets differences of the loss show."
        )
        return Finding("gradient-undecided", "info", message, "Nothing, if it ought to be zero.", where)
    message = f"the loss is computed in {precision}, too coarse for differences to show a gradient of this size."
    return Finding(
        "gradient-undecided", "warning", message, "Check it without the callback that fixes this type.", where
    )
