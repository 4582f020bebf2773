"""Lightning with everything off: no logger, checkpoints, progress bar or summary; whole batches by index."""

from __future__ import annotations

import logging
import time
import warnings

import lightning
import torch
from _task import LEARNING_RATE, Task
from _torch import network, tensors
from _worker import Run, Span, serve
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")  # advice on workers and logging, which were chosen here


class Module(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.loss_of = nn.CrossEntropyLoss()

    def training_step(self, batch, index):
        inputs, labels = batch
        return self.loss_of(self.model(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), LEARNING_RATE, fused=True)

    def on_train_epoch_start(self):
        if self.trainer.current_epoch == 0:
            self.started = time.perf_counter()

    def on_train_end(self):
        self.seconds = time.perf_counter() - self.started


def make(task: Task) -> Run:
    dataset = TensorDataset(*tensors(task))
    sampler = BatchSampler(RandomSampler(dataset), task.batch_size, drop_last=False)
    loader = DataLoader(dataset, sampler=sampler, batch_size=None)
    module = Module(network(task))

    def run(epochs: int) -> Span:
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, loader)
        return epochs * task.steps, module.seconds

    return run


if __name__ == "__main__":
    serve(make, ["lightning", "torch"])
