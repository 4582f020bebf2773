"""Are the stated probabilities those that were trained: a scale on the logits in evaluation, reading or loss only."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn, Literal

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding, Part
from verax.jaxpr._evaluate import called_program, open_program

SHARPER = 1.25  # nobody sharpens probabilities on purpose, but for rounding
SOFTER = 0.25  # temperatures up to 3 are common after training (Guo et al. 2017, table 2): a real mistake is larger
SAME = 1e-3
SHAPES = ("reshape", "squeeze", "broadcast_in_dim", "convert_element_type", "transpose", "copy")


def look(subject: Subject) -> Seen:
    """Multiplies the scales that lie between trained and stated probabilities: a constant factor on the logits."""
    view = loss_view(subject)
    if view.layout not in ("classes", "logits") or view.are_probabilities:
        raise NotApplicable("the outputs are no logits.")
    trained = _of_loss(view)
    if trained is None:
        raise NotApplicable("the loss is no plain cross entropy of logits.")
    training, evaluation = (_scale(each) for each in (subject.training_program, subject.evaluation_program))
    stated = _of_reading(view)
    mode = evaluation / training
    total = mode * stated / trained
    compared = f"factors on the logits: evaluation {mode:.4g}, stated probabilities {stated:.4g}, loss {trained:.4g}"
    if SOFTER <= total <= SHARPER or not np.isfinite(total) or total <= 0:
        return Seen(compared)
    part: Part = "model" if abs(np.log(mode)) >= abs(np.log(stated / trained)) else "loss"
    is_asked = part == "model" or subject.probabilities is not None  # else nobody reads the outputs as probabilities
    where = "in evaluation only" if part == "model" else "between the loss and the stated probabilities"
    return Seen(
        compared,
        (
            Finding(
                "miscalibration",
                "error" if is_asked else "info",
                f"the logits are multiplied by {total:.3g} {where}: stated probabilities are far too "
                f"{'sure' if total > 1 else 'unsure'}.",
                "Drop the factor, or use it in training and evaluation; a temperature is fitted on held-out rows.",
                part=part,
                evidence=(compared,),
                confidence=1.0,
            ),
        ),
    )


def _of_loss(view: LossView) -> float | None:
    """Returns the factor on the outputs within the loss, where it is a plain cross entropy; weights do not matter."""
    zero, one, two = (view.alone(view.right(size)).loss for size in (0.0, 1.0, 2.0))
    classes = 2 if view.layout == "logits" else view.outputs.shape[-1]
    if not (np.all(np.isfinite([zero, one, two])) and np.all(zero > 0)):
        return None
    units = zero / np.log(classes)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [-np.log(np.expm1(each / units) / (classes - 1)) for each in (one, two)]
    factor = float(np.median(found[0]))
    fits = np.allclose(found[0], factor, rtol=SAME) and np.allclose(found[1], 2 * factor, rtol=10 * SAME)
    return factor if fits and factor > 0 else None


def _of_reading(view: LossView) -> float:
    """Returns the factor on the outputs within the stated probabilities; 1 where they are their softmax."""
    stated = view.subject.probabilities
    if stated is None:
        return 1.0
    outputs = np.asarray(view.sample(0), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.asarray(stated(outputs), np.float64))
        if view.layout == "classes" and logs.shape == outputs.shape:
            given, wanted = logs[..., 1:] - logs[..., :1], outputs[..., 1:] - outputs[..., :1]
        elif view.layout == "logits" and logs.size == outputs.size:
            given, wanted = (logs - np.log1p(-np.exp(logs))).reshape(-1), outputs.reshape(-1)
        else:
            return 1.0
        ratios = (given / wanted)[np.isfinite(given) & (np.abs(wanted) > 0.1) & (np.abs(given) < 12)]
    if not ratios.size or not np.allclose(ratios, np.median(ratios), rtol=1e-2):
        return 1.0
    return float(np.median(ratios))


def _scale(closed: Any) -> float:
    """Returns the constant by which a program multiplies its first output last of all; 1 where there is none."""
    jaxpr, consts = open_program(closed)
    known = {var: const for var, const in zip(jaxpr.constvars, consts, strict=False) if np.size(const) == 1}
    makers: dict[Any, JaxprEqn] = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    var, factor = jaxpr.outvars[0], 1.0
    while not isinstance(var, Literal) and var in makers:
        eqn, name = makers[var], makers[var].primitive.name
        inner = called_program(eqn)
        if inner is not None:
            return factor * _scale(inner) if eqn.outvars[0] is var else factor
        if name in ("mul", "div"):
            numbers = [_number(each, known, makers) for each in eqn.invars]
            if (numbers[0] is None) == (numbers[1] is None) or (name == "div" and numbers[1] is None):
                return factor
            index = 0 if numbers[0] is None else 1
            number = numbers[1 - index]
            assert number is not None
            factor = factor / number if name == "div" else factor * number
            var = eqn.invars[index]
        elif name in SHAPES:
            var = eqn.invars[0]
        else:
            return factor
    return factor


def _number(var: Any, known: dict[Any, Any], makers: dict[Any, JaxprEqn]) -> float | None:
    """Returns the constant that an operand is, or None."""
    while not isinstance(var, Literal) and var in makers and makers[var].primitive.name in SHAPES:
        var = makers[var].invars[0]
    value = var.val if isinstance(var, Literal) else known.get(var)
    return None if value is None else float(np.asarray(value).reshape(-1)[0])


PROBES = (Probe("factors on the logits", ("miscalibration",), look),)
