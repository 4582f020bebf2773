"""Derivatives written by hand, each against the function that it belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend.core import jaxpr_as_fun

from verax.debug import RuleGradient, check_gradients
from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.jaxpr import OwnDerivative, own_derivatives
from verax.trees import Tree, is_floating

ADVICE = "Mend the rule, or delete it: JAX derives the function by itself."


def look(subject: Subject) -> Seen:
    """Checks every custom_vjp and custom_jvp that the gradient goes through, alone, in float64."""
    own = _rules(subject.objective_program, len(subject.paths))
    if not own:
        raise NotApplicable("no derivative is written by hand.")

    def loss(params: Tree, *rest: Any) -> Any:
        return subject.objective(params, *rest)[0]

    report = check_gradients(
        loss,
        subject.variables.params,
        subject.variables.model_state,
        subject.batch,
        subject.noise(0),
        max_coordinates_per_leaf=1,  # the rules are checked whole; the leaves are not the question
    )
    in_network = {_name(each) for each in _rules(subject.training_program, len(subject.paths))}
    as_they_are = {_name(each) for each in own if _is_identity(each)}
    findings = tuple(
        _finding(rule, (rule.name, rule.definition) in in_network, (rule.name, rule.definition) in as_they_are)
        for rule in _distinct(report.rules)
        if rule.status in ("failed", "straight-through")
    )
    verdicts = ", ".join(f"{rule.name or 'a function'} {rule.status}" for rule in _distinct(report.rules))
    return Seen(f"hand-written derivatives against differences: {verdicts}", findings)


def _rules(program: Any, params: int) -> list[OwnDerivative]:
    return [each for each in own_derivatives(program, range(params))[0] if each.kind != "stop_gradient"]


def _name(own: OwnDerivative) -> tuple[Any, Any]:
    return own.name, own.definition


def _distinct(rules: tuple[RuleGradient, ...]) -> list[RuleGradient]:
    """Returns one verdict for each function: the one that failed, if any did."""
    ordered = sorted(rules, key=lambda rule: ("failed", "straight-through", "passed", "undecided").index(rule.status))
    kept: dict[Any, RuleGradient] = {}
    for rule in ordered:
        kept.setdefault((rule.name, rule.definition), rule)
    return list(kept.values())


def _is_identity(own: OwnDerivative) -> bool:
    """Returns whether a function gives back what it is given: then its derivative is all that it is there for."""
    program = own.eqn.params.get("call_jaxpr", own.eqn.params.get("jaxpr", own.eqn.params.get("fun_jaxpr")))
    if program is None:
        return False
    rng = np.random.default_rng(0)
    avals: list[Any] = [var.aval for var in own.eqn.invars]
    operands = [
        rng.normal(size=aval.shape).astype(aval.dtype) if is_floating(aval) else np.ones(aval.shape, aval.dtype)
        for aval in avals
    ]
    results = jaxpr_as_fun(program)(*operands)
    return any(
        len(results) == 1 and np.shape(results[0]) == np.shape(each) and np.array_equal(results[0], each)
        for each, depends in zip(operands, own.depends, strict=True)
        if depends
    )


def _finding(rule: RuleGradient, in_network: bool, is_identity: bool) -> Finding:
    part: Any = "model" if in_network else "loss"
    where = rule.place.span or rule.definition
    name = rule.name or "a function"
    evidence = (
        f"derivative by the {rule.kind}: {rule.worst.automatic:.6g}, by differences: {rule.worst.numerical:.6g}",
    )
    if rule.status == "straight-through":
        said = f"the {rule.kind} of {name} passes a gradient by a rounding: a straight-through estimator."
        return Finding("wrong-custom-gradient", "info", said, "", where, part, evidence, 1.0)
    if is_identity:
        said = f"the {rule.kind} of {name} gives back what it is given and changes its gradient, as is done on purpose."
        return Finding("wrong-custom-gradient", "info", said, "", where, part, evidence, 1.0)
    said = (
        f"the {rule.kind} of {name} gives a derivative of {rule.worst.automatic:.4g}, differences give "
        f"{rule.worst.numerical:.4g}."
    )
    return Finding("wrong-custom-gradient", "error", said, ADVICE, where, part, evidence, 1.0)


PROBES = (Probe("hand-written derivatives", ("wrong-custom-gradient",), look),)
