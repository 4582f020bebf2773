"""XLA's compilers for small CPU programs: seconds of processor time to compile and to run the grid's nine programs."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

import jax
import tuning_verax
from _grid import SPACE

from verax.tune import Task, _lanes

INPUTS = ("dropout", "learning_rate")
SHAPES = tuple(itertools.product(SPACE["hidden"], SPACE["layers"]))


class Timed:
    """A compiled program that adds the processor time of its calls to a sum."""

    def __init__(self, program: Any, took: dict[str, float]):
        self.program, self.took = program, took

    def __call__(self, *given: Any) -> Any:
        clock = time.process_time()
        results = jax.block_until_ready(self.program(*given))
        self.took["run"] += time.process_time() - clock
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)


def spent(quick: bool, shapes: Sequence[tuple[int, int]], seeds: int = 1, at_once: int = 1) -> dict[str, float]:
    """Returns processor time of the programs of some shapes, compiled by one of the compilers."""
    compiled, took = _lanes.compiled, {"compile": 0.0, "run": 0.0}

    def timed(lowered: Any, options: Any) -> Any:
        clock = time.process_time()
        program = compiled(lowered, options)
        took["compile"] += time.process_time() - clock
        return Timed(program, took)

    settings = [dict(zip(INPUTS, each, strict=True)) for each in itertools.product(*(SPACE[name] for name in INPUTS))]
    count = len(settings)
    with (
        mock.patch.object(_lanes, "compiled", timed),
        mock.patch.object(_lanes, "QUICK_OPERATIONS", 1e99 if quick else 0),
    ):
        for place, (hidden, layers) in enumerate(shapes):
            whole = tuple({"hidden": hidden, "layers": layers, **each} for each in settings)
            task = Task(f"g0-{place}", tuple(range(count)), whole, (tuple(range(seeds)),) * count, {}, INPUTS, ())
            result = _lanes.run_task(tuning_verax.experiment, task, at_once=at_once)
            assert all(trial.error is None for trial in result.trials), result.trials[0].error
    return took


if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)  # what one of them compiled is not read by the other
    spent(True, SHAPES[:1])  # what is done once a process
    told: dict[str, Any] = {"default": spent(False, SHAPES), "older emitters": spent(True, SHAPES)}
    told["ratio"] = {name: told["older emitters"][name] / told["default"][name] for name in ("compile", "run")}
    print(json.dumps(told))
