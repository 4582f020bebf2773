"""VX605 mean-of-batch-means: the last batch may be smaller."""
import jax
import jax.numpy as jnp
import numpy as np


def loss_fn(params, inputs):
    return jnp.mean((inputs @ params) ** 2)


fast_loss = jax.jit(loss_fn)


def evaluate(params, inputs, size):
    losses = []
    for start in range(0, len(inputs), size):
        losses.append(fast_loss(params, inputs[start : start + size]))
    return jnp.mean(jnp.array(losses))  # expect: VX605


def accuracy(params, inputs, labels):
    total, batches = 0.0, 0
    for i in range(0, inputs.shape[0], 32):
        right = (inputs[i : i + 32] @ params).argmax(-1) == labels[i : i + 32]
        total += float(right.mean())
        batches += 1
    return total / batches  # expect: VX605


def by_sum(params, inputs, size):
    losses = []
    for i in range(0, len(inputs), size):
        loss = loss_fn(params, inputs[i : i + size])
        losses.append(loss.item())
    return sum(losses) / len(losses)  # expect: VX605


def in_one_line(params, inputs, size):
    return np.mean([loss_fn(params, inputs[i : i + size]) for i in range(0, len(inputs), size)])  # expect: VX605


def weighted(params, inputs, size):
    total = 0.0
    for i in range(0, len(inputs), size):
        batch = inputs[i : i + size]
        total += loss_fn(params, batch) * len(batch)
    return total / len(inputs)


def sums(params, inputs, size):
    total = 0.0
    for i in range(0, len(inputs), size):
        total += jnp.sum((inputs[i : i + size] @ params) ** 2)
    return total / len(inputs)


def dropped(params, inputs, size):
    losses = []
    for i in range(0, len(inputs), size):
        batch = inputs[i : i + size]
        if len(batch) < size:
            break
        losses.append(loss_fn(params, batch))
    return np.mean(losses)


def whole_batches(params, inputs, size):
    count = len(inputs) // size * size
    losses = [loss_fn(params, inputs[i : i + size]) for i in range(0, count, size)]
    return np.mean(losses), np.mean([loss_fn(params, inputs[i : i + 8]) for i in range(0, 64, 8)])


def per_example(params, inputs, size):
    losses = []
    for i in range(0, len(inputs), size):
        losses.append((inputs[i : i + size] @ params) ** 2)
    return jnp.mean(jnp.concatenate(losses))


def curve(params, inputs, size):
    losses = []
    for i in range(0, len(inputs), size):
        losses.append(loss_fn(params, inputs[i : i + size]))
    return losses, np.max(losses)


def windows(inputs, size):
    return np.mean([inputs[i : i + size].mean() for i in range(0, len(inputs) - size, 1)])


def loader(params, batches):
    losses = []
    for batch in batches:
        losses.append(loss_fn(params, batch))
    return np.mean(losses)


def weighted(params, inputs, size):
    losses, counts = [], []
    for i in range(0, len(inputs), size):
        losses.append(jnp.mean(inputs[i : i + size] @ params))
        counts.append(len(inputs[i : i + size]))
    return np.average(losses, weights=counts)


def divisible(params, inputs, size):
    assert len(inputs) % size == 0
    losses = []
    for i in range(0, len(inputs), size):
        losses.append(jnp.mean(inputs[i : i + size] @ params))
    return np.mean(losses)
