"""`torch.autograd.gradcheck`, full: every coordinate, one after another; one thread, which is its fastest here."""

from __future__ import annotations

import torch
from _gradients import problem, serve

torch.set_num_threads(1)
given, inputs, labels = problem()
inputs, labels = torch.tensor(inputs), torch.tensor(labels)
params = [torch.tensor(leaf, requires_grad=True) for leaf in given.values()]


def loss(kernel_0, bias_0, kernel_1, bias_1):
    logits = torch.tanh(inputs @ kernel_0 + bias_0) @ kernel_1 + bias_1
    return torch.nn.functional.cross_entropy(logits, labels)


if __name__ == "__main__":
    serve(lambda: torch.autograd.gradcheck(loss, params))
