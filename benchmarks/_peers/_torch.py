"""The two networks in PyTorch, on one thread: with two it collapses when anything else runs on a small machine."""

from __future__ import annotations

from itertools import pairwise

import torch
from _task import CHANNELS, CLASSES, DENSE, DROPOUT_RATE, HIDDEN, Task, data
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)


def network(task: Task) -> nn.Module:
    if task.network == "mlp":
        hidden = [
            layer
            for before, after in pairwise((784, *HIDDEN))
            for layer in (nn.Linear(before, after), nn.ReLU(), nn.Dropout(DROPOUT_RATE))
        ]
        return nn.Sequential(*hidden, nn.Linear(HIDDEN[-1], CLASSES))
    convolutions = [
        layer
        for before, after in pairwise((1, *CHANNELS))
        for layer in (nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    ]
    dense = [nn.Linear(49 * CHANNELS[-1], DENSE), nn.ReLU(), nn.Dropout(DROPOUT_RATE)]
    model = nn.Sequential(*convolutions, nn.Flatten(), *dense, nn.Linear(DENSE, CLASSES))
    return model.to(memory_format=torch.channels_last)  # a tenth faster


def tensors(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns inputs, as torch orders the axes of images, and labels."""
    inputs, labels = data(task)
    inputs, labels = torch.from_numpy(inputs), torch.from_numpy(labels).long()
    return (inputs if task.network == "mlp" else inputs.permute(0, 3, 1, 2)), labels  # in memory: channels last
