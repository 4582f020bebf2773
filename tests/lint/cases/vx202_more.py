"""VX202 impure-call-in-traced: loggers, plots, iterators, and their host look-alikes."""
import logging
import time
from datetime import datetime
from functools import partial
from time import perf_counter as clock

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import wandb
from absl import logging as absl_logging

logger = logging.getLogger(__name__)
stream = iter(range(10))


@jax.jit
def renamed_clock(x):
    t = clock()  # expect: VX202
    return x * t


@partial(jax.jit, static_argnums=1)
def stamped(x, n):
    now = datetime.now()  # expect: VX202
    return x, now.second * n


@jax.jit
def logs_value(x):
    logger.info("x = %s", x)  # expect: VX202
    absl_logging.info("x = %s", x)  # expect: VX202
    return x


@jax.jit
def tracked(params, x):
    loss = jnp.mean(params * x)
    wandb.log({"loss": loss})  # expect: VX202
    return loss


@jax.jit
def plotted(x):
    plt.plot(x)  # expect: VX202
    return x


def scanned(xs):
    def body(carry, x):
        noise = next(stream)  # expect: VX202
        return carry + noise * x, x

    return jax.lax.scan(body, 0.0, xs)


def make(batches):
    it = iter(batches)

    @jax.jit
    def step(params):
        return params - next(it)  # expect: VX202

    return step


@jax.jit
def saved(x):
    table = np.load("table.npy")  # expect: VX202
    return x @ table


def host_loop(batches, step, params):
    it = iter(batches)
    start = time.time()
    for _ in range(10):
        params = step(params, next(it))
    logger.info("done in %s", time.time() - start)
    wandb.log({"seconds": time.time() - start})
    return params


@jax.jit
def generator(x):
    parts = (x * i for i in range(3))
    return next(parts) + next(parts)


@jax.jit
def own_parameter(x, names):
    it = iter(names)
    return x, next(it)


def log_later(x):
    logger.info("x = %s", x)
    plt.plot(x)


@jax.jit
def callback(x):
    jax.debug.callback(log_later, x)
    return x


class Clock:
    def time(self):
        return 3


@jax.jit
def method_named_time(x):
    return x * Clock().time()


@jax.jit
def numeric_log(x):
    return jnp.log(x), np.log(2.0)
