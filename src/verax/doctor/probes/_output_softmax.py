"""Softmax and sigmoid where outputs meet the loss: applied twice, or over an axis that is not that of the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding, Part
from verax.jaxpr import equations

SAME = 1e-3  # relative: far above float32's rounding, far below what a shift of several units does to a loss
BEYOND = (2.0, 3.0, 5.0, 8.0, 12.0)  # times a perfect probability; smoothed labels have their least near 5
COSTS = 0.1  # of the loss of an undecided answer: what a perfect one may cost and be called perfect


def look(subject: Subject) -> Seen:
    """Asks what a perfect probability costs, and over which axis the outputs are normalised, in network and loss."""
    view = loss_view(subject)
    if view.layout not in ("classes", "logits"):
        raise NotApplicable("the outputs are no scores of classes.")
    if view.layout == "logits":
        return _sigmoid(view)
    found = _wrong_axis(view) or _wrong_axis_in_loss(view)
    if found is not None:
        return Seen("sums of the outputs over each axis, and the loss of shifted outputs", (found,))
    return _softmax(view)


# Twice.


def _softmax(view: LossView) -> Seen:
    classes = view.outputs.shape[-1]
    if not view.are_probabilities:
        return _twice_in_loss(view, "softmax")
    perfect, best, undecided = _costs(view, view.right, np.full(view.outputs.shape, 1 / classes))
    compared = f"a perfect probability costs {perfect:.3g}, an undecided one {undecided:.3g}"
    if not (_takes_shifts(view) and perfect - best > COSTS * undecided):
        return Seen(compared)
    finding = _twice("softmax", "model", perfect, best, undecided, "jax.nn.log_softmax")
    return Seen(compared, (finding,))


def _sigmoid(view: LossView) -> Seen:
    if not view.are_probabilities:
        return _twice_in_loss(view, "sigmoid")

    def answers(size: float) -> np.ndarray:
        return np.where(view.yes, size, 1.0 - size)  # 1 and 0, then 2 and -1, and so on

    perfect, best, undecided = _costs(view, answers, np.full(view.outputs.shape, 0.5))
    compared = f"a perfect probability costs {perfect:.3g}, an undecided one {undecided:.3g}"
    if not (np.isfinite(perfect) and perfect - best > COSTS * undecided and perfect > COSTS * undecided):
        return Seen(compared)
    return Seen(compared, (_twice("sigmoid", "model", perfect, best, undecided, "jax.nn.log_sigmoid"),))


def _costs(view: LossView, answers: Callable[[float], np.ndarray], undecided: np.ndarray) -> tuple[float, float, float]:
    """Returns the loss of perfect probabilities, the least beyond them, and that of an undecided answer."""
    perfect, *beyond = (float(view.together(answers(size)).loss) for size in (1.0, *BEYOND))
    return perfect, float(np.min(beyond)), float(view.together(undecided).loss)  # a NaN beyond is no lower loss


def _takes_shifts(view: LossView) -> bool:
    """Returns whether the loss is the same when all scores of a row rise together: it normalises the row itself."""
    outputs, rows = view.sample(0), view.outputs.shape[:-1]
    shifts = np.random.default_rng(1).uniform(1.0, 3.0, (*rows, 1))
    before, after = float(view.together(outputs).loss), float(view.together(outputs + shifts).loss)
    return abs(after - before) <= SAME * abs(before)


def _twice_in_loss(view: LossView, name: str) -> Seen:
    """Finds a loss that costs what it must if a second softmax (sigmoid) takes the probabilities for scores: however
    large the scores are, the answers lie at 1 and 0 and no further."""
    answers = {"right": view.right(60.0), "wrong": view.right(60.0, wrong=True), "undecided": 0.0 * view.outputs}
    costs = {each: view.alone(outputs).loss for each, outputs in answers.items()}
    compared = ", ".join(f"{each} costs {cost.mean():.3g}" for each, cost in costs.items())
    twice = _costs_twice(view)
    with np.errstate(invalid="ignore", divide="ignore"):
        units = np.stack([costs[each] / twice[each] for each in answers])  # equal by row, whatever the rows weigh
    counted = units[0] > 0
    if not counted.any() or not np.allclose(units[:, counted], units[0, counted], rtol=SAME):
        return Seen(compared)
    right, undecided = float(costs["right"].mean()), float(costs["undecided"].mean())
    return Seen(compared, (_twice(name, "loss", right, 0.0, undecided, f"jax.nn.log_{name}"),))


def _costs_twice(view: LossView) -> dict[str, np.ndarray]:
    """Returns the cross entropy of each example for probabilities taken for scores: 1 and 0 for sure answers."""
    rows = len(view.batch.weight)
    if view.layout == "classes":
        classes = view.outputs.shape[-1]
        most = np.full(rows, np.log(classes - 1 + np.e))
        return {"right": most - 1, "wrong": most, "undecided": np.full(rows, np.log(classes))}
    yes = view.yes.reshape(rows, -1)
    scores = {"right": np.where(yes, 1.0, 0.0), "wrong": np.where(yes, 0.0, 1.0), "undecided": np.full(yes.shape, 0.5)}
    return {each: (np.log1p(np.exp(score)) - yes * score).mean(1) for each, score in scores.items()}


def _twice(name: str, part: Part, perfect: float, best: float, undecided: float, call: str) -> Finding:
    where = "in the network and again in the loss" if part == "model" else "twice in the loss"
    remedy = "Return logits from the network" if part == "model" else "Give the loss the logits themselves"
    return Finding(
        f"double-{name}",
        "error",
        f"{name} is applied {where}: a perfect answer costs {perfect:.3g}, of {undecided:.3g} for an undecided one.",
        f"{remedy}; apply {call} once.",
        part=part,
        evidence=(f"were the scores not held between 0 and 1, the same loss would fall to {max(best, 0.0):.2g}",),
        confidence=1.0,
    )


# Over the wrong axis.


def _wrong_axis(view: LossView) -> Finding | None:
    """Finds outputs, in training or evaluation, that sum to one over an axis that is not the last."""
    for outputs, mode in ((view.outputs, "training"), (view.evaluated, "evaluation")):
        with np.errstate(over="ignore"):
            forms = {"outputs": outputs, "exp(outputs)": np.exp(outputs)}
        for form, values in forms.items():
            sums = [np.abs(values.sum(axis) - 1).max() for axis in range(outputs.ndim)]
            axes = [axis for axis, off in enumerate(sums) if off < SAME and outputs.shape[axis] > 1]
            if axes and outputs.ndim - 1 not in axes and np.all(values >= 0):
                return _axis_finding(view, axes[0], "model", f"{form} in {mode} sum to 1 over axis {axes[0]}")
    return None


def _wrong_axis_in_loss(view: LossView) -> Finding | None:
    """Finds a loss that does not mind a number added to one class in all rows, and minds one added to all classes of a
    row, with a sum of exponentials over an axis that is not the last."""
    generator, outputs, last = np.random.default_rng(2), view.sample(0), view.outputs.ndim - 1
    if view.are_probabilities or _takes_shifts(view):
        return None
    before = float(view.together(outputs).loss)
    for axis in range(last):
        shape = [1 if each == axis else size for each, size in enumerate(outputs.shape)]
        after = float(view.together(outputs + generator.uniform(1.0, 3.0, shape)).loss)
        if outputs.shape[axis] > 1 and abs(after - before) <= SAME * abs(before) and _sums_exponentials(view, axis):
            how = f"the loss is {before:.4g} and stays so when a number is added along axis {axis}"
            return _axis_finding(view, axis, "loss", how)
    return None


def _sums_exponentials(view: LossView, axis: int) -> bool:
    program = jax.make_jaxpr(view.subject.losses)(view.outputs_tree, view.batch)
    eqns: list[Any] = [equation.eqn for equation in equations(program)]
    shape = view.outputs.shape
    exponentials = any(eqn.primitive.name == "exp" and eqn.outvars[0].aval.shape == shape for eqn in eqns)
    sums = (eqn for eqn in eqns if eqn.primitive.name == "reduce_sum" and eqn.invars[0].aval.shape == shape)
    return exponentials and any(tuple(eqn.params["axes"]) == (axis,) for eqn in sums)


def _axis_finding(view: LossView, axis: int, part: Part, how: str) -> Finding:
    over = "the examples of the batch" if axis == 0 else f"axis {axis}"
    return Finding(
        "wrong-softmax-axis",
        "error",
        f"softmax is taken over {over}, of which there are {view.outputs.shape[axis]}, and not over the "
        f"{view.outputs.shape[-1]} classes.",
        "Use axis=-1.",
        part=part,
        evidence=(how, f"outputs {list(view.outputs.shape)}"),
        confidence=1.0,
    )


PROBES = (Probe("softmax and sigmoid", ("double-softmax", "double-sigmoid", "wrong-softmax-axis"), look),)
