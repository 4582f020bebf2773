"""A network with some of its operations replaced: how a repair changes a model that it cannot edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from verax.doctor._subject import Subject
from verax.jaxpr import Equation, evaluate, run_equation
from verax.network import Variables
from verax.trees import Tree

Replacements = Sequence[tuple[Equation, Callable[[Sequence[Any]], Any]]]
Choose = Callable[[Any], Replacements]


def with_operations(subject: Subject, choose: Choose) -> Subject:
    """Returns the program with operations of its network replaced, in training and in evaluation.

    Args:
      subject: the program.
      choose: from a jaxpr of the network to the equations that are replaced, each with `operands -> its one result`.
    """
    network = subject.network

    def apply(variables: Variables, inputs: Tree, key: Any, train: bool) -> tuple[Tree, Tree]:
        def forward(variables: Variables, inputs: Tree, key: Any) -> tuple[Tree, Tree]:
            return network.apply_fn(variables, inputs, key, train)

        return rewritten(forward, choose, variables, inputs, key)

    def evaluated(variables: Variables, inputs: Tree, key: Any) -> Tree:
        return rewritten(subject.evaluate, choose, variables, inputs, key)

    return subject.changed(network=replace(network, apply_fn=apply), evaluate=evaluated)


def rewritten(function: Callable[..., Tree], choose: Choose, *args: Any) -> Tree:
    """Returns `function(*args)` with some of its operations replaced; may be traced."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    chosen = choose(closed)
    new: Mapping[Any, Any] = {equation.key: result for equation, result in chosen}
    entered = {around.key for equation, _ in chosen for around in _around(equation)}

    def over(equation: Equation, operands: Any) -> list[Any] | None:
        if equation.key in new:
            return [new[equation.key](operands)]
        return None if equation.key in entered else run_equation(equation, operands)  # as it is, derivatives and all

    def visit(equation: Equation, operands: Any, outputs: Any, turns: tuple[int, ...]) -> list[Any] | None:
        return [new[equation.key](operands)] if equation.key in new else None

    return jax.tree.unflatten(jax.tree.structure(shape), evaluate(closed, jax.tree.leaves(args), visit, over=over))


def _around(equation: Equation) -> list[Equation]:
    return [] if equation.outer is None else [equation.outer, *_around(equation.outer)]
