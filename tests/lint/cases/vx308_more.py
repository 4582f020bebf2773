"""VX308 train-step-not-jitted (opt-in): methods and aliases, and steps compiled in other ways."""
from functools import partial

import jax
import jax.numpy as jnp
import optax

tx = optax.adam(1e-3)


def loss(params, batch):
    return jnp.mean((batch @ params) ** 2)


grad_fn = jax.grad(loss)
fast_grad = jax.jit(jax.grad(loss))


class Trainer:
    def step(self, params, state, batch):  # expect: VX308
        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    def fit(self, params, state, batches):
        while batches:
            params, state, _ = self.step(params, state, batches.pop())
        return params


def with_tree(params, batch):  # expect: VX308
    grads = grad_fn(params, batch)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def train(params, batches):
    for batch in batches:
        params = with_tree(params, batch)
    return params


def compiled_gradient(params, batch):
    grads = fast_grad(params, batch)
    return params - 0.1 * grads


def train_compiled(params, batches):
    for batch in batches:
        params = compiled_gradient(params, batch)
    return params


def scanned(params, batch):
    return params - 0.1 * jax.grad(loss)(params, batch), None


def train_scanned(params, batches):
    return jax.lax.scan(scanned, params, batches)


def once(params, batch):
    return params - 0.1 * jax.grad(loss)(params, batch)


def single(params, batch):
    return once(params, batch)


def wrapped(rate, params, batch):
    return params - rate * jax.grad(loss)(params, batch)


fast = jax.jit(partial(wrapped, 0.1))


def train_wrapped(params, batches):
    for batch in batches:
        params = fast(params, batch)
    return params


@jax.jit
def epoch(params, batches):
    for i in range(3):
        params = once(params, batches[i])
    return params


def only_gradient(params, batch):
    return jax.grad(loss)(params, batch)


def norms(params, batches):
    return [only_gradient(params, batch) for batch in batches]
