"""A part of the textbook grid by Optuna's grid sampler and Keras on JAX."""

from __future__ import annotations

import json
import os
import sys
import time

CLOCK = time.perf_counter()
os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402 - the clock starts before the imports
import optuna  # noqa: E402
from _grid import BATCH, EPOCHS, SETTINGS, SPACE, data  # noqa: E402


def main(count: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    splits = data()
    start = time.perf_counter() - CLOCK
    study = optuna.create_study(direction="maximize")
    # Every so-manyth setting and one more each time, so that all widths, depths, rates and dropouts occur.
    for setting in [SETTINGS[place * (len(SETTINGS) // count) + place % 9] for place in range(count)]:
        study.enqueue_trial(setting)

    def objective(trial: optuna.Trial) -> float:
        setting = {name: trial.suggest_categorical(name, values) for name, values in SPACE.items()}
        keras.utils.set_random_seed(0)
        hidden = [
            layer
            for _ in range(setting["layers"])
            for layer in (keras.layers.Dense(setting["hidden"], "relu"), keras.layers.Dropout(setting["dropout"]))
        ]
        model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
        model.compile(
            optimizer=keras.optimizers.Adam(setting["learning_rate"]),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        history = model.fit(
            *splits["train"], batch_size=BATCH, epochs=EPOCHS, validation_data=splits["validation"], verbose=0
        )
        return history.history["val_accuracy"][-1]

    study.optimize(objective, n_trials=count)
    print(json.dumps({"start": start, "trainings": count, "best": study.best_value}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
