"""The work that the contenders do: the same data, networks, batches, optimizer and number of steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEARNING_RATE = 1e-3
DROPOUT_RATE = 0.1
CLASSES = 10
HIDDEN = (128, 64)  # of the MLP 784-128-64-10
CHANNELS, DENSE = (32, 64), 256  # of the CNN 32-64-256: 3x3 convolutions, each with ReLU and 2x2 max-pooling
VOCABULARY, CONTEXT = 65, 64  # of the Transformer: 4 layers, 4 heads, 128 channels, as nanoGPT on a CPU


@dataclass(frozen=True)
class Task:
    """Training one network at one batch size.

    Attributes:
      name: as on the command line.
      network: `mlp`, `cnn`, `resnet` or `gpt`.
      batch_size: examples a step.
      steps: of an epoch; the data set has exactly `steps * batch_size` examples, so that no last batch differs.
    """

    name: str
    network: str
    batch_size: int
    steps: int

    @property
    def examples(self) -> int:
        return self.steps * self.batch_size


TASKS = {
    task.name: task
    for task in (
        Task("mlp32", "mlp", 32, 1600),
        Task("mlp128", "mlp", 128, 400),
        Task("cnn128", "cnn", 128, 20),
        Task("resnet64", "resnet", 64, 12),
        Task("gpt12", "gpt", 12, 24),
        Task("first", "mlp", 128, 1),  # for the time to the first step
    )
}


def data(task: Task, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs as float32 in [0, 1] in steps of 1/255, flat or as images, and int32 labels.

    Ten blurred prototypes with noise, four in five pixels black as in MNIST, so that training does something. For the
    Transformer windows of int32 tokens, each one to three places after the one before it, and the tokens that follow.
    """
    generator = np.random.default_rng(seed)
    if task.network == "gpt":
        steps = generator.integers(1, 4, (task.examples, CONTEXT + 1))
        tokens = (steps.cumsum(axis=1) % VOCABULARY).astype(np.int32)
        return tokens[:, :-1], tokens[:, 1:]
    ink = generator.random((CLASSES, 784)) * (generator.random((CLASSES, 784)) < 0.2)
    labels = generator.integers(0, CLASSES, task.examples).astype(np.int32)
    noise = generator.random((task.examples, 784), np.float32)
    pixels = np.round(255 * np.clip(ink[labels] * (0.3 + noise), 0, 1)).astype(np.float32)
    inputs = pixels / np.float32(255)
    return (inputs if task.network == "mlp" else inputs.reshape(-1, 28, 28, 1)), labels
