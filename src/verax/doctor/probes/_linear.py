"""Is the whole network one affine map, in spite of its layers?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._parameters import applied_as_is, rewritten
from verax.doctor.probes._points import marks, shape_of
from verax.findings import Finding
from verax.jaxpr import Equation, equations, flow
from verax.trees import is_floating

CONTRACTIONS = ("dot_general", "conv_general_dilated")
BILINEAR = (*CONTRACTIONS, "mul")
LINEAR = (
    "add", "sub", "neg", "reshape", "transpose", "broadcast_in_dim", "reduce_sum", "squeeze", "slice", "concatenate",
    "pad", "rev", "cumsum", "convert_element_type", "copy", "copy_p", "add_any", "reduce_window_sum", "expand_dims",
    "stop_gradient", "optimization_barrier", "stack", "split", "tile", "real", "name",
)  # fmt: skip


class Map(NamedTuple):
    """How a value depends on the inputs: through how many layers, and whether as an affine map."""

    layers: int
    affine: bool


def look(subject: Subject) -> Seen:
    """Follows the inputs through operations that are affine; what is not ends the proof."""
    if not all(is_floating(leaf) for leaf in jax.tree.leaves(subject.batch.inputs)):
        raise NotApplicable("the inputs are not floating-point numbers.")
    contractions: dict[tuple[int, ...], Equation] = {}
    bent: list[Equation] = []

    def rule(equation: Equation, known: Sequence[Any]) -> Any:
        eqn, name = equation.eqn, equation.eqn.primitive.name
        maps = [each for each in known if each is not None]
        if not maps:
            return None
        layers, affine = max(each.layers for each in maps), all(each.affine for each in maps)
        if name in CONTRACTIONS and len(maps) == 1:
            if not affine:
                bent.append(equation)  # a layer after something that bends: no affine map
            contractions[equation.key] = equation
            return Map(layers + 1, affine)
        straight = (
            name in LINEAR
            or (name in BILINEAR and len(maps) == 1)
            or (name == "div" and known[1] is None)
            or (name == "select_n" and known[0] is None)
            or (name == "gather" and known[1] is None)
        )
        return Map(layers, affine and straight and is_floating(eqn.outvars[0].aval))

    for program in (subject.evaluation_program, subject.training_program):
        contractions.clear()
        outputs = flow(program, marks(subject, inputs=Map(0, True)), rule, _join)
        layers = max((each.layers for each in outputs if each is not None), default=0)
        if bent or layers < 2:
            said = "layers follow something that bends" if bent else f"{layers} layers"
            return Seen(f"operations between inputs and outputs: {said}.")
    chain = list(contractions.values())
    return _straight(subject, chain, layers)


def _join(one: Map, other: Map) -> Map:
    return Map(min(max(one.layers, other.layers), 100), one.affine and other.affine)


def _straight(subject: Subject, chain: Sequence[Equation], layers: int) -> Seen:
    leaves = jax.tree.leaves(subject.batch.inputs)
    inputs = sum(leaf[0].size for leaf in leaves)  # numbers for each example, as are the widths
    widths = [int(np.prod(shape_of(each.eqn.outvars[0]))) // len(leaves[0]) for each in chain]
    least = min(inputs, widths[-1])
    compared = f"layers of widths {', '.join(map(str, widths))}, and nothing that bends between them."
    places = [str(each.place) for each in chain]
    message = f"{layers} layers follow one another with nothing between them, so they are one affine map."
    evidence = (
        f"widths {inputs} -> {' -> '.join(map(str, widths))}",
        f"layers in {', '.join(dict.fromkeys(places[:4]))}",
    )
    advice = "Put an activation (relu, gelu, tanh) after each layer but the last."
    finding = Finding("missing-nonlinearity", "error", message, advice, chain[1].place.span, "model", evidence, 1.0)
    if all(width >= least for width in widths[:-1]):
        return Seen(compared, (finding,))  # no narrower than one layer: nothing is gained by factoring it
    repair = Repair("a rectifier after each layer", _with_rectifiers)
    return Seen(compared, (), (Suspicion(replace(finding, severity="warning", confidence=0.8), (repair,)),))


def _with_rectifiers(subject: Subject) -> Subject:
    """Returns the program with a rectifier after each contraction but the last."""
    network = subject.network

    def applied(variables: Any, inputs: Any, key: Any, training: bool) -> Any:
        program = jax.make_jaxpr(partial(applied_as_is, network.apply_fn, training))(variables, inputs, key)
        last = sum(each.eqn.primitive.name in CONTRACTIONS for each in equations(program))
        seen = [0]

        def visit(equation: Equation, operands: Any, outputs: Any, turns: Any) -> Any:
            if equation.eqn.primitive.name not in CONTRACTIONS:
                return None
            seen[0] += 1
            return [jnp.maximum(outputs[0], jnp.zeros_like(outputs[0]))] if seen[0] < last else None

        return rewritten(network.apply_fn, visit)(variables, inputs, key, training)

    return subject.changed(network=replace(network, apply_fn=applied))


PROBES = (Probe("nonlinearity", ("missing-nonlinearity",), look),)
