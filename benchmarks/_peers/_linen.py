"""The networks in Flax Linen, for every contender that uses it; the larger two are those of `vx.models`."""

from __future__ import annotations

from typing import Any

from _task import CHANNELS, CLASSES, CONTEXT, DENSE, DROPOUT_RATE, HIDDEN, VOCABULARY, Task
from flax import linen as nn


class MLP(nn.Module):
    @nn.compact
    def __call__(self, inputs: Any, training: bool) -> Any:
        hidden = inputs
        for width in HIDDEN:
            hidden = nn.relu(nn.Dense(width)(hidden))
            hidden = nn.Dropout(DROPOUT_RATE, deterministic=not training)(hidden)
        return nn.Dense(CLASSES)(hidden)


class CNN(nn.Module):
    @nn.compact
    def __call__(self, inputs: Any, training: bool) -> Any:
        hidden = inputs
        for channels in CHANNELS:
            hidden = nn.max_pool(nn.relu(nn.Conv(channels, (3, 3))(hidden)), (2, 2), (2, 2))
        hidden = nn.relu(nn.Dense(DENSE)(hidden.reshape((hidden.shape[0], -1))))
        hidden = nn.Dropout(DROPOUT_RATE, deterministic=not training)(hidden)
        return nn.Dense(CLASSES)(hidden)


def network(task: Task) -> nn.Module:
    if task.network == "mlp":
        return MLP()
    if task.network == "cnn":
        return CNN()
    from verax import models

    if task.network == "resnet":
        return models.ResNet(CLASSES, widths=(16, 32, 64), blocks=(1, 1, 1))
    return models.Transformer(
        layers=4, heads=4, width=128, context=CONTEXT, vocabulary=VOCABULARY, bias=False, dropout_rate=DROPOUT_RATE
    )
