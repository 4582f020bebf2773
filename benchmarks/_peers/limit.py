"""The limit: what a JAX user reaches by hand. Data on the device, donated state, many steps in one dispatch.

Convolutions run many times slower inside XLA's loops on CPU, so the CNN has its steps written out, four in a
dispatch: the fastest of one, two, four and twelve; the residual network likewise. The Transformer's steps are in a
loop. `--prng=verax` draws the random bits as Verax does, `--prng=threefry` as JAX does; they are the same bits.
"""

from __future__ import annotations

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _linen import network
from _task import LEARNING_RATE, Task, data
from _worker import Run, serve, timed
from jax import lax

CHUNK_STEPS = {"mlp": 100, "cnn": 4, "resnet": 4, "gpt": 12}
WRITTEN_OUT = ("cnn", "resnet")


def make(task: Task) -> Run:
    inputs, labels = map(jnp.asarray, data(task))
    model, optimizer = network(task), optax.adam(LEARNING_RATE)
    init_key, key = jax.random.key(0), jax.random.key(1, impl=_generator())

    @jax.jit
    def init(init_key):
        statistics = dict(model.init(init_key, inputs[:1], training=False))
        params = statistics.pop("params")
        return params, statistics, optimizer.init(params)

    def step(carry, rows, inputs, labels, number):
        params, statistics, opt_state = carry
        step_key = jax.random.fold_in(key, number)

        def mean_loss(params):
            logits, moved = model.apply(
                {"params": params, **statistics},
                inputs[rows],
                training=True,
                rngs={"dropout": step_key},
                mutable=list(statistics),
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean(), moved

        (loss, statistics), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), statistics, opt_state), loss

    @partial(jax.jit, donate_argnums=0)
    def chunk(carry, rows, inputs, labels, number):
        def body(carry, each):
            return step(carry, each[0], inputs, labels, each[1])

        numbers = number + jnp.arange(len(rows))
        return lax.scan(body, carry, (rows, numbers), unroll=task.network in WRITTEN_OUT)

    generator = np.random.default_rng(0)
    length = min(CHUNK_STEPS[task.network], task.steps)
    carry, taken = init(init_key), 0

    def train(epochs: int) -> None:
        nonlocal carry, taken
        losses = []
        for _ in range(epochs):
            order = generator.permutation(task.examples).astype(np.int32).reshape(task.steps, task.batch_size)
            for start in range(0, task.steps, length):
                carry, loss = chunk(carry, order[start : start + length], inputs, labels, np.int32(taken))
                losses.append(loss)
                taken += length
        jax.block_until_ready((carry, losses))

    return timed(train, task)


def _generator():
    """Returns the random number generator asked for on the command line."""
    if "--prng=threefry" in sys.argv:
        return "threefry2x32"
    from verax.train import straight_threefry

    return straight_threefry()


if __name__ == "__main__":
    serve(make, ["jax", "flax", "optax"])
