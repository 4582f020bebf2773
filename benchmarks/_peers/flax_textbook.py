"""The loop of the Flax Linen tutorials: a jitted step, batches from NumPy on the host, one `float(loss)` a step."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
from _linen import network
from _task import LEARNING_RATE, Task, data
from _worker import Run, serve, timed
from flax.training import train_state


class TrainState(train_state.TrainState):
    batch_stats: Any


def make(task: Task) -> Run:
    inputs, labels = data(task)
    model = network(task)
    init_key, dropout_key = jax.random.split(jax.random.key(0))
    variables = model.init(init_key, inputs[:1], training=False)
    state = TrainState.create(
        apply_fn=model.apply,
        params=variables["params"],
        tx=optax.adam(LEARNING_RATE),
        batch_stats=variables.get("batch_stats", {}),
    )
    generator = np.random.default_rng(0)

    @jax.jit
    def step(state, inputs, labels, key):
        key = jax.random.fold_in(key, state.step)

        def mean_loss(params):
            logits, moved = state.apply_fn(
                {"params": params, "batch_stats": state.batch_stats},
                inputs,
                training=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), moved

        (loss, moved), grads = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=grads, batch_stats=moved.get("batch_stats", {})), loss

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
