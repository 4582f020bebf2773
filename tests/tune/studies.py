"""Experiments whose file other processes load, and what tests of studies compare."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import verax as vx

SPACE = {"rate": [0.01, 0.1], "width": [2, 3]}  # two programs of two lanes
WIDE = {"rate": [0.01, 0.1], "width": [2, 3, 4, 5]}  # four programs


def data():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(32, 3)).astype(np.float32)
    targets = (inputs @ np.float32([1, -2, 3]) + 0.1 * random.normal(size=32)).astype(np.float32)
    return {"train": (inputs[:20], targets[:20]), "validation": (inputs[20:], targets[20:])}


def linear(rate: float = 0.1, width: int = 2, seconds: float = 0.0):
    """Two layers without an activation; `seconds` is how long it takes to make one in a thread that trains."""
    if threading.current_thread() is not threading.main_thread():
        time.sleep(seconds)

    def init(key, x):
        return {"in": 0.3 * jax.random.normal(key, (x.shape[1], width)), "out": jnp.ones((width, 1))}

    network = (init, lambda params, x: x @ params["in"] @ params["out"])
    return vx.Experiment(network, vx.regression(), optax.sgd(rate), data(), epochs=4, batch_size=5)


def deadly(rate: float = 0.1, driver: int = 0, marker: str = "", always: bool = False):
    """As `linear`, but the first process that is not the driver, or every one, is killed here."""
    if os.getpid() != driver and (always or not Path(marker).exists()):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return linear(rate)


def faulty(rate: float = 0.1, driver: int = 0):
    """As `linear`, but it raises an error in other processes than the driver."""
    if os.getpid() != driver:
        raise ZeroDivisionError("a fault of the user's")
    return linear(rate)


def noisy(rate: float = 0.1, width: int = 2):
    """As `linear`, but it prints, in Python and without it, and reads."""
    print('{"result": "nonsense"}')
    os.write(1, b'{"result": "nonsense"}\n')
    assert os.getpid() == int(os.environ["DRIVER"]) or sys.stdin.read() == ""
    return linear(rate, width)


def told(study):
    """What two runs of the same study have in common."""
    return {
        trial.number: (dict(trial.hyperparameters), trial.state, trial.task, sorted(trial.curves))
        for trial in study.trials
    }


def assert_same(study, other):
    """The same trials, packed alike; values differ by rounding alone."""
    assert told(study) == told(other)
    assert study.facts["lanes"] == other.facts["lanes"]
    assert study.best.number == other.best.number
    for one, two in zip(study.trials, other.trials, strict=True):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-6)
