"""Verax: every coordinate, in programs that are compiled by the first check."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from _gradients import problem, serve

from verax.debug import make_gradient_check

params, inputs, labels = problem()


def loss(params, inputs, labels):
    logits = jnp.tanh(inputs @ params["kernel_0"] + params["bias_0"]) @ params["kernel_1"] + params["bias_1"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


check = make_gradient_check(loss)


def checked() -> None:
    report = check(params, inputs, labels)
    assert report.passed and report.checked == 2410, report


if __name__ == "__main__":
    serve(checked)
