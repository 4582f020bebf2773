"""The loop of the Flax NNX tutorials: `nnx.jit` around a step, batches from NumPy, one `float(loss)` a step."""

from __future__ import annotations

import jax
import numpy as np
import optax
from _nnx import MLP
from _task import LEARNING_RATE, Task, data
from _worker import Run, serve, timed
from flax import nnx


def make(task: Task) -> Run:
    inputs, labels = data(task)
    model = MLP(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
    generator = np.random.default_rng(0)

    @nnx.jit
    def step(model, optimizer, inputs, labels):
        def mean_loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(inputs), labels).mean()

        loss, grads = nnx.value_and_grad(mean_loss)(model)
        optimizer.update(model, grads)
        return loss

    def train(epochs: int) -> None:
        model.train()
        for _ in range(epochs):
            order = generator.permutation(task.examples)
            losses = []
            for start in range(0, task.examples, task.batch_size):
                rows = order[start : start + task.batch_size]
                losses.append(float(step(model, optimizer, inputs[rows], labels[rows])))
        jax.block_until_ready(nnx.state(model))

    return timed(train, task)


if __name__ == "__main__":
    serve(make, ["jax", "flax", "optax"])
