"""Repairs of a network: initial weights rescaled, biases set to 0, sigmoids of hidden layers made steeper."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from verax.doctor._probe import Repair
from verax.doctor._subject import Subject
from verax.jaxpr import evaluate, run_equation
from verax.network import Variables
from verax.trees import Tree, path_text

LOOPS = ("scan", "while", "cond")


def weights_repair(name: str, factors: Mapping[str, float], zeroed: Collection[str] = ()) -> Repair:
    """Returns the repair that multiplies initial weights, by path, and sets others to 0."""
    return Repair(name, lambda subject: with_initial(subject, factors, zeroed))


def with_initial(subject: Subject, factors: Mapping[str, float], zeroed: Collection[str] = ()) -> Subject:
    """Returns a program whose initial weights are multiplied by factors, by path, or 0."""
    draw = subject.network.init

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_text(path)
        if name in zeroed:
            return jnp.zeros_like(leaf)
        return leaf * jnp.asarray(factors[name], leaf.dtype) if name in factors else leaf

    def init(key: Any, inputs: Tree) -> Variables:
        params, model_state = draw(key, inputs)
        return Variables(jax.tree.map_with_path(changed, params), model_state)

    return subject.changed(network=replace(subject.network, init=init))


def steeper_sigmoids(hidden: Collection[int]) -> Repair:
    """Returns the repair that puts `2 tanh(x / 2)` in the place of sigmoids, by their number in the program.

    That is 4 sigmoid(x) - 2: the same functions can be learnt with other weights and biases, but where units start the
    slope is 1 instead of a quarter, and the mean 0 instead of a half.
    """

    def change(subject: Subject) -> Subject:
        forward, ask = subject.network.apply_fn, subject.evaluate

        def apply_fn(variables: Variables, inputs: Tree, key: Any, training: bool) -> Any:
            return steepened(partial(_in_mode, forward, training), hidden)(variables, inputs, key)

        network = replace(subject.network, apply_fn=apply_fn)
        return subject.changed(network=network, evaluate=steepened(ask, hidden))

    return Repair("the sigmoids of hidden layers replaced by 2 tanh(x / 2), of slope 1 at 0", change)


def _in_mode(forward: Callable[..., Any], training: bool, variables: Variables, inputs: Tree, key: Any) -> Any:
    return forward(variables, inputs, key, training)


def steepened(function: Callable[..., Tree], hidden: Collection[int]) -> Callable[..., Tree]:
    """Returns a traceable function in whose program some sigmoids, by number, are `2 tanh(x / 2)`.

    Those within loops and branches have no number.
    """

    def changed(*args: Any) -> Tree:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        seen = itertools.count()

        def visit(equation: Any, inputs: Any, outputs: Any, turns: Any) -> Any:
            if equation.eqn.primitive.name == "logistic" and next(seen) in hidden:
                return [2 * jnp.tanh(inputs[0] / 2)]
            return None

        def over(equation: Any, operands: Any) -> Any:
            return run_equation(equation, operands) if equation.eqn.primitive.name in LOOPS else None

        outputs = evaluate(closed, jax.tree.leaves(args), visit, over=over)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return changed


def normalised_gradients() -> Repair:
    """Returns the repair that gives every leaf's gradient the norm of the longest before the optimizer sees it."""

    def longest(grads: Tree, state: Any, params: Tree | None = None) -> tuple[Tree, Any]:
        norms = jax.tree.map(lambda leaf: jnp.linalg.norm(leaf.reshape(-1).astype(jnp.float32)), grads)
        largest = jnp.max(jnp.stack(jax.tree.leaves(norms)))

        def scaled(leaf: Any, norm: Any) -> Any:
            return leaf * (largest / jnp.maximum(norm, 1e-30)).astype(leaf.dtype)

        return jax.tree.map(scaled, grads, norms), state

    scale = optax.GradientTransformation(lambda params: optax.EmptyState(), longest)
    name = "the gradient of each parameter array scaled to the norm of the longest"
    return Repair(name, lambda subject: subject.changed(optimizer=optax.chain(scale, subject.optimizer)))
