"""Is the loss of a batch what its examples say, each beside its own target: broadcasting, sums for means, pairing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._depends import dependencies
from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._step_sizes import minds_scale, steps_raise_loss
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import Equation

SAME = 1e-4  # relative: sums of float32 numbers in another order differ by less
ELEMENTWISE = ("add", "sub", "mul", "div", "max", "min", "pow", "atan2", "rem", "squared_difference")


def look(subject: Subject) -> Seen:
    """Compares the loss of a batch with those of its examples alone, and with targets in another order."""
    view = loss_view(subject)
    if view.layout == "other":
        raise NotApplicable("outputs and targets are not compared one by one.")
    one, other = view.sample(0), view.sample(1)
    losses = [float(view.together(each).loss) for each in (one, other)]
    alone = [float(view.alone(each).loss.mean()) for each in (one, other)]
    compared = f"loss of a batch {losses[0]:.4g}, mean loss of its {len(view.batch.weight)} examples {alone[0]:.4g}"
    if not np.all(np.isfinite([*losses, *alone])):
        raise NotApplicable("the loss is not finite at random outputs.")
    table = _table(view)
    if table is not None and not np.allclose(losses, alone, rtol=SAME):
        return Seen(compared, (_broadcast(view, table, losses[0], alone[0]),))
    if _ignores_order(view, one, abs(losses[0] - losses[1])) and _ignores_order_near(view):
        return Seen(compared, (_unpaired(view, one, losses[0]),))
    return _reduction(view, losses, alone, compared)


def _table(view: LossView) -> Equation | None:
    """Returns the equation that makes a table of rows by rows from a column of outputs and a row of targets."""
    if view.outputs.shape == view.targets.shape:
        return None
    closed = jax.make_jaxpr(view.subject.losses)(view.outputs_tree, view.batch)
    found: list[Equation] = []

    def see(equation: Equation, operands: Sequence[frozenset[str]]) -> None:
        if _makes_table(equation.eqn, operands, len(view.batch.weight)):
            found.append(equation)

    dependencies(closed, ["outputs", *["targets"] * len(jax.tree.leaves(view.batch))], see)
    return found[0] if found else None


def _makes_table(eqn: Any, operands: Sequence[frozenset[str]], rows: int) -> bool:
    if eqn.primitive.name not in ELEMENTWISE or tuple(eqn.outvars[0].aval.shape).count(rows) < 2:
        return False
    smaller = all(var.aval.size < eqn.outvars[0].aval.size for var in eqn.invars)
    outputs = [each for each in operands if "outputs" in each]
    return smaller and len(outputs) == 1 and any(each == {"targets"} for each in operands)


def _broadcast(view: LossView, table: Equation, loss: float, alone: float) -> Finding:
    eqn: Any = table.eqn
    rows, shape = len(view.batch.weight), tuple(eqn.outvars[0].aval.shape)
    return Finding(
        "loss-broadcasting",
        "error",
        f"outputs {view.outputs.shape} and targets {view.targets.shape} broadcast to {shape} in the loss: every output "
        f"is compared with all {rows} targets.",
        "Give both one shape before they meet: outputs.reshape(-1), or targets[:, None].",
        where=table.place.span,
        part="loss",
        evidence=(
            f"loss of a batch {loss:.4g}, mean loss of the same {rows} examples one by one {alone:.4g}",
            f"{eqn.primitive.name} of {' and '.join(str(var.aval.shape) for var in eqn.invars)}",
        ),
        confidence=1.0,
    )


def _ignores_order(view: LossView, outputs: np.ndarray, spread: float) -> bool:
    """Returns whether targets that are handed to other outputs leave the loss as it is, though the outputs matter."""
    targets, loss = view.targets, float(view.together(outputs).loss)
    rows = len(targets)
    moved = [np.roll(targets, by, axis=0) for by in (1, max(1, rows // 2))]
    vary = all(np.mean(np.any((each != targets).reshape(rows, -1), axis=1)) > 0.25 for each in moved)
    if rows < 8 or not vary or spread < 1e-4 * abs(loss) or not view.together(outputs).slope.any():
        return False
    return all(abs(float(view.together(outputs, each).loss) - loss) < 1e-3 * spread for each in moved)


def _ignores_order_near(view: LossView) -> bool:
    """Returns the same of outputs near those that the network gives: numbers as large as the targets may be far beyond
    what a loss takes (the exponent of a count), where rounding hides them."""
    generator = np.random.default_rng(2)
    one, other = (view.outputs + generator.normal(size=view.outputs.shape) for _ in range(2))
    spread = abs(float(view.together(one).loss) - float(view.together(other).loss))
    return _ignores_order(view, one, spread)


def _unpaired(view: LossView, outputs: np.ndarray, loss: float) -> Finding:
    same = np.broadcast_to(view.targets[:1], view.targets.shape)
    unseen = abs(float(view.together(outputs, same).loss) - loss) < SAME * abs(loss)
    evidence = (f"loss {loss:.6g}, and as much with the targets moved by one row and by half a batch",)
    if unseen:
        said = "the loss does not look at the targets: it is the same when all of them are made equal."
        advice = "Compare outputs and targets in the loss."
        return Finding("loss-mismatch", "error", said, advice, None, "loss", evidence, 1.0)
    said = "the loss is the same whichever row a target belongs to: it averages over examples before it compares."
    advice = "Compare each output with its own target first, then take the mean over examples."
    return Finding("loss-wrong-reduction", "error", said, advice, None, "loss", evidence, 1.0)


def _reduction(view: LossView, losses: list[float], alone: list[float], compared: str) -> Seen:
    """Looks for a factor on the loss that nobody meant: the number of rows, of positions, of classes."""
    rows = len(view.batch.weight)
    factors = [a / b if b else 1.0 for a, b in zip(losses, alone, strict=True)]
    steady = abs(factors[0] - factors[1]) < 1e-3 * abs(factors[0])
    summed = steady and rows > 1 and abs(factors[0] / rows - 1) < 1e-3
    divided = steady and rows > 1 and abs(factors[0] * rows - 1) < 1e-3
    if summed:
        return _scaled(view, float(rows), f"the loss is a sum over {rows} examples, not their mean", compared)
    if divided:
        return _scaled(view, 1 / rows, f"the loss is divided by the {rows} examples twice", compared)
    number, what = _positions_or_classes(view)
    if number != 1.0 and steady:
        return _scaled(view, number, what, compared)
    return Seen(compared)


def _positions_or_classes(view: LossView) -> tuple[float, str]:
    """Returns the factor by which the loss of an undecided answer differs from log(classes), if it is one of two."""
    if view.layout != "classes" or view.are_probabilities or not view.labelled.all():
        return 1.0, ""
    classes, positions = view.outputs.shape[-1], int(np.prod(view.outputs.shape[1:-1]))
    factor = float(view.alone(np.zeros(view.outputs.shape)).loss.mean()) / np.log(classes)
    if positions > 1 and abs(factor / positions - 1) < 1e-3:
        return float(positions), f"the loss is a sum over {positions} positions"
    if classes > 2 and abs(factor * classes - 1) < 1e-3:
        return 1 / classes, f"the loss is a mean over {classes} classes, all but one of which are 0"
    if abs(factor * len(view.labels) - 1) < 1e-3:
        return 1 / len(view.labels), f"the loss is divided by the {len(view.labels)} examples twice"
    return 1.0, ""


def _scaled(view: LossView, factor: float, what: str, compared: str) -> Seen:
    """Raises the alarm where the user's steps raise a loss that they lower without the factor; else leaves it to the
    repair, where the optimizer minds the factor at all."""
    subject = view.subject
    if not minds_scale(subject, 1 / factor):
        return Seen(f"{compared}; the optimizer does not mind the factor {factor:.3g}")

    harmful = factor > 1 and steps_raise_loss(subject, 1.0) and not steps_raise_loss(subject, 1 / factor)
    finding = Finding(
        "loss-wrong-reduction",
        "error",
        f"{what}: gradients, and so the steps, are {max(factor, 1 / factor):.3g} times too "
        f"{'large' if factor > 1 else 'small'}.",
        "Take the mean over examples (and over the positions that count).",
        part="loss",
        evidence=(
            compared,
            *(("3 steps raise the loss of the batch they are taken on; with the mean they lower it",) * harmful),
        ),
        confidence=0.95 if harmful else 0.6,
    )
    if harmful:
        return Seen(compared, (finding,))
    repair = Repair(f"the loss divided by {factor:.3g}", lambda subject: _divided(subject, factor))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _divided(subject: Subject, factor: float) -> Subject:
    return subject.changed(losses=lambda outputs, batch: jnp.asarray(subject.losses(outputs, batch)) / factor)


PROBES = (
    Probe("loss of a batch and of its examples", ("loss-broadcasting", "loss-wrong-reduction", "loss-mismatch"), look),
)
