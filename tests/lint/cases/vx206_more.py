"""VX206 branch-on-traced-value: more branches, more traces, and Python values that look traced."""
import pytest
import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jax import lax
from jax.experimental import checkify


class State(NamedTuple):
    step: jax.Array
    loss: jax.Array


@struct.dataclass
class Carry:
    count: jax.Array
    size: int = struct.field(pytree_node=False)


@jax.jit
def chained(x):
    return 0 < x < 1  # expect: VX206


@jax.jit
def joined(x, y):
    z = x.sum() > 0 and y.sum() > 0  # expect: VX206
    return z


@jax.jit
def negated(x):
    empty = not x.any()  # expect: VX206
    return empty


@jax.jit
def walrus(x):
    if (total := jnp.sum(x)) > 0:  # expect: VX206
        return x / total
    return x


@jax.jit
def matched(x: jax.Array):
    match x:  # expect: VX206
        case 0:
            return x
        case _:
            return -x


@jax.jit
def filtered(xs):
    return [x * 2 for x in (xs[0], xs[1]) if x > 0]  # expect: VX206


@jax.vmap
def mapped(x):
    return x if x > 0 else -x  # expect: VX206


@functools.partial(jax.vmap, in_axes=(0, None))
def mapped_in_part(x, n):
    if n > 2:
        return x
    if x > 2:  # expect: VX206
        return -x
    return x


@jax.jit
def named_tuple(state: State):
    if state.step % 100 == 0:  # expect: VX206
        return state.loss
    return state


@jax.jit
def data_class(carry: Carry):
    if carry.size > 3:
        return carry
    while carry.count < 3:  # expect: VX206
        carry = carry.replace(count=carry.count + 1)
    return carry


def train_step(params, batch):
    loss, grads = jax.value_and_grad(lambda p: jnp.mean((batch @ p) ** 2))(params)
    if loss > 10.0:  # expect: VX206
        return params
    return jax.tree.map(lambda p, g: p - g, params, grads)


fast = jax.jit(train_step)


@eqx.filter_jit
def equinox_step(model, x: jax.Array, n):
    if n > 3:
        return x
    if jnp.any(x > 0):  # expect: VX206
        return model(x)
    return x


@eqx.filter_jit
def quoted(model, x: "jax.Array", n: "int", mask: "Bool[Array, 'batch']"):
    if n > 3:
        return x
    if x.sum() > 0:  # expect: VX206
        return model(x)
    return x if mask.all() else -x  # expect: VX206


@jax.jit
def quoted_class(carry: "Carry", model: "Model", later: "Later"):
    if carry.size > 3 or model.depth > 3:
        return carry
    if later.loss > 0:  # expect: VX206
        return later
    while carry.count < 3:  # expect: VX206
        carry = carry.replace(count=carry.count + 1)
    return carry


class Model:
    depth: int


class Later(NamedTuple):
    loss: "jax.Array"


def make(threshold):
    def step(x):
        if threshold > 3:
            return x
        if x.max() > threshold:  # expect: VX206
            return -x
        return x

    return step


made = jax.jit(make(3))


@jax.jit
def helper_inside(x):
    def check(v):
        if v > 0:  # expect: VX206
            return v
        return -v

    return check(x)


@jax.jit
def constant_is_staged(x):
    if jnp.zeros(3).sum() > 0:  # expect: VX206
        return x
    return -x


class Env:
    def __init__(self):
        self.step = jax.jit(self._step)

    def _step(self, state, action):
        done = state > 3
        if done:  # expect: VX206
            return self.reset()
        return state + action

    def reset(self):
        if self.size > 3:
            return 0
        return 1


def scan_with_default(xs, scale=2.0):
    def body(carry, x, s=scale):
        if s > 1:
            x = x * s
        assert x > 0  # expect: VX206
        return carry + x, x

    return lax.scan(body, 0.0, xs)


def while_body(x):
    return lax.while_loop(lambda v: v > 3 or v < 0, lambda v: v - 1, x)  # expect: VX206


@jax.jit
def larger(x, n):
    n = max(n, 1)  # expect: VX206
    return min(x.sum(), 0.0), max(x.shape), min(x.ndim, 3)  # expect: VX206


@jax.jit
def sizes(x, batch, rest=None):
    n, d = x.shape
    if n > d and x.ndim == 2 and x.dtype != jnp.int32:
        x = x.T
    if rest is None or "mask" in batch:
        return x
    if isinstance(rest, tuple) and len(rest) > 1 and not callable(rest):
        return x
    leaves, structure = jax.tree.flatten(batch)
    if not leaves or structure.num_leaves > 3:
        return x
    if batch:
        x = x + 1
    k = min(n, 3)
    while k > 0:
        k -= 1
    for name in batch:
        if name == "x":
            x = x + batch[name]
    for i, (name, leaf) in enumerate(batch.items()):
        if i == 0 or name.startswith("y"):
            x = x + leaf
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)


@functools.partial(jax.jit, static_argnums=(1, 2))
def static(x, n, kind):
    if n > 2 and kind == "a" or kind in ("b", "c"):
        return x
    return -x


STATIC = ("n",)


@functools.partial(jax.jit, static_argnames=STATIC)
def static_by_name(x, n):
    return x if n else -x


bound = jax.jit(functools.partial(lambda n, x: x if n > 2 else -x, 3))


@jax.jit
def guarded(x):
    if isinstance(x, float) and x > 3:
        return x
    if not isinstance(x, jax.core.Tracer):
        if x > 3:
            return -x
    return x


@jax.jit
def shape_only(x):
    shape = jax.eval_shape(jnp.sin, x)
    if shape.size > 3 and np.prod(x.shape) > 4:
        return x
    return -x


@jax.jit
def compile_time(x):
    with jax.ensure_compile_time_eval():
        if jnp.ones(3).sum() > 2:
            y = 1
        else:
            y = 2
    return x * y


@checkify.checkify
def checked(x):
    checkify.check(x.sum() > 0, "positive")
    return x


@jax.custom_vjp
def clipped(x, low):
    return x if low is None else jnp.maximum(x, low)


@jax.jit
def callback(x):
    def report(v):
        if v > 3:
            return
        assert v < 3

    jax.debug.callback(report, x)
    return x


def gradient(w, n):
    if w > 0 and n > 3:
        return w**2
    return w


value = jax.value_and_grad(gradient)
curvature = jax.hessian(gradient)


@nnx.jit
def with_model(model, x):
    if model.use_bias and model.layers:
        return x
    return model(x)


@jax.jit
def length(x):
    n = jnp.linalg.norm(x)
    if n:  # expect: VX206
        return x / n
    return x


@jax.jit
def differs(x, y):
    if not (x == y).all():  # expect: VX206
        return x
    return y


@jax.jit
def default_that_no_call_gives(x, n=10):
    if n > 3:
        return x * n
    return x


default_that_no_call_gives(jnp.ones(3))


@jax.jit
def default_that_a_call_gives(x, n=10):
    if n > 3:  # expect: VX206
        return x * n
    return x


default_that_a_call_gives(jnp.ones(3), n=2)


def test_it_raises():
    @jax.jit
    def positive(x):
        return x if x > 0 else -x

    with pytest.raises(jax.errors.TracerBoolConversionError):
        positive(1.0)
