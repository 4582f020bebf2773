"""What is done for the steps of large networks, each left out in turn: processor time to run 36 lanes of 256 units."""

from __future__ import annotations

import contextlib
import json
import statistics
from typing import Any
from unittest import mock

import jax
from tuning_compilers import spent

from verax.jaxpr import _cpu
from verax.train import _step
from verax.tune import _lanes, _packing

SHAPE, SEEDS, ROUNDS = (256, 4), 4, 3

WITHOUT: dict[str, Any] = {
    "as it is": contextlib.nullcontext,
    "lanes of all seeds mixed": lambda: mock.patch.object(_packing, "ENOUGH", 1e99),
    "all lanes side by side": lambda: mock.patch.multiple(_packing, ENOUGH=1e99, CACHE=1e99),
    "weights copied in each step": lambda: mock.patch.object(_step, "after_all", lambda updates, grads: updates),
    "weights transposed for gradients": lambda: mock.patch.object(_cpu, "FEW", 0),
    "loops over several cores": contextlib.nullcontext,
}

if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, without in WITHOUT.items():
            with without():
                took = spent(False, [SHAPE], SEEDS, at_once=1 if name == "loops over several cores" else _lanes.cores())
            seconds.setdefault(name, []).append(took["run"])
    print(json.dumps({name: statistics.median(each) for name, each in seconds.items()}))
