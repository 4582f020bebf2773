"""PyTorch without a compiler, tuned: tensors in memory, no DataLoader, fused Adam, the loss read once an epoch."""

from __future__ import annotations

import torch
from _task import LEARNING_RATE, Task
from _torch import network, tensors
from _worker import Run, serve, timed
from torch import nn


def make(task: Task) -> Run:
    inputs, labels = tensors(task)
    model = network(task).train()
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
    loss_of = nn.CrossEntropyLoss()

    def train(epochs: int) -> None:
        for _ in range(epochs):
            total = torch.zeros(())
            for rows in torch.randperm(task.examples).split(task.batch_size):
                loss = loss_of(model(inputs[rows]), labels[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach()
            total.item()

    return timed(train, task)


if __name__ == "__main__":
    serve(make, ["torch"])
