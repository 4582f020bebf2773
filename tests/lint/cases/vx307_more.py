"""VX307 jit-on-method: more decorators, and classes that JAX takes apart."""
import dataclasses
import functools
from abc import ABC
from typing import Generic, TypeVar

import chex
import flax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import jit
from jax.tree_util import register_dataclass, register_pytree_node, register_pytree_node_class
from somewhere import Base

T = TypeVar("T")


class Bare:
    @jit  # expect: VX307
    def __call__(self, x):
        return x

    @jax.jit(donate_argnums=1)  # expect: VX307
    def update(self, state):
        return state

    @functools.partial(jax.jit, static_argnums=(1,))  # expect: VX307
    def act(this, x):
        return x

    @classmethod
    @functools.partial(jax.jit, static_argnums=0)
    def make(cls, x):
        return x

    @jax.vmap
    @staticmethod
    def pure(x):
        return x


class Abstract(ABC, Generic[T]):
    @jax.jit  # expect: VX307
    def run(self, x: T) -> T:
        return x


class Child(Bare):
    @jax.jit  # expect: VX307
    def more(self, x):
        return x


@dataclasses.dataclass
class Plain:
    w: float

    @jax.jit  # expect: VX307
    def forward(self, x):
        return x * self.w


class Linen(nn.Module):
    @jax.jit  # expect: VX307
    def __call__(self, x):
        return x


class Outer:
    def build(self):
        @jax.jit
        def inner(x):
            return x

        return inner


@chex.dataclass
class Chex:
    w: jax.Array

    @jax.jit
    def f(self, x):
        return self.w * x


class Node(flax.struct.PyTreeNode):
    w: jax.Array

    @jax.jit
    def f(self, x):
        return self.w * x


class ChildNode(Node):
    @jax.jit
    def g(self, x):
        return self.w + x


@functools.partial(register_dataclass, data_fields=["w"], meta_fields=[])
@dataclasses.dataclass
class Registered:
    w: jax.Array

    @jax.jit
    def f(self, x):
        return self.w * x


class Later:
    @jax.jit
    def f(self, x):
        return x


register_pytree_node(Later, lambda s: ((), None), lambda aux, children: Later())


@register_pytree_node_class
class Imported:
    @jax.jit
    def f(self, x):
        return x


class Unknown(Base):
    @jax.jit
    def f(self, x):
        return x


class Meta(metaclass=Base):
    @jax.jit
    def f(self, x):
        return jnp.sin(x)
