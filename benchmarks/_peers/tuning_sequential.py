"""The textbook grid as textbooks have it: a loop over settings, each with a fresh `jit`; data on the device."""

from __future__ import annotations

import json
import sys
import time

CLOCK = time.perf_counter()

import jax  # noqa: E402 - the clock starts before the imports
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from _grid import BATCH, EPOCHS, SETTINGS, data  # noqa: E402
from flax import linen as nn  # noqa: E402


class MLP(nn.Module):
    hidden: int
    layers: int
    dropout: float

    @nn.compact
    def __call__(self, inputs, training: bool):
        for _ in range(self.layers):
            inputs = nn.relu(nn.Dense(self.hidden)(inputs))
            inputs = nn.Dropout(self.dropout, deterministic=not training)(inputs)
        return nn.Dense(10)(inputs)


def train(hidden, layers, dropout, learning_rate, seed, train_data, validation):
    """Returns the validation accuracy after the last epoch."""
    inputs, labels = train_data
    model, key = MLP(hidden, layers, dropout), jax.random.key(seed)
    key, init_key = jax.random.split(key)
    params = model.init(init_key, inputs[:1], False)["params"]
    optimizer = optax.adam(learning_rate)
    opt_state = optimizer.init(params)

    @jax.jit
    def step(params, opt_state, rows, key):
        def loss_fn(params):
            logits = model.apply({"params": params}, inputs[rows], True, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    @jax.jit
    def accuracy(params):
        return (model.apply({"params": params}, validation[0], False).argmax(-1) == validation[1]).mean()

    rng, steps = np.random.default_rng(seed), -(-len(labels) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(labels))
        order = np.concatenate([order, order[: steps * BATCH - len(labels)]])  # the last batch is filled up
        for rows in order.reshape(steps, BATCH):
            key, step_key = jax.random.split(key)
            params, opt_state, _ = step(params, opt_state, rows, step_key)
        reached = float(accuracy(params))
    return reached


def main(seeds: int) -> None:
    splits = {name: tuple(map(jnp.asarray, pair)) for name, pair in data().items()}
    start = time.perf_counter() - CLOCK
    reached = [
        [
            train(**setting, seed=seed, train_data=splits["train"], validation=splits["validation"])
            for seed in range(seeds)
        ]
        for setting in SETTINGS
    ]
    best = max(sum(each) / len(each) for each in reached)
    print(json.dumps({"start": start, "trainings": len(SETTINGS) * seeds, "best": best}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
