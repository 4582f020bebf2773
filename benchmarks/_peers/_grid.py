"""The textbook grid of benchmarks/tuning.py and its data: the same for every method."""

from __future__ import annotations

import itertools

import numpy as np
from sklearn.datasets import load_digits

EPOCHS, BATCH = 10, 32
SPACE = {
    "hidden": [64, 128, 256],
    "layers": [2, 3, 4],
    "dropout": [0.1, 0.3, 0.5],
    "learning_rate": [1e-4, 1e-3, 1e-2],
}
SETTINGS = [dict(zip(SPACE, each, strict=True)) for each in itertools.product(*SPACE.values())]
ROWS = (1078, 1258)  # train ends, validation ends: 60 and 10 per cent


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns inputs in [0, 1] and labels of both splits, in an order drawn once."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    inputs, targets = (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)
    train, end = ROWS
    return {"train": (inputs[:train], targets[:train]), "validation": (inputs[train:end], targets[train:end])}
