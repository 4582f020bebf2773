"""Does one term of the loss, which does not look at the targets, drown the one that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal

from verax.doctor._depends import dependencies
from verax.doctor._loss_view import LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._rewrite import Replacements, rewritten
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import Equation
from verax.jaxpr._evaluate import called_program, open_program
from verax.trees import Tree

DROWNS = 10.0  # times the slope of the rest: judgement; the two halves of a cross entropy differ by less
LINEAR = ("div", "mul", "reduce_sum", "neg", "convert_element_type", "reshape", "broadcast_in_dim", "squeeze")


def look(subject: Subject) -> Seen:
    """Compares the slope of each added term that ignores the targets with the slope of the rest of the loss."""
    view = loss_view(subject)
    if view.layout == "other":
        raise NotApplicable("outputs and targets are not compared one by one.")
    program = jax.make_jaxpr(subject.losses)(view.outputs_tree, view.batch)
    free = _free_terms(program)
    if not free:
        return Seen("the loss is one term")
    ratios = [max(_ratio(view, number, at) for at in (view.outputs, view.sample(0))) for number in range(len(free))]
    number = int(np.argmax(ratios))
    compared = f"slope of the term without targets {ratios[number]:.3g} times that of the rest of the loss"
    if not np.isfinite(ratios[number]) or ratios[number] < DROWNS:
        return Seen(compared)
    equation = free[number][0]
    finding = Finding(
        "misscaled-loss-term",
        "error",
        f"a term of the loss that does not look at the targets has {ratios[number]:.3g} times the slope of the rest.",
        "Lower its weight until the slopes are alike, or drop it.",
        where=equation.place.span,
        part="loss",
        evidence=(compared,),
        confidence=0.7,
    )
    repair = Repair("the loss without that term", lambda subject: _without(subject, number))
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


def _free_terms(program: Any) -> list[tuple[Equation, int]]:
    """Returns the additions on the way to the loss with one operand that depends on outputs and not on targets, and
    which operand it is; between them and the loss there are only linear operations."""
    leaves = len(open_program(program)[0].invars)
    behind: dict[tuple[int, ...], Sequence[frozenset[str]]] = {}
    dependencies(program, ["outputs", *["targets"] * (leaves - 1)], lambda e, names: behind.update({e.key: names}))
    free = []
    for equation in _additions(program, None):
        for side, names in enumerate(behind.get(equation.key, ())):
            if names == {"outputs"} and "targets" in behind[equation.key][1 - side]:
                free.append((equation, side))
    return free


def _additions(program: Any, outer: Equation | None) -> list[Equation]:
    """Returns the additions and subtractions that reach a program's first output by linear operations."""
    jaxpr, _ = open_program(program)
    makers: dict[Any, JaxprEqn] = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    found, waiting = [], [jaxpr.outvars[0]]
    while waiting:
        var = waiting.pop()
        if isinstance(var, Literal) or var not in makers:
            continue
        eqn = makers[var]
        equation, inner = Equation(eqn, outer), called_program(eqn)
        if inner is not None and not eqn.primitive.name.startswith("custom"):
            found.extend(_additions(inner, equation))
        elif eqn.primitive.name in ("add", "sub"):
            found.append(equation)
            waiting.extend(eqn.invars)
        elif eqn.primitive.name in LINEAR:
            waiting.append(eqn.invars[0])
    return found


def _ratio(view: LossView, number: int, outputs: np.ndarray) -> float:
    """Returns the slope of a term by the outputs, in units of the slope of the rest."""
    changed = _without(view.subject, number)
    (rest,) = jax.tree.leaves(jax.grad(changed.mean_loss)(view.tree(outputs), view.batch))
    whole = view.together(outputs).slope
    length = float(np.linalg.norm(np.asarray(rest, np.float64)))
    return float(np.linalg.norm(whole - np.asarray(rest, np.float64))) / max(length, 1e-30)


def _without(subject: Subject, number: int) -> Subject:
    def choose(closed: Any) -> Replacements:
        equation, side = _free_terms(closed)[number]
        sign = -1.0 if equation.eqn.primitive.name == "sub" and side == 0 else 1.0
        return ((equation, lambda operands: sign * jnp.asarray(operands[1 - side])),)

    def losses(outputs: Tree, batch: Any) -> Any:
        return rewritten(subject.losses, choose, outputs, batch)

    return subject.changed(losses=losses)


PROBES = (Probe("terms of the loss", ("misscaled-loss-term",), look),)
