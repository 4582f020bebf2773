"""Is the program larger than it need be: loops unrolled, arrays baked in; and do maps shrink to nothing?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._points import shape_of
from verax.findings import Finding
from verax.jaxpr import Equation, equations

EQUATIONS = 5000  # of one step forward; JAX compiles some thousand a second
REPEATS = 50  # of one source line in one program
MEGABYTES = 10.0  # from which JAX itself can be made to warn: jax_captured_constants_warn_bytes


def look_at_size(subject: Subject) -> Seen:
    """Counts the equations of the objective and the bytes of its constants."""
    program = subject.objective_program
    every = list(equations(program))
    sizes = _constants(program)
    megabytes = sum(sizes.values()) / 1e6
    compared = f"the objective: {len(every)} equations, {megabytes:.2g} MB of constants."
    found = []
    if megabytes > MEGABYTES:
        shape = max(sizes, key=lambda each: sizes[each])[1]
        message = f"{megabytes:.0f} MB of arrays are baked into the program, the largest of shape {shape}."
        advice = "Pass them in as arguments: constants are copied into each program and slow its compilation."
        found.append(Finding("captured-constant", "warning", message, advice, None, "model", (), 1.0))
    if len(every) > EQUATIONS:
        (line, times) = Counter(str(each.place.span) for each in every if each.place.span).most_common(1)[0]
        message = (
            f"a step has {len(every)} equations before differentiation; {times} of them come from one line ({line})."
        )
        advice = "Loop with jax.lax.scan (nn.scan, hk.scan), or vmap over stacked weights."
        severity: Any = "warning" if times > REPEATS else "info"
        found.append(Finding("unrolled-loop", severity, message, advice, None, "model", (), 0.9))
    return Seen(compared, tuple(found))


def _constants(program: Any) -> dict[tuple[int, tuple[int, ...]], int]:
    """Returns the bytes of each array that a program or one within it holds."""
    found = {}
    holders = [program, *(value for each in equations(program) for value in each.eqn.params.values())]
    for holder in holders:
        for inner in holder if isinstance(holder, tuple) else (holder,):
            for const in getattr(inner, "consts", ()) or ():
                if hasattr(const, "nbytes"):
                    found[id(const), tuple(np.shape(const))] = int(const.nbytes)
    return found


def look_at_maps(subject: Subject) -> Seen:
    """Follows the sizes of maps through convolutions and pools: a window over a single place sees padding only."""
    windows = [each for each in equations(subject.evaluation_program) if _window(each)]
    if not windows:
        raise NotApplicable("no convolution and no pool.")
    sizes = " -> ".join("x".join(map(str, _space(each))) for each in windows[:12])
    spent = [each for each in windows if max(_space(each)) == 1 and max(_window(each)) > 1]
    gone = [each for each in windows if 0 in shape_of(each.eqn.outvars[0])]
    compared = f"sizes of maps before each convolution and pool: {sizes}."
    if not spent and not gone:
        return Seen(compared)
    first = (gone or spent)[0]
    left, times = "nothing" if gone else "one place", len(gone or spent)
    message = f"maps have shrunk to {left} before {times} of {len(windows)} convolutions and pools."
    advice = "Use fewer strides and pools, or padding='SAME', so that maps keep some places until the last."
    evidence = (f"sizes: {sizes}", f"first in {first.place}, with a window of {'x'.join(map(str, _window(first)))}")
    finding = Finding("excessive-downsampling", "warning", message, advice, first.place.span, "model", evidence, 0.8)
    return Seen(compared, (finding,))


def _window(equation: Equation) -> tuple[int, ...]:
    """Returns the spatial size of the window of a convolution or pool; empty for other equations."""
    eqn = equation.eqn
    if eqn.primitive.name == "conv_general_dilated":
        return tuple(shape_of(eqn.invars[1])[axis] for axis in eqn.params["dimension_numbers"].rhs_spec[2:])
    if eqn.primitive.name in ("reduce_window_max", "reduce_window_sum", "reduce_window"):
        return tuple(size for size in eqn.params["window_dimensions"] if size > 1)
    return ()


def _space(equation: Equation) -> tuple[int, ...]:
    """Returns the spatial size of what a window slides over."""
    eqn = equation.eqn
    shape = shape_of(eqn.invars[0])
    if eqn.primitive.name == "conv_general_dilated":
        return tuple(shape[axis] for axis in eqn.params["dimension_numbers"].lhs_spec[2:])
    return tuple(size for size, window in zip(shape, eqn.params["window_dimensions"], strict=True) if window > 1)


PROBES = (
    Probe("size of the program", ("captured-constant", "unrolled-loop"), look_at_size),
    Probe("sizes of maps", ("excessive-downsampling",), look_at_maps),
)
