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


def look(subject: Subject) -> Seen:
    """Asks the loss, and its derivative, at the first outputs and at sure answers, right and wrong."""
    view = loss_view(subject)
    at_start = _bad(view, view.outputs)
    if at_start is not None:
        return Seen("the loss of the first outputs", (_finding(view, at_start, "at the start", "the first", True),))
    for where, answers, attained, repair in _sure_answers(view):
        bad = _bad(view, answers)
        if bad is not None:
            finding = _finding(view, bad, f"of outputs {where}", attained, False)
            return Seen(f"the loss of outputs {where} is no number", (), (Suspicion(finding, (repair,)),))
    exponentials = _unbounded_exponentials(subject.training_program)
    if exponentials:
        return _in_network(subject, exponentials)
    return Seen("the loss and its derivative are finite for sure answers, right and wrong")


def _sure_answers(view: LossView) -> list[tuple[str, np.ndarray, str, Repair]]:
    """Returns sure answers, the easily attained first: how they are called, the outputs, who gives them, the repair."""
    if view.layout in ("other", "numbers"):
        return []
    held = Repair(
        "probabilities held within [1e-7, 1 - 1e-7] in the loss", lambda subject: _held(subject, EPSILON, 1 - EPSILON)
    )
    if view.are_probabilities:
        sure = [view.right(1.0, wrong) > 0 for wrong in (False, True)]
        if view.layout == "logits":
            ones = [np.where(each, 1.0, 0.5) for each in sure]
            rounded = "float32's sigmoid is exactly 1 for a logit above 17"
            easy = [
                (f"of exactly 1 that are {what}", each, rounded, held) for what, each in zip(("right", "wrong"), ones)
            ]
            return [
                *easy,
                *[("of exactly 0 and 1", each.astype(float), "logits beyond 100 give that", held) for each in sure],
            ]
        return [
            ("of exactly 0 and 1", each.astype(float), "logits that differ by 104 give that", held) for each in sure
        ]
    found = []
    for size, attained in (
        (ROUNDS, "a sure network gives such logits"),
        (OVERFLOWS, "a diverging network gives such logits"),
    ):
        repair = Repair(
            f"logits held within {size / 2:g} in the loss", lambda subject, end=size / 2: _held(subject, -end, end)
        )
        for wrong in (False, True):
            found.append(
                (f"{size:g} apart that are {'wrong' if wrong else 'right'}", view.right(size, wrong), attained, repair)
            )
        found.append((f"that are all {size:g}", np.full(view.outputs.shape, size), attained, repair))
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


def _finding(view: LossView, bad: Bad, where: str, attained: str, is_certain: bool) -> Finding:
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
        confidence=1.0 if is_certain else 0.7,
    )


# Exponentials within the network.


def _unbounded_exponentials(closed: Any) -> list[Equation]:
    """Returns the exponentials whose operand is not bounded: no largest number is subtracted before."""
    found: list[Equation] = []

    def see(equation: Equation, ranges: Any) -> None:
        if equation.eqn.primitive.name in ("exp", "exp2") and ranges[0].high > OVERFLOWS:
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
    repair = Repair("exponentials held below exp(80)", lambda subject: with_operations(subject, _hold_exponentials))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _outers(equation: Equation) -> list[Equation]:
    return [] if equation.outer is None else [equation.outer, *_outers(equation.outer)]


def _hold_exponentials(closed: Any) -> Replacements:
    return tuple(
        (each, lambda operands: jnp.exp(jnp.minimum(operands[0], 80.0))) for each in _unbounded_exponentials(closed)
    )


PROBES = (
    Probe("numbers of the loss", ("log-of-zero", "exp-overflow", "division-by-zero", "where-gradient-nan"), look),
)
