"""Keras 3 on its JAX backend: `fit` as it comes, or with `--steps-per-execution`."""

from __future__ import annotations

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"

import keras
from _task import CHANNELS, CLASSES, DENSE, DROPOUT_RATE, HIDDEN, LEARNING_RATE, Task, data
from _worker import Run, Span, serve


def make(task: Task) -> Run:
    keras.utils.set_random_seed(0)
    inputs, labels = data(task)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), *_layers(task)])
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=min(40, task.steps) if "--steps-per-execution" in sys.argv else 1,
    )

    def run(epochs: int) -> Span:
        clock = _Clock()
        model.fit(inputs, labels, batch_size=task.batch_size, epochs=epochs, shuffle=True, verbose=0, callbacks=[clock])
        return epochs * task.steps, clock.seconds

    return run


def _layers(task: Task) -> list[keras.Layer]:
    layers = keras.layers
    if task.network == "mlp":
        hidden = [
            layer
            for width in HIDDEN
            for layer in (layers.Dense(width, activation="relu"), layers.Dropout(DROPOUT_RATE))
        ]
        return [*hidden, layers.Dense(CLASSES)]
    convolutions = [
        layer
        for channels in CHANNELS
        for layer in (layers.Conv2D(channels, 3, padding="same", activation="relu"), layers.MaxPooling2D(2))
    ]
    head = [layers.Dense(DENSE, activation="relu"), layers.Dropout(DROPOUT_RATE), layers.Dense(CLASSES)]
    return [*convolutions, layers.Flatten(), *head]


class _Clock(keras.callbacks.Callback):
    """Seconds from the first step to the end of training, without what `fit` does before it."""

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter()

    def on_train_end(self, logs=None):
        self.seconds = time.perf_counter() - self.started  # the epoch's loss has been read: the steps are finished


if __name__ == "__main__":
    serve(make, ["keras", "jax"])
