"""Losses of each example, `(outputs, targets) -> losses`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

cross_entropy = optax.softmax_cross_entropy_with_integer_labels


def smoothed(outputs: Any, labels: Any) -> Any:
    """Cross entropy against labels of which a tenth is spread over all classes: its floor is far above zero."""
    wanted = optax.smooth_labels(jax.nn.one_hot(labels, outputs.shape[-1]), 0.1)
    return optax.softmax_cross_entropy(outputs, wanted)


def focal(outputs: Any, labels: Any) -> Any:
    """Lin et al. (2017) with gamma 2, for one logit."""
    return optax.sigmoid_focal_loss(outputs.reshape(-1), labels.astype(jnp.float32), gamma=2.0)


def binary(outputs: Any, labels: Any) -> Any:
    return optax.sigmoid_binary_cross_entropy(outputs.reshape(-1), labels.astype(jnp.float32))


def weighted(outputs: Any, labels: Any) -> Any:
    """Binary cross entropy in which an example of the rare class counts ten times."""
    return jnp.where(labels == 1, 10.0, 1.0) * binary(outputs, labels)


def hinge(outputs: Any, labels: Any) -> Any:
    return jnp.maximum(0.0, 1.0 - (2.0 * labels - 1.0) * outputs.reshape(-1))


def squared(outputs: Any, targets: Any) -> Any:
    return (outputs.reshape(-1) - targets) ** 2


def absolute(outputs: Any, targets: Any) -> Any:
    return jnp.abs(outputs.reshape(-1) - targets)


def huber(outputs: Any, targets: Any) -> Any:
    return optax.huber_loss(outputs.reshape(-1), targets)


def median(outputs: Any, targets: Any) -> Any:
    """The quantile loss at one half."""
    gap = targets - outputs.reshape(-1)
    return jnp.maximum(0.5 * gap, -0.5 * gap)


def gaussian(outputs: Any, targets: Any) -> Any:
    """Minus the log density of a mean and a log variance: below zero where the fit is close."""
    mean, log_variance = outputs[:, 0], outputs[:, 1]
    return 0.5 * (log_variance + (targets - mean) ** 2 * jnp.exp(-log_variance))


def poisson(outputs: Any, counts: Any) -> Any:
    """Minus the log likelihood of a log rate, without the term that has no gradient: below zero by right."""
    log_rate = outputs.reshape(-1)
    return jnp.exp(log_rate) - counts * log_rate


def tokens(outputs: Any, labels: Any) -> Any:
    """Cross entropy by position, the mean over those whose label is not negative, of each sequence."""
    counts = (labels >= 0).astype(jnp.float32)
    losses = cross_entropy(outputs, jnp.maximum(labels, 0))
    return jnp.sum(losses * counts, -1) / jnp.maximum(jnp.sum(counts, -1), 1.0)
