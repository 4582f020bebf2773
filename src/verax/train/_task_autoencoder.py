"""Autoencoders: the outputs are compared with the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import xlogy

from verax.data import Batch, Examples
from verax.evaluate import Estimate, baseline
from verax.train._task import Answers, Confidence, Task, require_shape, weighted_mean, weighted_sum, wide
from verax.train._task_regression import r_squared
from verax.trees import Tree


@dataclass(frozen=True, eq=False)
class Autoencoder(Task):
    """Outputs of the shape of the inputs.

    Few rows are learnt by heart: what goes through a narrow layer is a few numbers, and eight rows lie in seven
    dimensions, whatever they are.

    Attributes:
      likelihood: `squared`, or `bernoulli`: outputs are logits, inputs lie in [0, 1].
    """

    likelihood: str = "squared"

    name = "autoencoder"
    headline = "rmse"
    simplest = "the mean of the training inputs"
    known_by = "r2"
    rows_by_heart = 8

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        """Averaged over the features of an example."""
        outputs = wide(outputs)
        require_shape("outputs of an autoencoder (its targets are the inputs)", outputs, batch.inputs.shape)
        wanted = batch.inputs.astype(outputs.dtype)
        loss = optax.squared_error if self.likelihood == "squared" else optax.sigmoid_binary_cross_entropy
        return loss(outputs, wanted).reshape((outputs.shape[0], -1)).mean(axis=1)

    def predictions(self, outputs: Tree) -> Any:
        return outputs if self.likelihood == "squared" else jax.nn.sigmoid(outputs)

    def wanted(self, examples: Any) -> Any:
        return examples.inputs

    def heads(self, outputs: Tree) -> dict[str, Any]:
        return {"reconstruction": self.predictions(outputs)}

    @property
    def data_rules(self) -> dict[str, Any]:
        return {"likelihood": self.likelihood}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("rmse",)

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        given = wide(self.predictions(outputs))
        errors = optax.squared_error(given, batch.inputs.astype(given.dtype)).reshape((given.shape[0], -1)).mean(axis=1)
        return {"squared_error": weighted_sum(errors, batch.weight)}

    def floor(self, outputs: Tree, batch: Batch) -> Any:
        """Of grey inputs their entropy as shares of black and white."""
        if self.likelihood == "squared":
            return 0.0
        shares = batch.inputs.astype(jnp.float32).reshape((batch.inputs.shape[0], -1))
        return weighted_mean(-xlogy(shares, shares) - xlogy(1 - shares, 1 - shares), batch.weight)

    def compared(self, outputs: Tree, batch: Batch) -> tuple[Any, Any]:
        return outputs, batch.inputs

    def constant_loss(self, batch: Batch) -> float:
        values = np.asarray(batch.inputs, np.float64).reshape(len(batch.inputs), -1)
        mean = values.mean(axis=0)
        if self.likelihood == "squared":
            return float(np.mean((values - mean) ** 2))
        return float(np.mean(-xlogy(mean, mean) - xlogy(1 - mean, 1 - mean)))

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        return r_squared(self.predictions(outputs), batch.inputs)

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, train.inputs, test.inputs)

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        return (
            "an autoencoder states no confidence in its reconstructions, so there is nothing to hold it against: waive "
            "the item with a reason, waivers={'calibrated': '...'} or --waive calibrated='...'"
        )
