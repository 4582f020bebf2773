"""Very small programs for the probes of optimizers and of numbers, and how these are asked."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.doctor.programs import MLP, binary, classifier, regressor, subject
from verax.doctor import TrainingProgram
from verax.doctor._probe import Seen
from verax.doctor._subject import Subject, subject_of
from verax.doctor.probes._rule import Rule
from verax.train import Experiment


def small(**changes: Any) -> TrainingProgram:
    """A healthy program of 180 steps: two clouds, six hidden units, Adam."""
    return binary(**{"network": MLP((6,), 1), "epochs": 10, **changes})


SHARED = ("variables", "gradient", "first_epoch", "batch", "paths", "key")  # these do not depend on the optimizer


@functools.cache
def begun() -> Subject:
    """The small program, with what does not depend on its optimizer computed."""
    whole = subject(small())
    for name in SHARED:
        getattr(whole, name)
    return whole


def ruled(optimizer: optax.GradientTransformation) -> Subject:
    """The small program with another optimizer; what does not depend on it is not computed again."""
    whole = begun().changed(optimizer=optimizer)
    whole.__dict__.update({name: getattr(begun(), name) for name in SHARED})
    return whole


def asked(look: Any, program: TrainingProgram | Experiment | Subject) -> Seen:
    """What a probe sees, as the doctor asks it: programs may rely on JAX's standard promotion."""
    whole = program if isinstance(program, Subject) else subject_of(program)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return look(whole)


def updates_of(optimizer: optax.GradientTransformation, params: Any, grads: list[Any]) -> list[Any]:
    """The updates of an optimizer to a series of gradients."""
    state, found = optimizer.init(params), []
    with jax.numpy_dtype_promotion("standard"):
        for each in grads:
            updates, state = optimizer.update(each, state, params)
            found.append(updates)
    return found


def changed(program: Subject, seen: Seen, which: int = 0) -> Subject:
    """The program that a suspicion's repair makes."""
    whole = seen.suspicions[0].repairs[which].change(program)
    whole.__dict__.update({name: getattr(program, name) for name in SHARED})
    return whole


def after(program: Subject) -> float:
    """The loss after the first steps."""
    with jax.numpy_dtype_promotion("standard"):
        return Rule(program).walk[-1].after


def gradients(count: int, size: float = 1.0) -> list[Any]:
    """Random gradients of a small tree."""
    rng = np.random.default_rng(0)
    return [{"w": jnp.asarray(size * rng.normal(size=(3, 2)), jnp.float32)} for _ in range(count)]


PARAMS = {"w": jnp.ones((3, 2))}
HEALTHY = (classifier, regressor, binary, small)
