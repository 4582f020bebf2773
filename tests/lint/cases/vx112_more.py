"""VX112 key-default-argument: further forms, and look-alikes."""
import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.random as jr
from flax import struct
from jax.random import PRNGKey

DEFAULT = PRNGKey(0)


async def draw(shape, key=PRNGKey(3)):  # expect: VX112
    return jr.normal(key, shape)


def named(shape, key=DEFAULT):  # expect: VX112
    return jr.normal(key, shape)


noise = lambda shape, key=jr.key(0): jr.normal(key, shape)  # expect: VX112


@dataclasses.dataclass
class Config:
    name: str
    key: jax.Array = PRNGKey(0)  # expect: VX112


@struct.dataclass
class State:
    key: jax.Array = dataclasses.field(default=jr.key(0))  # expect: VX112


class Layer(eqx.Module):
    key: jax.Array = eqx.field(default=jr.key(0))  # expect: VX112

    def draw(self, shape, *, key=jr.key(1)):  # expect: VX112
        return jr.normal(key, shape)


@dataclasses.dataclass
class Fresh:
    key: jax.Array = dataclasses.field(default_factory=lambda: jr.key(0))
    shared: ClassVar[jax.Array] = jr.key(1)
    seed: int = 0


def sentinel(shape, key=None, make=jr.key):
    return jr.normal(make(0) if key is None else key, shape)


def other(table, key=("a", "b")):
    return table[key]


def of_a_split(x, key=jax.random.split(jax.random.PRNGKey(0))[0]):  # expect: VX112
    return x
