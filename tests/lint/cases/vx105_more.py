"""VX105 constant-key-per-call: further forms, and look-alikes."""
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.random import PRNGKey, key, normal, split

SEED = 17


@partial(jax.jit, static_argnums=0)
def named_seed(n, x):
    return x + normal(PRNGKey(SEED), (n,))  # expect: VX105


def scanned(xs):
    def body(carry, x):
        k = key(3)  # expect: VX105
        return carry + normal(k) * x, carry

    return lax.scan(body, 0.0, xs)


def as_lambda(xs):
    return jax.vmap(lambda x: x + normal(key(0), x.shape))(xs)  # expect: VX105


def comprehension(shapes):
    return [normal(PRNGKey(1), shape) for shape in shapes]  # expect: VX105


class Dropped(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = False):
        rngs = {"dropout": PRNGKey(0)}  # expect: VX105
        return nn.Dense(3)(x), rngs


# What must stay silent.


def initialize(model, dummy):
    return [model.init(key(0), x) for x in dummy]


@jax.jit
def folded(step, x):
    return x + normal(jax.random.fold_in(key(0), step), x.shape)


@jax.jit
def create_params(x):
    k = key(0)
    return normal(k, x.shape)


def shapes(model, xs):
    return [jax.eval_shape(model.init, key(0), x) for x in xs]


def same_start(optimizers, loss, model, x):
    for optimizer in optimizers:
        params = model.init(PRNGKey(0), x)
        loss = optimizer.run(loss, params)
    return loss


def main():
    for scale in (1.0, 2.0):
        print(scale * normal(key(0)))


class TestNoise:
    def check(self):
        for n in (1, 2):
            assert normal(key(0), (n,)).shape == (n,)


k1, k2 = split(key(0))
noise = normal(k1) + jnp.mean(normal(k2))


def dropout_in_a_loop(model, params, batches):
    for batch in batches:
        params = model.apply(params, batch, rngs={"dropout": jax.random.PRNGKey(0)})  # expect: VX105
    return params


@jax.jit
def told_to_draw_nothing(model, params, x):
    return model.apply(params, x, train=False, rngs={"dropout": jax.random.PRNGKey(0)})


@jax.jit
def eval_actions(model, params, x):
    return model.apply(params, x, rngs={"sample": jax.random.PRNGKey(0)})


class Toy(Generator):
    def __call__(self, key):
        del key
        return State(board=jnp.zeros((3, 3)), key=jax.random.PRNGKey(0))
