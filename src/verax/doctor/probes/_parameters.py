"""Does the loss depend on every parameter, by a way that has a derivative? And is each parameter one of its own?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.findings import Finding, Leaf
from verax.jaxpr import Equation, evaluate, flow, run_equation
from verax.trees import Tree, count, is_floating

NEGLIGIBLE = 0.05  # of all parameters: fewer that nothing uses are a remark (judgement)
CUTS = ("stop_gradient", "round", "floor", "ceil", "sign", "argmax", "argmin")
ROUNDED = ("round", "floor", "ceil", "sign")
CUSTOM = ("custom_vjp_call", "custom_vjp_call_jaxpr")  # their derivative is what somebody wrote
Marks = frozenset[int]


def look(subject: Subject) -> Seen:
    """Follows each parameter to the loss: by any way, and by those that have a derivative."""
    smooth, any_way, cut = paths_to_loss(subject)
    floating = [index for index, leaf in enumerate(jax.tree.leaves(subject.variables.params)) if is_floating(leaf)]
    lost = [index for index in floating if index not in smooth]
    if not lost:
        return Seen(f"{len(floating)} parameters: each has a way to the loss that has a derivative.")
    frozen = never_updated(subject)
    cut_off, unused = [i for i in lost if i in any_way], [i for i in lost if i not in any_way]
    compared = (
        f"{len(floating)} parameters: {len(cut_off)} reach the loss without a derivative, {len(unused)} not at all."
    )
    findings, suspicions = [], []
    if cut_off:
        finding = _cut_off(subject, cut_off, cut)
        small, meant = _share(subject, cut_off) < NEGLIGIBLE, set(cut_off) <= frozen
        ways = {cut[index].eqn.primitive.name for index in cut_off if index in cut}
        if small or meant:
            findings.append(replace(finding, severity="info"))
        elif ways == {"stop_gradient"}:  # somebody wrote it, and may have meant it
            suspicions.append(Suspicion(finding, (Repair("stop_gradient left out", _without_cuts),)))
        else:
            findings.append(finding)
    if unused and not set(unused) <= _reaching_outputs(subject):
        message = f"{_names(subject, unused)} of {_share(subject, unused):.0%} of all parameters: nothing uses them."
        harmless = _share(subject, unused) < NEGLIGIBLE or set(unused) <= frozen
        where = Leaf(f"params/{subject.paths[unused[0]]}")
        advice = "Call the layer in the forward pass, or remove it."
        severity: Any = "info" if harmless else "warning"
        findings.append(Finding("parameter-without-gradient", severity, message, advice, where, "model", (), 1.0))
    return Seen(compared, tuple(findings), tuple(suspicions))


def paths_to_loss(subject: Subject) -> tuple[Marks, Marks, dict[int, Equation]]:
    """Returns the parameters that reach the loss by a way with a derivative, those by any, and where others are cut."""
    cut: dict[int, Equation] = {}

    def rule(equation: Equation, known: Sequence[Any]) -> Any:
        eqn, pairs = equation.eqn, [each or (frozenset(), frozenset()) for each in known]
        every: Marks = frozenset().union(*(each[1] for each in pairs))
        smooth: Marks = frozenset().union(*(each[0] for each in pairs))
        if not every:
            return None
        floats = [each[0] for each, var in zip(pairs, eqn.invars, strict=True) if is_floating(var.aval)]
        through: Marks = frozenset().union(*floats)
        if eqn.primitive.name in CUTS or not any(is_floating(var.aval) for var in eqn.outvars) or _times_zero(eqn):
            through = frozenset()
        for index in smooth - through:
            if eqn.primitive.name in CUTS or _is_cast(eqn) or _times_zero(eqn):
                cut.setdefault(index, equation)
        return through, every

    program = subject.objective_program
    leaves = len(jax.tree.leaves(subject.variables.params))
    given = [(frozenset([i]), frozenset([i])) if i < leaves else None for i in range(len(program.jaxpr.invars))]
    outputs = flow(program, given, rule, _either, opaque=CUSTOM)
    smooth, every = outputs[0] or (frozenset(), frozenset())
    return smooth, every, {index: equation for index, equation in cut.items() if index not in smooth}


def _either(one: Any, other: Any) -> Any:
    return one[0] | other[0], one[1] | other[1]


def _times_zero(eqn: Any) -> bool:
    values = [getattr(var, "val", None) for var in eqn.invars]
    return eqn.primitive.name == "mul" and any(each is not None and np.ndim(each) == 0 and each == 0 for each in values)


def _is_cast(eqn: Any) -> bool:
    return eqn.primitive.name == "convert_element_type" and not is_floating(eqn.outvars[0].aval)


def _cut_off(subject: Subject, indices: Sequence[int], cut: dict[int, Equation]) -> Finding:
    by = next((cut[index] for index in indices if index in cut), None)
    how = f" by {by.eqn.primitive.name} in {by.place}" if by else ""
    message = (
        f"the gradient of {_names(subject, indices)}, {_share(subject, indices):.0%} of all parameters, is cut{how}."
    )
    advice = (
        f"Remove {by.eqn.primitive.name if by else 'what cuts it'}, or put something with a derivative in its place."
    )
    where = Leaf(f"params/{subject.paths[indices[0]]}")
    evidence = ("they reach the loss by no way that has a derivative, so they keep their initial values",)
    return Finding("parameter-without-gradient", "error", message, advice, where, "model", evidence, 1.0)


def _names(subject: Subject, indices: Sequence[int]) -> str:
    paths = [subject.paths[index] for index in indices]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _share(subject: Subject, indices: Iterable[int]) -> float:
    leaves = jax.tree.leaves(subject.variables.params)
    return sum(np.size(leaves[index]) for index in indices) / max(count(subject.variables.params), 1)


def _reaching_outputs(subject: Subject) -> Marks:
    """Returns the parameters that some output depends on, in either mode: a head left out of the loss is a choice."""
    leaves = len(jax.tree.leaves(subject.variables.params))
    reached: Marks = frozenset()
    for program in (subject.evaluation_program, subject.training_program):
        given = [frozenset([i]) if i < leaves else None for i in range(len(program.jaxpr.invars))]
        for known in flow(program, given, _union, frozenset.union):
            reached |= known or frozenset()
    return reached


def _union(equation: Equation, known: Sequence[Any]) -> Marks | None:
    del equation
    return frozenset().union(*(each or () for each in known)) or None


def never_updated(subject: Subject) -> set[int]:
    """Returns the parameters that the optimizer leaves alone whatever their gradient is, if it moves others."""
    params, state, moved = subject.variables.params, subject.opt_state, set()
    ones = jax.tree.map(jnp.ones_like, params)
    update = jax.jit(subject.optimizer.update)
    for _ in range(3):  # a warm-up may begin with a step of zero
        updates, state = update(ones, state, params)
        moved |= {index for index, leaf in enumerate(jax.tree.leaves(updates)) if np.any(np.asarray(leaf))}
    return set(range(len(jax.tree.leaves(params)))) - moved if moved else set()


def _without_cuts(subject: Subject) -> Subject:
    """Returns the program without its stop_gradients, for derivatives and values alike."""
    network = subject.network
    return subject.changed(network=replace(network, apply_fn=rewritten(network.apply_fn, _let_through)))


def _let_through(equation: Equation, inputs: Any, outputs: Any, turns: Any) -> Any:
    del outputs, turns
    return list(inputs) if equation.eqn.primitive.name == "stop_gradient" else None


def rewritten(apply: Callable[..., Any], visit: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a forward pass in which a visitor changes results; loops and branches stay as they are."""

    def applied(variables: Any, inputs: Tree, key: Any, training: bool) -> Any:
        given = (variables, inputs, key)
        program, shape = jax.make_jaxpr(partial(applied_as_is, apply, training), return_shape=True)(*given)
        results = evaluate(program, jax.tree.leaves(given), visit, over=_not_into_loops)
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return applied


def applied_as_is(apply: Callable[..., Any], training: bool, variables: Any, inputs: Tree, key: Any) -> Any:
    """Returns a forward pass, the mode before what is traced."""
    return apply(variables, inputs, key, training)


def _not_into_loops(equation: Equation, operands: Any) -> Any:
    return run_equation(equation, operands) if equation.eqn.primitive.name in ("scan", "while", "cond") else None


PROBES = (Probe("ways of the gradient", ("parameter-without-gradient",), look),)
