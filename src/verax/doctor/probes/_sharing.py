"""Do parts of a network that count as several hold the same weights?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from verax.doctor._probe import Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._symmetry import equal_leaves
from verax.findings import Finding, Leaf
from verax.jaxpr import Equation, flow

CONTRACTIONS = ("dot_general", "conv_general_dilated")
SHAPING = ("reshape", "broadcast_in_dim", "squeeze", "expand_dims", "convert_element_type", "copy")
OTHER = -1  # what is not the same in all turns of a loop


def look(subject: Subject) -> Seen:
    """Numbers the values of the program, equal computations alike, and looks where a value meets itself."""
    repeated = met_again(subject)
    if repeated is None:
        return _one_array(subject)
    place, leaves, times = repeated
    names = ", ".join(leaves[:3])
    message = f"{times} parts with the same weights ({names}) and the same inputs are put together, so they count once."
    advice = "Make a module (a set of weights) for each: [Layer() for _ in range(n)], not [Layer()] * n."
    where = Leaf(f"params/{leaves[0]}") if leaves else None
    evidence = (f"equal values meet in {place.eqn.primitive.name} in {place.place}",)
    finding = Finding("unintended-weight-sharing", "error", message, advice, where, "model", evidence, 0.95)
    return Seen("computations that are done twice, and where their results meet.", (finding,))


def met_again(subject: Subject) -> tuple[Equation, list[str], int] | None:
    """Returns where the results of equal layers with equal weights on equal inputs are added or stacked."""
    numbers: dict[Any, int] = {}
    weights: dict[int, frozenset[int]] = {}  # of a value: the parameters that it was made with, through some layer
    terms: dict[int, tuple[int, ...]] = {}  # of a sum: what was added
    layers: set[int] = set()
    first_made: dict[int, set[Any]] = {}
    found: list[tuple[Equation, int, int]] = []

    def number(fact: Any) -> int:
        return numbers.setdefault(fact, len(numbers))

    def rule(equation: Equation, known: Sequence[Any]) -> int:
        eqn, name = equation.eqn, equation.eqn.primitive.name
        operands = tuple(_shape_free(each, var) for each, var in zip(known, eqn.invars, strict=True))
        params = tuple(
            sorted((key, str(value)) for key, value in eqn.params.items() if key not in ("sharding", "ctx_mesh"))
        )
        value = OTHER if OTHER in known else number((name, params, operands))
        if value == OTHER:
            return OTHER
        weights[value] = frozenset().union(*(weights.get(each, frozenset()) for each in known if each is not None))
        made_of = [each for each in known if each is not None]
        if (name in CONTRACTIONS and weights[value]) or layers.intersection(made_of):
            layers.add(value)  # a layer, or what is made of one
        first_made.setdefault(value, set()).add(equation.key)
        parts = [part for each in known if each is not None for part in terms.get(each, (each,))]
        if name in ("add", "add_any", "concatenate"):
            terms[value] = tuple(parts)
            again = [
                part for part in set(parts) if parts.count(part) > 1 and part in layers and len(first_made[part]) > 1
            ]
            if again:
                found.append((equation, again[0], parts.count(again[0])))
        elif name in SHAPING and len(parts) == 1:
            terms[value] = tuple(parts)
        return value

    program = subject.training_program
    leaves = len(jax.tree.leaves(subject.variables.params))
    given = [number(("input", index)) for index in range(len(program.jaxpr.invars))]
    weights.update({given[index]: frozenset([index]) for index in range(leaves)})
    flow(
        program,
        given,
        rule,
        lambda one, other: one if one == other else OTHER,
        literal=lambda value: number(_constant(value)),
    )
    if not found:
        return None
    equation, part, times = max(found, key=lambda each: each[2])
    return equation, [subject.paths[index] for index in sorted(weights[part])], times


def _constant(value: Any) -> Any:
    return ("constant", str(getattr(value, "dtype", type(value))), np.asarray(value).tobytes())


def _shape_free(known: Any, var: Any) -> Any:
    return known if known is not None else ("unknown", id(var))


def _one_array(subject: Subject) -> Seen:
    """Looks for leaves that start as one array: they part in training, and were meant to be drawn apart."""
    inputs = subject.batch.inputs
    program = jax.make_jaxpr(lambda key: subject.network.init(key, inputs).params)(subject.key)
    outputs = program.jaxpr.outvars
    groups = [group for group in equal_leaves(subject) if len({id(outputs[index]) for index in group}) < len(group)]
    compared = f"{len(outputs)} parameters: {sum(map(len, groups))} start as one array, and no layer meets itself."
    if not groups:
        return Seen(compared)
    paths = [subject.paths[index] for index in max(groups, key=len)]
    message = f"{', '.join(paths[:3])} start as one array and part in training."
    return Seen(
        compared, (Finding("unintended-weight-sharing", "info", message, "", Leaf(f"params/{paths[0]}"), "model"),)
    )


PROBES = (Probe("shared weights", ("unintended-weight-sharing",), look),)
