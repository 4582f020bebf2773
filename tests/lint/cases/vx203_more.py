"""VX203 captured-state-mutation: more containers and scopes, and local look-alikes."""
from collections import defaultdict, deque
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

metrics: dict[str, jax.Array] = {}
window = deque(maxlen=10)
seen = set()
groups = defaultdict(list)
buffer = np.zeros(10)
tx = optax.adam(1e-3)
TOTAL = 0.0


@jax.jit
def annotated(x):
    metrics["x"] = x  # expect: VX203
    metrics.update(y=x)  # expect: VX203
    return x


def given(logged: "list[jax.Array]", named: "Mapping[str, int]", broken: "dict[", x):
    counts: "dict[str, int]" = load()

    @jax.jit
    def step(y):
        logged.append(y)  # expect: VX203
        counts["steps"] = y  # expect: VX203
        named.update(y=y)
        broken.update(y=y)
        return y

    return step(x)


@partial(jax.jit, static_argnames="n")
def sliding(x, n):
    window.append(x * n)  # expect: VX203
    return x


@jax.vmap
def collected(x):
    groups["x"].append(x)  # expect: VX203
    seen.add(x)  # expect: VX203
    return x


@jax.jit
def into_numpy(x):
    buffer[0] = x.sum()  # expect: VX203
    return x


@jax.jit
def rebound(x):
    global TOTAL
    TOTAL = TOTAL + x  # expect: VX203
    return x


def loss_with_log(params, x):
    losses = []

    def loss(p):
        value = jnp.mean((p - x) ** 2)
        losses.append(value)  # expect: VX203
        return value

    return jax.grad(loss)(params), losses


@jax.jit
def inner_loop(xs):
    trace = []

    def body(c, x):
        trace.append(c)  # expect: VX203
        return c + x, None

    out, _ = lax.scan(body, 0.0, xs)
    return out, trace


class Recorder:
    def __init__(self):
        self.history = []

    @partial(jax.jit, static_argnums=0)
    def step(self, x):
        self.history.append(x)  # expect: VX203
        return x * 2


@jax.jit
def helper_fills_local(x):
    parts = []

    def add(v):
        parts.append(v)

    add(x)
    add(x * 2)
    return jnp.stack(parts)


@jax.jit
def comprehension(xs):
    out = {name: value * 2 for name, value in xs.items()}
    out["n"] = xs["n"]
    return out


@jax.jit
def argument_dictionary(batch):
    batch = dict(batch)
    batch["x"] = batch["x"] / 255.0
    return batch


@jax.jit
def functional(state, grads, params):
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state


@jax.jit
def nonlocal_inside(x):
    total = x

    def add(v):
        nonlocal total
        total = total + v

    add(x)
    return total


def host(x):
    metrics["x"] = x
    window.append(x)
    seen.add(1)
    return x


@jax.jit
def callback(x):
    def store(v):
        window.append(v)
        metrics["last"] = v

    jax.debug.callback(store, x)
    return x


def test_traces_once():
    traces = []

    @jax.jit
    def f(x):
        traces.append(1)
        return x

    f(1.0)
    f(2.0)
    assert len(traces) == 1
