"""The textbook grid by `vx.tune`, with some seeds for each setting."""

from __future__ import annotations

import json
import sys
import time

CLOCK = time.perf_counter()

import optax  # noqa: E402 - the clock starts before the imports
from _grid import BATCH, EPOCHS, SPACE, data  # noqa: E402

import verax as vx  # noqa: E402

DATA = vx.data.load(data())


def experiment(hidden: int, layers: int, dropout: float, learning_rate: float) -> vx.Experiment:
    return vx.Experiment(
        network=vx.models.MLP((hidden,) * layers + (10,), dropout_rate=dropout),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate),
        data=DATA,
        batch_size=BATCH,
        epochs=EPOCHS,
    )


if __name__ == "__main__":
    start = time.perf_counter() - CLOCK
    study = vx.tune(experiment, SPACE, objective="validation/accuracy", seeds=int(sys.argv[1]), retrain=0)
    trainings = sum(len(trial.values) for trial in study.trials)
    facts = {name: study.facts[name] for name in ("programs", "compile_seconds", "search_seconds")}
    print(json.dumps({"start": start, "trainings": trainings, "best": study.best.value, **facts}))
