"""Tiny programs written by hand, of which a test states the forward pass: a perceptron 6-8-1 on the waves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import verax as vx
from tests.doctor.programs import regressor, squared_loss
from verax.doctor import TrainingProgram
from verax.doctor._probe import Seen
from verax.doctor._subject import subject_of

SHAPES = {"hidden": (6, 8), "head": (8, 1)}


def drawn(shapes: dict[str, tuple[int, ...]]) -> Callable[[Any], dict[str, Any]]:
    """Initial weights of some shapes, each drawn with a key of its own."""

    def init(key):
        keys = jax.random.split(key, len(shapes))
        return {
            name: 0.5 * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    return init


def by_hand(
    forward: Callable[..., Any],
    *,
    shapes: dict[str, tuple[int, ...]] = SHAPES,
    init: Callable[[Any], Any] | None = None,
    state: dict[str, Any] | None = None,
    evaluation_key: bool = False,
    **parts: Any,
) -> TrainingProgram:
    """A program of `forward(params, inputs, key=, training=, state=)`, which gives outputs, or outputs and state."""
    start = init or drawn(shapes)

    def apply(variables, inputs, key, training):
        given = {"key": key, "training": training, "state": variables.model_state}
        outputs = forward(variables.params, inputs, **given)
        return outputs if isinstance(outputs, tuple) else (outputs, variables.model_state)

    network = vx.Network(lambda key, inputs: vx.Variables(start(key), state or {}), apply)
    evaluate = (lambda variables, inputs, key: apply(variables, inputs, key, False)[0]) if evaluation_key else None
    return regressor(**{"network": network, "loss": squared_loss, "evaluate": evaluate, "batch_size": 16, **parts})


def perceptron(params, x, **_):
    return jnp.tanh(x @ params["hidden"]) @ params["head"]


def seen(probe: Any, program: TrainingProgram) -> Seen:
    """What a probe sees of a program, under the rules of promotion that programs are written for."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return probe.look(subject_of(program))
