"""VX607 open-last-calibration-bin: confidence 1 is in no bin."""
import jax.numpy as jnp
import numpy as np


def calibration_error(confidence, correct, bins=15):
    edges = jnp.linspace(0.0, 1.0, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence >= low) & (confidence < high)  # expect: VX607
        error += jnp.abs(jnp.sum(jnp.where(inside, correct - confidence, 0.0)))
    return error / len(confidence)


def by_index(probs, labels, n):
    edges = np.linspace(0, 1, n + 1)
    return [(probs[(edges[i] <= probs) & (probs < edges[i + 1])]).mean() for i in range(n)]  # expect: VX607


def ece(p, y, n):
    bounds = np.linspace(0, 1, n + 1)
    lowers, uppers = bounds[:-1], bounds[1:]
    total = 0.0
    for i, (low, high) in enumerate(zip(lowers, uppers)):
        mask = np.logical_and(p >= low, p < high)  # expect: VX607
        total += abs(np.sum(np.where(mask, y - p, 0.0)))
    return total


def all_at_once(confidences, correct, n):
    edges = jnp.linspace(0, 1, n + 1)
    inside = (confidences[:, None] >= edges[:-1]) & (confidences[:, None] < edges[1:])  # expect: VX607
    return inside.T @ correct


def closed_above(confidence, n):
    edges = jnp.linspace(0, 1, n + 1)
    return [(confidence > low) & (confidence <= high) for low, high in zip(edges[:-1], edges[1:])]


def last_is_closed(confidence, n):
    edges = jnp.linspace(0, 1, n + 1)
    masks = []
    for i in range(n):
        inside = (confidence >= edges[i]) & (confidence < edges[i + 1])
        if i == n - 1:
            inside = (confidence >= edges[i]) & (confidence <= edges[i + 1])
        masks.append(inside)
    return masks


def last_edge_above(confidence, n):
    edges = np.linspace(0, 1, n + 1)
    edges[-1] = 1.1
    return [(confidence >= low) & (confidence < high) for low, high in zip(edges[:-1], edges[1:])]


def wide_edges(confidence, n):
    edges = jnp.linspace(0, 1 + 1e-6, n + 1)
    return [(confidence >= low) & (confidence < high) for low, high in zip(edges[:-1], edges[1:])]


def clipped(confidence, n):
    confidence = jnp.minimum(confidence, 1 - 1e-6)
    edges = jnp.linspace(0, 1, n + 1)
    return [(confidence >= low) & (confidence < high) for low, high in zip(edges[:-1], edges[1:])]


def times(t, n):
    edges = jnp.linspace(0, 1, n + 1)
    return [(t >= low) & (t < high) for low, high in zip(edges[:-1], edges[1:])]


def given_edges(confidence, edges):
    return [(confidence >= low) & (confidence < high) for low, high in zip(edges[:-1], edges[1:])]


def digitized(confidence, correct, n):
    edges = jnp.linspace(0, 1, n + 1)
    place = jnp.digitize(confidence, edges) - 1  # expect: VX607
    return [jnp.sum(jnp.where(place == i, correct - confidence, 0.0)) for i in range(n)]


def digitized_from_one(probs, labels, bins=10):
    where = np.digitize(probs, np.linspace(0.0, 1.0, bins + 1))  # expect: VX607
    error = 0.0
    for b in range(1, bins + 1):
        inside = where == b
        error += abs(np.sum(probs[inside] - labels[inside]))
    return error


def digitized_closed(confidence, n):
    edges = jnp.linspace(0, 1, n + 1)
    place = jnp.digitize(confidence, edges, right=True) - 1
    return [place == i for i in range(n)]


def digitized_between(confidence, n):
    edges = jnp.linspace(0, 1, n + 1)
    place = jnp.digitize(confidence, edges[1:-1])
    return [place == i for i in range(n)]


def digitized_all(confidence, n):
    edges = jnp.linspace(0, 1, n)
    place = jnp.digitize(confidence, edges) - 1
    return [place == i for i in range(n)]


def digitized_and_cut(confidence, n):
    edges = np.linspace(0, 1, n + 1)
    place = np.digitize(confidence, edges) - 1
    place[place == n] = n - 1
    return [place == i for i in range(n)]


def digitized_and_counted(confidence, n):
    edges = np.linspace(0, 1, n + 1)
    place = np.digitize(confidence, edges) - 1
    return np.bincount(np.minimum(place, n - 1)), [place == i for i in range(n)]


def digitized_with_the_rest(confidence, n):
    edges = np.linspace(0, 1, n + 1)
    place = np.digitize(confidence, edges) - 1
    return [place == i for i in range(n)] + [place == n]


def digitized_times(t, n):
    place = np.digitize(t, np.linspace(0, 1, n + 1)) - 1
    return [place == i for i in range(n)]
