"""Language models: the next token at every place of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch, Examples
from verax.evaluate import Calibration, Estimate, apply_temperature, baseline, fit_temperature
from verax.train._clusters import calibration_by_cluster
from verax.train._task import Answers, Confidence, Task, align, require_shape, weighted_mean, weighted_sum, wide
from verax.trees import Tree


@dataclass(frozen=True, eq=False)
class LanguageModel(Task):
    """A distribution over the vocabulary at each place; every token counts alike, whatever text it is of.

    Attributes:
      padding: the target that marks a place without a token, which counts for nothing; None if there is none.
    """

    padding: int | None = None

    name = "language_model"
    headline = "perplexity"
    simplest = "how often each token occurs in training"
    recalibrates = True
    known_by = "accuracy"
    counts_tokens = True
    most_numbers = 2**24  # some hundred megabytes in float64

    def losses(self, outputs: Tree, batch: Batch) -> Any:
        logits = wide(outputs)
        require_shape("outputs of a language model", logits, batch.targets.shape, trailing=1)
        return optax.softmax_cross_entropy_with_integer_labels(logits, self._tokens(batch.targets))

    def weights(self, batch: Batch) -> Any:
        weight = jnp.broadcast_to(align(batch.weight, batch.targets), batch.targets.shape)
        return weight if self.padding is None else weight * (batch.targets != self.padding).astype(weight.dtype)

    def _tokens(self, targets: Any) -> Any:
        return targets if self.padding is None else jnp.where(targets == self.padding, 0, targets)

    def predictions(self, outputs: Tree) -> Any:
        return jax.nn.softmax(outputs, axis=-1)

    def heads(self, outputs: Tree) -> dict[str, Any]:
        return {"probabilities": self.predictions(outputs)}

    @property
    def data_rules(self) -> dict[str, Any]:
        return {"padding": self.padding}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("perplexity", "accuracy")

    def metric_sums(self, outputs: Tree, batch: Batch) -> dict[str, Any]:
        """`log_perplexity` and `accuracy`, the share of tokens that were the most probable ones."""
        weight = self.weights(batch)
        hits = outputs.argmax(axis=-1) == batch.targets.astype(jnp.int32)
        losses = self.losses(outputs, batch)
        return {"log_perplexity": weighted_sum(losses, weight), "accuracy": weighted_sum(hits, weight)}

    def known_share(self, outputs: Tree, batch: Batch) -> Any:
        hits = outputs.argmax(axis=-1) == batch.targets
        return weighted_mean(hits.astype(jnp.float32), self.weights(batch))

    def baseline(self, train: Examples, test: Examples) -> dict[str, Estimate]:
        return baseline(self.name, train.targets, test.targets, padding=self.padding)

    def temperature(self, calibration: Answers) -> float:
        return fit_temperature(*self._places(calibration)[:2])

    def confidence(self, test: Answers, calibration: Answers | None, names: tuple[str, ...] | None) -> Confidence | str:
        """Of the next token; the tokens of a text hang together, so the interval is that of texts."""
        logits, labels, text = self._places(test)
        before = of_tokens(logits, labels, text, 1.0)
        if calibration is None:
            return Confidence(before)
        temperature = self.temperature(calibration)
        return Confidence(before, of_tokens(logits, labels, text, temperature), temperature)

    def _places(self, answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns logits, next token and text of the places that count."""
        targets = np.asarray(answers.examples.targets)
        counts = np.ones(targets.shape, bool) if self.padding is None else targets != self.padding
        return np.asarray(answers.outputs)[counts], targets[counts], np.nonzero(counts)[0]


def of_tokens(logits: np.ndarray, tokens: np.ndarray, text: np.ndarray, temperature: float) -> Calibration:
    """Returns the calibration of next tokens, its interval that of texts."""
    return calibration_by_cluster(apply_temperature(logits, temperature), tokens, text)
