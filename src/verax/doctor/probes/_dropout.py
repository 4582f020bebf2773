"""How much is dropped? The rate is read from the program: a uniform random number compared with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from verax.doctor._probe import Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._points import number_of, shape_of
from verax.findings import Finding
from verax.jaxpr import Equation, flow, run_equation

MOST = 0.7  # keeps under a third: beyond the 0.2 to 0.5 of the literature, and then a repair decides
KEEPS = ("broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "copy", "stop_gradient", "expand_dims")
MOVES = (*KEEPS, "shift_right_logical", "or", "bitcast_convert_type", "sub", "add", "mul", "max", "slice", "xor")
BACKWARDS = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


@dataclass(frozen=True)
class _Mask:
    """A random mask and the share of it that is true."""

    true: float


UNIFORM, OTHER = "uniform", "other"


def look(subject: Subject) -> Seen:
    """Reads the rates of all dropout in the training program."""
    rates = dropped(subject)
    if not rates:
        return Seen("no dropout in the training program.")
    compared = f"rates of dropout in training: {', '.join(f'{rate:.2g}' for rate, _ in rates)}."
    rate, equation = max(rates, key=lambda each: each[0])
    if rate < MOST:
        return Seen(compared)
    message = f"dropout sets {rate:.0%} of the units of a layer to zero in training."
    advice = "Drop 10 to 50 %; the rate is the share that is dropped, not kept."
    evidence = (f"rate {rate:.3g} in {equation.place}",)
    finding = Finding("excessive-dropout", "warning", message, advice, equation.place.span, "model", evidence, 0.9)
    return Seen(compared, (), (Suspicion(finding, (Repair("dropout left out", _without_noise),)),))


def dropped(subject: Subject) -> list[tuple[float, Equation]]:
    """Returns the rate of every dropout in the training program, with where it is applied."""
    found: dict[tuple[int, ...], tuple[float, Equation]] = {}

    def rule(equation: Equation, known: Sequence[Any]) -> Any:
        rate = rate_of(equation, known)
        if rate is not None:
            found[equation.key] = (rate, equation)
        return of_masks(equation, known)

    program = subject.training_program
    flow(program, [None] * len(program.jaxpr.invars), rule, equal_or_other, literal=number_of)
    return list(found.values())


# What is known of random masks: rules for `verax.jaxpr.flow`.


def equal_or_other(one: Any, two: Any) -> Any:
    """Returns what holds in both of two cases."""
    return one if one == two else OTHER


def rate_of(equation: Equation, known: Sequence[Any]) -> float | None:
    """Returns the share that an equation sets to zero by a random mask; None if it applies none."""
    name, masks = equation.eqn.primitive.name, [each for each in known if isinstance(each, _Mask)]
    if not masks or name not in ("select_n", "mul"):
        return None
    return masks[0].true if name == "select_n" and _is_zero(known[2]) else 1 - masks[0].true


def of_masks(equation: Equation, known: Sequence[Any]) -> Any:
    """Returns what is known of random masks, of what they are made of and of numbers after an equation."""
    name = equation.eqn.primitive.name
    if name == "random_bits":
        return UNIFORM
    masks = [each for each in known if isinstance(each, _Mask)]
    if masks:
        if name == "not":
            return _Mask(1 - masks[0].true)
        return masks[0] if name in KEEPS else OTHER
    if UNIFORM in known:
        return _of_uniform(name, known)
    if name in KEEPS:
        return known[0]
    return _folded(equation, known) if known and all(isinstance(each, float) for each in known) else None


def _of_uniform(name: str, known: Sequence[Any]) -> Any:
    if name in BACKWARDS:
        first = known[0] == UNIFORM
        limit = known[1 if first else 0]
        name = name if first else BACKWARDS[name]
        if isinstance(limit, float) and 0 <= limit <= 1:
            return _Mask(limit if name in ("lt", "le") else 1 - limit)
        return OTHER
    stretched = name == "mul" and any(isinstance(each, float) and each != 1 for each in known)
    return UNIFORM if name in MOVES and not stretched else OTHER


def _folded(equation: Equation, known: Sequence[Any]) -> float | None:
    """Returns the number that an equation makes of numbers."""
    eqn = equation.eqn
    if len(eqn.outvars) != 1 or not _is_plain(eqn.outvars[0]) or any(np.prod(shape_of(var)) != 1 for var in eqn.invars):
        return None
    types: list[Any] = [var.aval for var in eqn.invars]
    operands = [np.asarray(each, aval.dtype).reshape(aval.shape) for each, aval in zip(known, types, strict=True)]
    return number_of(run_equation(equation, operands)[0])


def _is_plain(var: Any) -> bool:
    return not jax.dtypes.issubdtype(var.aval.dtype, jax.dtypes.extended)


def _is_zero(known: Any) -> bool:
    return isinstance(known, float) and known == 0


def _without_noise(subject: Subject) -> Subject:
    """Trains on the outputs of the evaluation; statistics move as in training."""
    apply = subject.network.apply_fn

    def quiet(variables: Any, inputs: Any, key: Any, training: bool) -> Any:
        outputs, model_state = apply(variables, inputs, key, False)
        if training and jax.tree.leaves(variables.model_state):
            model_state = apply(variables, inputs, key, True)[1]
        return outputs, model_state

    return subject.changed(network=replace(subject.network, apply_fn=quiet))


PROBES = (Probe("rate of dropout", ("excessive-dropout",), look),)
