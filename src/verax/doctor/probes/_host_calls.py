"""Does each step call back into Python, so that the device waits for the host?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import rule_of
from verax.findings import Finding
from verax.jaxpr import Equation, equations, has_primitive, run_equation
from verax.jaxpr._evaluate import called_program, open_program

DEBUGGING = ("debug_callback", "debug_print")
WAITED_FOR = ("pure_callback", "io_callback")
SLOWER = 2.0  # a step that takes twice as long waits for as long as it computes
SECONDS = 1e-3  # and a millisecond is above what timers and other processes make of a step
CALLS, AT_MOST = 12, 1.0  # steps that are timed, and for how long


def look(subject: Subject) -> Seen:
    """Looks for callbacks in a step, and times its gradient without those that it waits for."""
    jitted: Any = subject.gradient
    gradient = jitted.trace(*subject.variables, subject.batch, subject.noise(0)).jaxpr
    found = _callbacks(gradient) + _callbacks(rule_of(subject).program)
    if not found:
        return Seen("no callback into Python in gradient and optimizer.")
    waited = [each for each in found if each.eqn.primitive.name in WAITED_FOR]
    first = (waited or found)[0]
    message = (
        f"{first.eqn.primitive.name} in {first.place.layer or first.place.span}: each step calls Python on the host"
    )
    others = f" ({len(found)} callbacks)" if len(found) > 1 else ""
    compared = f"{len(found)} callbacks in gradient and optimizer, {len(waited)} of them waited for."
    where, advice = first.place.span, "Compute it with jax.numpy; to look at numbers, return them and fetch them later."
    if not waited:
        message = f"{message}{others}, as for debugging."
        return Seen(compared, (Finding("host-sync", "info", message, advice, where, "model", (), 1.0),))
    evidence: tuple[str, ...] = ()
    slow = False
    in_gradient = sum(each.eqn.primitive.name in WAITED_FOR for each in equations(gradient))
    if in_gradient and in_gradient == _within_calls(gradient):
        with_calls, without = _seconds(subject, subject.gradient, _without_calls(gradient))
        evidence = (f"a gradient takes {with_calls * 1e3:.2g} ms, and {without * 1e3:.2g} ms without them",)
        slow = with_calls > SLOWER * without and with_calls - without > SECONDS
    message = f"{message}{others}, and waits for what it returns."
    severity: Any = "warning" if slow else "info"
    return Seen(compared, (Finding("host-sync", severity, message, advice, where, "model", evidence, 1.0),))


def _callbacks(program: Any) -> list[Equation]:
    return [each for each in equations(program) if each.eqn.primitive.name in (*DEBUGGING, *WAITED_FOR)]


def _within_calls(program: Any) -> int:
    """Returns how many callbacks that are waited for stand within calls alone: those can be left out."""
    found = 0
    for eqn in open_program(program)[0].eqns:
        inner = called_program(eqn)
        found += eqn.primitive.name in WAITED_FOR
        found += 0 if inner is None else _within_calls(inner)
    return found


def _without_calls(program: Any) -> Callable[..., Any]:
    """Returns the gradient, compiled, with given numbers in place of what callbacks return.

    These are arguments and what callbacks would be given is a result, so that nothing else falls away with them.
    """

    def gradient(args: Any, stand_ins: Sequence[Any]) -> Any:
        left, given = iter(stand_ins), []
        return _evaluated(program, jax.tree.leaves(args), left, given), given

    found = [each for each in _callbacks(program) if each.eqn.primitive.name in WAITED_FOR]
    types: list[Any] = [var.aval for each in found for var in each.eqn.outvars]
    stand_ins = [jnp.zeros(aval.shape, aval.dtype) for aval in types]
    compiled = jax.jit(gradient)
    return lambda *args: compiled(args, stand_ins)


def _evaluated(program: Any, args: Sequence[Any], stand_ins: Iterator[Any], given: list[Any]) -> list[Any]:
    jaxpr, consts = open_program(program)
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def of(var: Any) -> Any:
        return var.val if isinstance(var, Literal) else values[var]

    for eqn in jaxpr.eqns:
        operands, inner = [of(var) for var in eqn.invars], called_program(eqn)
        if eqn.primitive.name in WAITED_FOR:
            given += operands
            results = [next(stand_ins) for _ in eqn.outvars]
        elif inner is not None and has_primitive(inner, WAITED_FOR):
            results = _evaluated(inner, operands, stand_ins, given)
        else:
            results = run_equation(Equation(eqn), operands)
        values.update(zip(eqn.outvars, results, strict=True))
    return [of(var) for var in jaxpr.outvars]


def _seconds(subject: Subject, *gradients: Callable[..., Any]) -> list[float]:
    """Returns the shortest of some calls of each, in turn, so that a busy machine slows all alike."""
    args = (*subject.variables, subject.batch, subject.noise(0))
    for gradient in gradients:
        jax.block_until_ready(gradient(*args))
    start, shortest = time.perf_counter(), [float("inf")] * len(gradients)
    for _ in range(CALLS):
        for place, gradient in enumerate(gradients):
            began = time.perf_counter()
            jax.block_until_ready(gradient(*args))
            shortest[place] = min(shortest[place], time.perf_counter() - began)
        if time.perf_counter() - start > AT_MOST:
            break
    return shortest


PROBES = (Probe("calls to the host", ("host-sync",), look),)
