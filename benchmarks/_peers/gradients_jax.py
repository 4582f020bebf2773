"""`jax.test_util.check_grads`, reverse mode, order 1: one random direction through all parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from _gradients import problem, serve
from jax.test_util import check_grads

jax.config.update("jax_enable_x64", True)
params, inputs, labels = problem()


@jax.jit
def loss(params):
    logits = jnp.tanh(inputs @ params["kernel_0"] + params["bias_0"]) @ params["kernel_1"] + params["bias_1"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


if __name__ == "__main__":
    serve(lambda: check_grads(loss, (params,), order=1, modes=["rev"]))
