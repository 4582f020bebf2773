"""Half precision: numbers beyond its range, sums that stand still in it, updates that it rounds away."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Step, rule_of
from verax.findings import Finding, Leaf
from verax.jaxpr import Equation, equations, evaluate, in_float64
from verax.trees import host, is_floating

HALVES = (np.dtype(np.float16), np.dtype(jnp.bfloat16))
OFF = 0.1  # of the result: rounding alone makes half a per cent of bfloat16
SUMS = {"reduce_sum", "cumsum", "reduce_window_sum", "scan", "while", "dot_general", "scatter-add", "add"}
NEAR = 0.5  # of the range of float16: other rows or a few more steps go beyond
LOST = 0.8  # of the updates of weights that change nothing


def look(subject: Subject) -> Seen:
    """Compares objective and outputs with the same program in float64, at the start and after a few steps."""
    program = subject.objective_program
    halves = [each for each in equations(program) if any(map(_is_half, each.eqn.outvars))]
    if not halves:
        raise NotApplicable("nothing is computed in half precision.")
    walk = rule_of(subject).walk
    findings: list[Finding] = []
    compared = "the objective in half precision against float64"
    for step in (walk[0], walk[-1]):
        narrow, wide = _both(subject, program, step)
        if not np.isfinite(wide).all():
            break
        apart = float(np.linalg.norm(narrow - wide) / max(np.linalg.norm(wide), 1e-30))
        compared = f"outputs and objective in half precision are {apart:.1%} off those in float64"
        overflow = _overflow(program, subject, step)
        if overflow:
            findings.append(overflow)
            break
        if not apart <= OFF:
            findings.append(_inexact(program, subject, step, apart))
            break
    return Seen(compared, tuple(findings))


def _is_half(var: Any) -> bool:
    return getattr(var.aval, "dtype", None) in HALVES


def _both(subject: Subject, program: Any, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Returns the objective and the outputs as they are, and in float64, flat."""
    leaves = jax.tree.leaves((*step.variables, step.batch, step.key))
    count = 1 + len(jax.tree.leaves(subject.gradient(*step.variables, step.batch, step.key)[0][1][0]))

    def numbers(results: Any) -> np.ndarray:
        return np.concatenate([np.asarray(each, np.float64).ravel() for each in results[:count]])

    narrow = numbers(jax.jit(jaxpr_as_fun(program))(*leaves))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        wide = in_float64(program)
        given = [
            jnp.asarray(np.asarray(leaf, np.float64)) if is_floating(leaf) else leaf
            for leaf in map(jnp.asarray, leaves)
        ]
        return narrow, numbers(jax.jit(jaxpr_as_fun(wide))(*given))


def _overflow(program: Any, subject: Subject, step: Step) -> Finding | None:
    """Returns a finding if a number in float16 comes near the end of its range, or goes beyond."""
    largest: tuple[float, Equation | None] = (0.0, None)

    def visit(equation: Equation, inputs: Any, outputs: Any, turns: tuple[int, ...]) -> None:
        nonlocal largest
        del inputs, turns
        for output, var in zip(outputs, equation.eqn.outvars, strict=True):
            if getattr(var.aval, "dtype", None) == np.float16 and np.size(output) and np.ndim(output):
                value = np.abs(np.asarray(output, np.float64))
                size = float(np.inf if np.isnan(value).any() else value.max())
                if size > largest[0] and (np.isfinite(size) or np.isfinite(largest[0])):
                    largest = (size, equation)

    evaluate(program, jax.tree.leaves((*step.variables, step.batch, step.key)), visit)
    size, equation = largest
    limit = float(np.finfo(np.float16).max)
    if equation is None or not size > NEAR * limit or equation.eqn.primitive.name in ("broadcast_in_dim", "max", "min"):
        return None
    what = "beyond" if not np.isfinite(size) else f"{size:,.0f}, near"
    said = f"numbers in float16 are {what} the end of its range, {limit:,.0f}, at a {equation.eqn.primitive.name}."
    advice = "Compute in bfloat16, or losses, sums and statistics in float32."
    return Finding(
        "low-precision-overflow", "error" if not np.isfinite(size) else "warning", said, advice,
        equation.place.span, _part(subject), (f"largest number in float16: {size:.6g}",), 0.9,
    )  # fmt: skip


def _inexact(program: Any, subject: Subject, step: Step, apart: float) -> Finding:
    """Returns a finding about a result that half precision gets wrong, at the longest sum in it."""
    sums = [
        (_terms(each), each)
        for each in equations(program)
        if each.eqn.primitive.name in SUMS and any(map(_is_half, each.eqn.outvars))
    ]
    terms, equation = max(sums, key=lambda pair: pair[0], default=(0, None))
    where = equation.place.span if equation else None
    said = f"half precision puts the outputs and the objective {apart:.0%} off those in float64."
    evidence = (f"relative difference: {apart:.3g}", f"longest sum in half precision: {terms:,} terms")
    advice = "Sum in float32: preferred_element_type=jnp.float32 in products, dtype=jnp.float32 in sums and carries."
    return Finding("low-precision-accumulation", "warning", said, advice, where, _part(subject), evidence, 0.8)


def _terms(equation: Equation) -> int:
    """Returns how many numbers an operation adds up, as its shapes tell."""
    eqn = equation.eqn
    if eqn.primitive.name == "scan":
        return int(eqn.params.get("length", 0))
    ins, outs = (max((_size(var.aval) for var in some), default=1) for some in (eqn.invars, eqn.outvars))
    return ins // max(outs, 1)


def _size(aval: Any) -> int:
    return int(np.prod(aval.shape))


def _part(subject: Subject) -> Any:
    halves = any(any(map(_is_half, each.eqn.outvars)) for each in equations(subject.training_program))
    return "model" if halves else "loss"


def lost_updates(subject: Subject) -> Seen:
    """Counts the updates of the first steps that parameters in half precision round away."""
    leaves = jax.tree.leaves(subject.variables.params)
    narrow = [number for number, leaf in enumerate(leaves) if leaf.dtype in HALVES and np.ndim(leaf) >= 2]
    if not narrow:
        raise NotApplicable("no weight is in half precision.")
    rule = rule_of(subject)
    meant = lost = 0
    for step, size in zip(rule.walk, rule.sizes, strict=False):
        params, updates = jax.tree.leaves(step.variables.params), jax.tree.leaves(step.updates)
        for number in narrow:
            before = host(params[number])
            by = np.asarray(updates[number], np.float32) / np.float32(max(size, 1e-6))  # at the peak of the schedule
            after = (before.astype(np.float32) + by).astype(before.dtype)
            meant += int((by != 0).sum())
            lost += int(((by != 0) & (after == before)).sum())
    share = lost / max(meant, 1)
    compared = f"{share:.0%} of the updates of weights in half precision change nothing"
    if share <= LOST:
        return Seen(compared)
    path, dtype = subject.paths[narrow[0]], leaves[narrow[0]].dtype
    said = f"{share:.0%} of the updates are rounded away: they are added to weights in {dtype}."
    evidence = (f"updates that are not zero: {meant:,}, of these without effect: {lost:,}",)
    advice = "Keep parameters in float32 and compute in half precision: dtype=, not param_dtype=, in Flax."
    finding = Finding("low-precision-accumulation", "warning", said, advice, Leaf(path), "model", evidence, 0.9)
    return Seen(compared, (finding,))


PROBES = (
    Probe("half precision", ("low-precision-overflow", "low-precision-accumulation"), look),
    Probe("updates in half precision", ("low-precision-accumulation",), lost_updates),
)
