"""VX301 jit-in-loop: functions made anew, and compilation that is meant."""
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx


def step(params, batch, scale=1.0):
    return params - scale * batch.mean()


def partial_in_loop(params, batches):
    for batch in batches:
        params = jax.jit(partial(step, scale=2.0))(params, batch)  # expect: VX301
    return params


def while_loop(params, batch):
    while True:
        update = jax.jit(lambda p: p - batch)  # expect: VX301
        params = update(params)
        if params.sum() < 0:
            break
    return params


def local_function(params, batches):
    for batch in batches:
        def loss(p):
            return jnp.mean(p * batch)

        value = jax.jit(loss)(params)  # expect: VX301
        params = params - value
    return params


def options(params, batches):
    for batch in batches:
        params = partial(jax.jit, donate_argnums=0)(lambda p: p - 1)(params)  # expect: VX301
    return params, batches


@nnx.jit
def traced(model, x):
    return model(x)


def nnx_in_loop(model, xs):
    for x in xs:
        @nnx.jit  # expect: VX301
        def forward(m):
            return m(x)

        forward(model)


def with_equinox(model, xs):
    return {i: eqx.filter_jit(lambda m, x: m(x))(model, x) for i, x in enumerate(xs)}  # expect: VX301


def compiled_per_setting(params, batches, scales):
    for scale in scales:
        fitted = jax.jit(partial(step, scale=scale))
        for batch in batches:
            params = fitted(params, batch)
    return params


def each_function_once(fns, x):
    return [jax.jit(fn)(x) for fn in fns]


def kept(fns):
    compiled = [jax.jit(fn) for fn in fns]
    table = {}
    for name in ("a", "b"):
        table[name] = jax.jit(lambda x: x + 1)
    return compiled, table


def made_when_needed(params, batches):
    run = None
    for batch in batches:
        if run is None:
            run = jax.jit(lambda p, b: p - b)
        params = run(params, batch)
    return params


def first_iterable(x):
    return [y for y in jax.jit(lambda v: v * 2)(x)]


def test_compiles():
    for n in range(3):
        assert jax.jit(lambda x: x + 1)(n) == n + 1


def returned(batches):
    for batch in batches:
        run = jax.jit(lambda p: p - batch)
        return run(batch)


def gradient(p, batches):
    for batch in batches:

        def loss(q):
            return ((q - batch) ** 2).sum()

        p = p - jax.jit(jax.grad(loss))(p)  # expect: VX301
    return p


def gradient_of_one(p, n):
    for _ in range(n):
        value, grads = jax.jit(jax.value_and_grad(loss_of_all))(p)  # expect: VX301
        p = p - grads
    return p


def loss_of_all(p):
    return (p**2).sum()


def named_lambda(p, batches):
    for batch in batches:
        loss = lambda q: ((q - batch) ** 2).sum()
        p = jax.jit(loss)(p)  # expect: VX301
    return p


def gradient_of_each(losses, p):
    for loss in losses:
        p = p - jax.jit(jax.grad(loss))(p)
    return p
