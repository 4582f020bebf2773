"""XLA's compilers for small CPU programs: seconds of processor time to compile and to run the grid's nine programs."""

from __future__ import annotations

import itertools
import json
import time
from unittest import mock

import tuning_verax
from _grid import SPACE

from verax.tune import Task, _lanes


def spent(quick: bool) -> dict[str, float]:
    """Returns processor time of all nine programs, compiled by one of the compilers."""
    inputs = [
        dict(zip(("dropout", "learning_rate"), each, strict=True))
        for each in itertools.product(*(SPACE[name] for name in ("dropout", "learning_rate")))
    ]
    compile_of, took = _lanes._compile, {"compile": 0.0}

    def timed(lowered, options):
        clock = time.process_time()
        compiled = compile_of(lowered, options)
        took["compile"] += time.process_time() - clock
        return compiled

    clock = time.process_time()
    with (
        mock.patch.object(_lanes, "_compile", timed),
        mock.patch.object(_lanes, "QUICK_OPERATIONS", 1e99 if quick else 0),
    ):
        for place, (hidden, layers) in enumerate(itertools.product(SPACE["hidden"], SPACE["layers"])):
            settings = tuple({"hidden": hidden, "layers": layers, **each} for each in inputs)
            count = len(settings)
            names = ("dropout", "learning_rate")
            _lanes.run_task(
                tuning_verax.experiment,
                Task(f"g0-{place}", tuple(range(count)), settings, ((0,),) * count, {}, names, ()),
            )
    return {**took, "everything": time.process_time() - clock}


if __name__ == "__main__":
    spent(True)  # what is traced once a process
    print(json.dumps({"default": spent(False), "older emitters": spent(True)}))
