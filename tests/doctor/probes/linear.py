"""Training programs of a linear layer on a few rows: quick to compile, for faults of outputs and losses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.doctor.programs import subject
from verax.doctor import TrainingProgram
from verax.doctor._probe import Examined, Probe, examine

CLASSES = 4
ROWS = 96


def layer(outputs: int, head: Any = None) -> Any:
    """A pair of functions: a linear layer, with `head` applied to its outputs."""

    def init(key, x):
        return {"w": jax.random.normal(key, (x.shape[-1], outputs)), "b": jnp.zeros(outputs)}

    def apply(params, x):
        outputs = x @ params["w"] + params["b"][None]
        return outputs if head is None else head(outputs)

    return init, apply


def inputs(rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)


def program(network: Any, loss: Any, targets: np.ndarray, task: Any, **parts: Any) -> TrainingProgram:
    x, optimizer = inputs(len(targets)), parts.pop("optimizer", optax.adam(1e-2))
    return TrainingProgram(
        network, loss, optimizer, (x, targets), (x, targets), task=task, batch_size=24, epochs=2, **parts
    )


def classes(loss: Any, head: Any = None, *, first: int = 0, outputs: int = CLASSES, **parts: Any) -> TrainingProgram:
    """Classes from `first` on, told by the largest of the inputs."""
    targets = inputs()[:, :CLASSES].argmax(1).astype(np.int32) + first
    return program(layer(outputs, head), loss, targets, "classification", **parts)


def yes_or_no(loss: Any, head: Any = None, *, labels: tuple[int, int] = (0, 1), **parts: Any) -> TrainingProgram:
    """Two labels, told by the sign of the first input."""
    targets = np.where(inputs()[:, 0] > 0, labels[1], labels[0]).astype(np.int32)
    return program(layer(1, head), loss, targets, "binary", **parts)


def numbers(loss: Any, head: Any = None, *, scale: float = 1.0, shift: float = 0.0, **parts: Any) -> TrainingProgram:
    """A standardised target of one number, a function of the inputs and some noise."""
    y = inputs()[:, 0] + np.random.default_rng(1).normal(size=ROWS)
    targets = (scale * (y - y.mean()) / y.std() + shift).astype(np.float32)
    return program(layer(parts.pop("outputs", 1), head), loss, targets, "regression", **parts)


def seen(probes: tuple[Probe, ...], program: TrainingProgram) -> Examined:
    """What the one probe of a file sees, under the promotion rules that users have."""
    (probe,) = probes
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        examined = examine(probe, subject(program))
    assert examined.verdict != "could not run", examined.said
    return examined


# Losses that several tests use.


def cross_entropy(outputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def log_loss(probabilities, targets):
    return -jnp.log(jnp.take_along_axis(probabilities, targets[:, None], 1)[:, 0] + 1e-9)


def logit_loss(outputs, targets):
    return optax.sigmoid_binary_cross_entropy(outputs[:, 0], targets.astype(jnp.float32))


def yes_log_loss(probabilities, targets, guard=1e-7):
    p = probabilities[:, 0]
    return -(targets * jnp.log(p + guard) + (1 - targets) * jnp.log(1 - p + guard))


def squares(outputs, targets):
    return (outputs[:, 0] - targets) ** 2


def one_hot(targets):
    return jax.nn.one_hot(targets, CLASSES)
