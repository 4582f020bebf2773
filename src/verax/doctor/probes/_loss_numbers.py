"""Is the loss a number for every answer that a network can give: log of zero, exp beyond the range of the type."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import Probe, Repair, Seen, Suspicion
from verax.doctor._rewrite import Replacements, with_operations
from verax.doctor._subject import Subject
from verax.findings import Finding, Span
from verax.jaxpr import Equation, evaluate, output_ranges, run_equation
from verax.trees import is_floating

ROUNDS = 20.0  # float32's sigmoid is exactly 1 from 16.7 on: a sure network gets there
OVERFLOWS = 100.0  # float32's exp overflows at 88.7, and exp(-104) is 0
HELD = 80.0  # exp(80) is 5e34: 6000 such numbers can be added in float32
EPSILON = 1e-7  # float32's step below 1
IDS = {"log": "log-of-zero", "log1p": "log-of-zero", "exp": "exp-overflow", "exp2": "exp-overflow"}
IDS |= {"expm1": "exp-overflow", "pow": "exp-overflow", "cosh": "exp-overflow", "sinh": "exp-overflow"}


class Bad(NamedTuple):
    """An operation of the loss that gives no number.

    Attributes:
      id: what it is called.
      operation: the primitive.
      span: its line, if known.
    """

    id: str
    operation: str
    span: Span | None


class Sure(NamedTuple):
    """Answers that a network may come to give.

    Attributes:
      where: how they are called.
      outputs: the answers.
      attained: who gives them.
      easily: whether a healthy run gets there.
      ends: between which the repair holds the outputs in the loss.
    """

    where: str
    outputs: np.ndarray
    attained: str
    easily: bool
    ends: tuple[float, float]


def look(subject: Subject) -> Seen:
    """Asks the loss, and its derivative, at the first outputs and at sure answers, right and wrong.

    At the first outputs it is proved. Whether a run comes to the others, and is lost there, a repair decides.
    """
    view = loss_view(subject)
    bad = _bad(view, view.outputs)
    if bad is not None:
        return Seen("the loss of the first outputs", (_finding(bad, "at the start", "by the first outputs", 1.0),))
    for sure in _sure_answers(view):
        bad = _bad(view, sure.outputs)
        if bad is not None:
            finding = _finding(bad, f"of outputs {sure.where}", sure.attained, 0.8 if sure.easily else 0.4)
            repair = Repair(
                f"outputs held within {sure.ends[0]:g} and {sure.ends[1]:g} in the loss",
                lambda subject, ends=sure.ends: _held(subject, *ends),
            )
            return Seen(f"the loss of outputs {sure.where} is no number", (), (Suspicion(finding, (repair,)),))
    exponentials = _unbounded_exponentials(subject.training_program)
    if exponentials:
        return _in_network(subject, exponentials)
    return Seen("the loss and its derivative are finite for sure answers, right and wrong")


def _sure_answers(view: LossView) -> list[Sure]:
    """Returns sure answers, the easily attained first."""
    if view.layout in ("other", "numbers"):
        return []
    if view.are_probabilities:
        ends, far = (EPSILON, 1 - EPSILON), "logits that differ by 104 give them"
        sure = [view.right(1.0, wrong) > 0 for wrong in (False, True)]
        corners = [Sure("of exactly 0 and 1", each.astype(np.float64), far, False, ends) for each in sure]
        if view.layout == "classes":
            return corners
        rounded = "float32's sigmoid is exactly 1 for a logit above 17"
        return [*(Sure("of exactly 1", np.where(each, 1.0, 0.5), rounded, True, ends) for each in sure), *corners]
    found = []
    for size, attained in ((ROUNDS, "by logits of a sure network"), (OVERFLOWS, "by logits of a diverging network")):
        end = size / (2 if view.layout == "logits" else 4)  # of classes two lie apart, one at either end
        for wrong in (False, True):
            where = f"{size:g} apart that are {'wrong' if wrong else 'right'}"
            found.append(Sure(where, view.right(size, wrong), attained, size == ROUNDS, (-end, end)))
        every = np.full(view.outputs.shape, size)
        found.append(Sure(f"that are all {size:g}", every, attained, size == ROUNDS, (-end, end)))
    return found


def _held(subject: Subject, low: float, high: float) -> Subject:
    def held(leaf: Any) -> Any:
        return jnp.clip(leaf, low, high) if is_floating(leaf) else leaf

    return subject.changed(losses=lambda outputs, batch: subject.losses(jax.tree.map(held, outputs), batch))


def _bad(view: LossView, outputs: np.ndarray) -> Bad | None:
    """Returns the operation that makes the loss of some outputs, or its derivative, no number; None if they are."""
    if not np.all(np.isfinite(outputs)):
        return None
    asked = view.together(outputs)
    if np.all(np.isfinite(asked.loss)) and np.all(np.isfinite(asked.slope)):
        return None
    given = view.tree(outputs)
    forward = jax.make_jaxpr(view.subject.mean_loss)(given, view.batch)
    first = _first_bad(forward, jax.tree.leaves((given, view.batch)))
    if first is None:
        return None
    name = first.eqn.primitive.name
    identity = IDS.get(name, "division-by-zero" if name in ("div", "rsqrt") else "")
    if not identity:
        return None
    hidden = bool(np.all(np.isfinite(asked.loss)))
    return Bad("where-gradient-nan" if hidden and identity != "exp-overflow" else identity, name, first.place.span)


def _first_bad(closed: Any, args: list[Any]) -> Equation | None:
    found: list[Equation] = []

    def visit(equation: Equation, operands: Any, outputs: Any, turns: tuple[int, ...]) -> None:
        if not found and _finite(operands) and not _finite(outputs):
            found.append(equation)

    evaluate(closed, args, visit)
    return found[0] if found else None


def _finite(values: Any) -> bool:
    return all(bool(jnp.isfinite(value).all()) for value in values if is_floating(value))


def _finding(bad: Bad, where: str, attained: str, confidence: float) -> Finding:
    remedies = {
        "log-of-zero": "Use a cross entropy of logits (log_softmax, log_sigmoid), or add an epsilon inside the log.",
        "exp-overflow": "Subtract the largest number first, as jax.nn.softmax and logsumexp do.",
        "division-by-zero": "Add an epsilon to the denominator.",
        "where-gradient-nan": "Replace the operand by a harmless number before the operation, not the result after it.",
    }
    what = "the loss" if bad.id != "where-gradient-nan" else "the derivative of the loss"
    return Finding(
        bad.id,
        "error",
        f"{what} {where} is not finite: {bad.operation} is asked beyond what it can give.",
        remedies[bad.id],
        where=bad.span,
        part="loss",
        evidence=(f"attained: {attained}",),
        confidence=confidence,
    )


# Exponentials within the network.


def _unbounded_exponentials(closed: Any) -> list[Equation]:
    """Returns the exponentials whose operand is not bounded: no largest number is subtracted before."""
    found: list[Equation] = []

    def see(equation: Equation, ranges: Any) -> None:
        if equation.eqn.primitive.name == "exp" and ranges[0].high > OVERFLOWS:
            found.append(equation)

    output_ranges(closed, see)
    return found


def _in_network(subject: Subject, exponentials: list[Equation]) -> Seen:
    program = subject.training_program
    args = jax.tree.leaves((subject.variables, subject.batch.inputs, subject.noise(0)))
    keys, largest = {each.key for each in exponentials}, -np.inf
    around = {outer.key for each in exponentials for outer in _outers(each)}

    def visit(equation: Equation, operands: Any, outputs: Any, turns: tuple[int, ...]) -> None:
        nonlocal largest
        if equation.key in keys:
            largest = max(largest, float(jnp.max(jnp.asarray(operands[0]))))

    evaluate(program, args, visit, over=lambda e, operands: None if e.key in around else run_equation(e, operands))
    compared = f"the largest operand of an exp without its maximum subtracted is {largest:.3g} at the start"
    finding = Finding(
        "exp-overflow",
        "error",
        f"an exponential in the network has no bound: its operand reaches {largest:.3g}, and overflows at 88.7.",
        "Subtract the largest number first, as jax.nn.softmax does, or bound the operand.",
        where=exponentials[0].place.span,
        part="model",
        evidence=(compared,),
        confidence=1.0 if largest > OVERFLOWS else 0.4,
    )
    if largest > 88.7:
        return Seen(compared, (finding,))
    repair = Repair(
        f"exponentials held below exp({HELD:g})", lambda subject: with_operations(subject, _hold_exponentials)
    )
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _outers(equation: Equation) -> list[Equation]:
    return [] if equation.outer is None else [equation.outer, *_outers(equation.outer)]


def _hold_exponentials(closed: Any) -> Replacements:
    def held(operands: Any) -> Any:
        return jnp.exp(jnp.minimum(operands[0], HELD))

    return tuple((each, held) for each in _unbounded_exponentials(closed))


PROBES = (
    Probe(
        "numbers of the loss",
        ("log-of-zero", "exp-overflow", "division-by-zero", "where-gradient-nan"),
        look,
    ),
)
