"""The loop of the Flax Linen tutorials: a jitted step, batches from NumPy on the host, one `float(loss)` a step."""

from __future__ import annotations

import jax
import numpy as np
import optax
from _linen import network
from _task import LEARNING_RATE, Task, data
from _worker import Run, serve, timed
from flax.training import train_state


def make(task: Task) -> Run:
    inputs, labels = data(task)
    model = network(task)
    init_key, dropout_key = jax.random.split(jax.random.key(0))
    params = model.init(init_key, inputs[:1], training=False)["params"]
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(LEARNING_RATE))
    generator = np.random.default_rng(0)

    @jax.jit
    def step(state, inputs, labels, key):
        key = jax.random.fold_in(key, state.step)

        def mean_loss(params):
            logits = state.apply_fn({"params": params}, inputs, training=True, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, grads = jax.value_and_grad(mean_loss)(state.params)
        return state.apply_gradients(grads=grads), loss

    def train(epochs: int) -> None:
        nonlocal state
        for _ in range(epochs):
            order = generator.permutation(task.examples)
            losses = []
            for start in range(0, task.examples, task.batch_size):
                rows = order[start : start + task.batch_size]
                state, loss = step(state, inputs[rows], labels[rows], dropout_key)
                losses.append(float(loss))
        jax.block_until_ready(state)

    return timed(train, task)


if __name__ == "__main__":
    serve(make, ["jax", "flax", "optax"])
