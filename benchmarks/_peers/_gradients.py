"""The far end of the line to `benchmarks/gradient_check.py`: checks the gradient of one network when told to.

    check  ->  done {"seconds": of one check, from plain arrays to the verdict}

The network is an MLP 64-32-10 with tanh and softmax cross-entropy, 2,410 parameters, on 16 rows, everything in float64.
Anything else that a library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ROWS, SIZES = 16, (64, 32, 10)


class Problem(NamedTuple):
    """Weights and biases of both layers, inputs and labels."""

    params: dict[str, np.ndarray]
    inputs: np.ndarray
    labels: np.ndarray


def problem() -> Problem:
    random = np.random.default_rng(0)
    inputs, hidden, outputs = SIZES
    params = {
        "kernel_0": random.normal(size=(inputs, hidden)) / np.sqrt(inputs),
        "bias_0": 0.1 * random.normal(size=hidden),
        "kernel_1": random.normal(size=(hidden, outputs)) / np.sqrt(hidden),
        "bias_1": 0.1 * random.normal(size=outputs),
    }
    return Problem(params, random.normal(size=(ROWS, inputs)), random.integers(0, outputs, ROWS))


def serve(check: Callable[[], Any]) -> None:
    """Answers until the line is closed; `check` raises unless the gradient is right."""
    line = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for _ in sys.stdin:
        started = time.perf_counter()
        check()
        print("done", json.dumps({"seconds": time.perf_counter() - started}), file=line)
