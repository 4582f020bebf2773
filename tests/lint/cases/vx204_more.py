"""VX204 self-mutation-in-traced: wrapped methods, nested bodies, tuples; and classes made for it."""
import functools

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


class Wrapped:
    def __init__(self):
        self.total = jnp.zeros(())
        self.step = jax.jit(self._step)

    def _step(self, x):
        self.total = self.total + x  # expect: VX204
        return self.total

    def reset(self):
        self.total = jnp.zeros(())


class Nested:
    def roll(self, xs):
        def body(carry, x):
            self.last = x  # expect: VX204
            return carry + x, None

        return lax.scan(body, 0.0, xs)


class Unpacked:
    @functools.partial(jax.jit, static_argnums=(0,))
    def update(self, x):
        self.a, self.b = x, x * 2  # expect: VX204
        self.n: int = 3  # expect: VX204
        return x

    @functools.partial(jax.jit, static_argnames=("self",))
    def annotated(self, x):
        y = x
        self.count -= 1  # expect: VX204
        return y


class Base(nn.Module):
    width: int = 3


class Derived(Base):
    @nn.compact
    def __call__(self, x):
        self.seen, y = x, nn.Dense(self.width)(x)  # expect: VX204
        return y

    def helper(self, x):
        self.cached = x  # expect: VX204
        return x


class WithSetup(nn.Module):
    width: int = 3

    def __post_init__(self):
        self.doubled = self.width * 2
        super().__post_init__()

    def setup(self):
        self.layers = [nn.Dense(self.width)]
        self.scale = self.param("scale", nn.initializers.ones, ())

    def __call__(self, x):
        scale = self.scale
        for layer in self.layers:
            x = layer(x)
        return x * scale


class Model(nnx.Module):
    def __init__(self, rngs):
        self.w = nnx.Param(jnp.zeros(3))
        self.calls = 0

    def __call__(self, x):
        self.calls = self.calls + 1
        return x * self.w


@nnx.jit
def train(model, x):
    model.w = nnx.Param(x)
    return x


class Frozen(eqx.Module):
    w: jax.Array

    def __init__(self, w):
        self.w = w

    @jax.jit
    def __call__(self, x):
        return x * self.w


@jax.tree_util.register_pytree_node_class
class Registered:
    def __init__(self, w):
        self.w = w

    def tree_flatten(self):
        return (self.w,), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)

    @jax.jit
    def moved(self, x):
        self.w = self.w + x
        return self


class Host:
    def fit(self, xs):
        step = jax.jit(lambda w, x: w - x)
        for x in xs:
            self.w = step(self.w, x)
        return self


class HostLog:
    @functools.partial(jax.jit, static_argnums=0)
    def run(self, x):
        def store(v):
            self.last = v

        jax.debug.callback(store, x)
        return x


class SetUpInParts(nn.Module):
    def setup(self):
        self._layers()

    def _layers(self):
        self.dense = nn.Dense(3)

    def __call__(self, x):
        self.last = x  # expect: VX204
        return self.dense(x)
