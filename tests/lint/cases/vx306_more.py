"""VX306 host-sync-in-loop: more conversions, and those outside of the steps."""
import jax
import numpy as np
from tqdm import tqdm


def loss_step(params, batch):
    return params - batch, {"loss": batch.mean()}


fast_step = jax.jit(loss_step)


def renamed(params, batches):
    history = []
    for batch in tqdm(batches):
        params, metrics = fast_step(params, batch)
        history.append(float(metrics["loss"]))  # expect: VX306
    return params, history


def fetched(params, batches):
    for i, batch in enumerate(batches):
        params, metrics = fast_step(params, batch)
        host = jax.device_get(metrics)  # expect: VX306
        print(i, host)
    return params


class Trainer:
    def train_step(self, state, batch):
        return state, batch

    def fit(self, state, batches):
        total = 0.0
        while batches:
            state, loss = self.train_step(state, batches.pop())
            total += loss.item()  # expect: VX306
        return state, total


def sometimes(params, batches, log):
    for i, batch in enumerate(batches):
        params, metrics = fast_step(params, batch)
        if log and i % 10 == 0:
            print(float(metrics["loss"]))
        loss = float(metrics["loss"]) if i == 0 else None
        if loss is not None and np.isnan(loss):
            break
    print(float(metrics["loss"]))
    return params


def evaluate(params, batches):
    total = 0.0
    for batch in batches:
        params, metrics = fast_step(params, batch)
        total += float(metrics["loss"])
    return total


def from_the_data(params, batches):
    for batch in batches:
        params, metrics = fast_step(params, np.asarray(batch))
        rate = float(batch[0])
        print(rate)
    return params


def after_epochs(params, batches, epochs):
    for _ in range(epochs):
        for batch in batches:
            params, metrics = fast_step(params, batch)
        print(float(metrics["loss"]))
    return params


def state_made_of_gradients(params, batches, loss):
    step = jax.jit(jax.value_and_grad(loss))
    for batch in batches:
        value, grads = step(params, batch)
        params = params - grads
        print(float(value))  # expect: VX306
    return params


def recorded(env, state, actions, scene):
    step = jax.jit(env.step)
    for action in actions:
        state = step(state, action)
        scene.positions = np.array(state.positions)
