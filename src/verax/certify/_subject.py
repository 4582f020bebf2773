"""What the items look at: the evidence resolved, and what several of them need, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from verax.certify._evidence import Evidence
from verax.certify._overlap import Overlap, overlap
from verax.data import Dataset, Examples, epoch_order
from verax.debug import DeadUnits, Weights, dead_units
from verax.debug._dead_units import ROWS
from verax.evaluate import Evaluation, evaluate
from verax.export import FreshProcess, measure_in_fresh_process, save
from verax.network import Network, Variables
from verax.train import Answers, Confidence, History, Objective, Task, answers_on

LATENCY_BATCHES = (1, 32)
RELOAD_ROWS = 32


@dataclass(frozen=True, eq=False)
class Subject:
    """The evidence resolved: what is certified, and what was measured of it on the way.

    Attributes:
      evidence: as it was given.
      network: the model.
      variables: its weights.
      dataset: the data, loaded.
      history: of the training, or None.
      limits: all limits, overrides applied.
      folder: where the exported model goes.
    """

    evidence: Evidence
    network: Network
    variables: Variables
    dataset: Dataset
    history: History | None
    limits: Mapping[str, float]
    folder: Path

    @cached_property
    def objective(self) -> Objective:
        """The objective, with what it takes from the training split."""
        return self.evidence.objective.fitted(self.dataset.examples("train"))

    @property
    def task(self) -> Task:
        """The objective's task: what it is scored by and held against."""
        return self.objective.meaning

    @cached_property
    def test(self) -> Examples:
        """The test split as the network sees it."""
        return self.dataset.examples("test")

    @cached_property
    def evaluation(self) -> Evaluation:
        """The scores on the test split."""
        return evaluate(self.network, self.objective, self.variables, self.test, classes=self.dataset.schema.classes)

    @cached_property
    def scores(self) -> Evaluation | None:
        """The evaluation, or None where the outputs cannot be scored: NaN in them, say."""
        try:
            return self.evaluation
        except Exception:  # the items that need it say why
            return None

    def evaluation_of(self, rows: Bool[np.ndarray, " test"]) -> Evaluation:
        """Returns the scores on some rows of the test split."""
        some = jax.tree.map(lambda leaf: leaf[rows], self.test)
        return evaluate(self.network, self.objective, self.variables, some)

    @cached_property
    def answers(self) -> Answers:
        """The network's outputs on the test split; on the first rows of it where those of all are too many to hold."""
        return self._answers("test")

    def _answers(self, split: str) -> Answers:
        return answers_on(self.network, self.objective, self.variables, self.dataset.examples(split))

    @cached_property
    def predictions(self) -> Any:
        """Probabilities or values on the test split, before recalibration; of a custom task any tree. None where they
        are too many to hold."""
        if self.task.most_numbers is not None:
            return None
        return jax.tree.map(np.asarray, self.objective.predictions(self.answers.outputs))

    @cached_property
    def confidence(self) -> Confidence | str:
        """How far stated confidence is from what happens on the test split, or why that cannot be said."""
        known = "calibration" in self.dataset.splits and self.task.name != "custom"
        calibration = self._answers("calibration") if known else None
        return self.task.confidence(self.answers, calibration, self.dataset.schema.classes)

    @cached_property
    def units(self) -> DeadUnits | str:
        """The units that are dead at each moment whose weights are known, or why that could not be measured."""
        train = self.dataset.examples("train")
        chosen = np.sort(epoch_order(train.size, seed=0, epoch=0)[:ROWS])  # a file may be sorted by class
        rows = jax.tree.map(lambda leaf: leaf[chosen], train.inputs)
        weights = self.evidence.weights or (Weights("certified", self.evidence.total_steps, self.variables),)
        try:
            return dead_units(lambda variables, inputs: self.network.apply(variables, inputs)[0], weights, rows)
        except Exception as error:  # of a network that is written for batches of its own size, say
            return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".removesuffix(": ")

    @property
    def temperature(self) -> float | None:
        """What logits are divided by, fitted on the calibration split; None where there is none, or no logits."""
        return None if isinstance(self.confidence, str) else self.confidence.temperature

    @cached_property
    def overlap(self) -> Overlap:
        """How the test split overlaps with what training and choosing used."""
        seen = [self.dataset.raw(split).inputs for split in self.dataset.splits if split != "test"]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *seen)
        return overlap(together, self.dataset.raw("test").inputs)

    @cached_property
    def model_path(self) -> Path:
        """The exported model."""
        path = self.folder / "model.vx"
        save(
            path,
            network=self.network,
            objective=self.objective,
            variables=self.variables,
            preprocessing=self.dataset.preprocessing,
            schema=self.dataset.schema,
            temperature=self.temperature,
            name=self.evidence.name or self.network.name,
            raw=self.reload_inputs,
            overwrite=True,
        )
        return path

    @cached_property
    def reload_inputs(self) -> Any:
        """The raw test rows on which the reloaded model is compared."""
        return jax.tree.map(lambda leaf: leaf[:RELOAD_ROWS], self.dataset.raw("test").inputs)

    @property
    def fresh(self) -> FreshProcess:
        """The exported model measured in a process of its own.

        Raises:
          Exception: if it could not be exported, read or measured; tried once.
        """
        if isinstance(self._fresh, Exception):
            raise self._fresh
        return self._fresh

    @cached_property
    def _fresh(self) -> FreshProcess | Exception:
        try:
            return measure_in_fresh_process(self.model_path, self.reload_inputs, batch_sizes=LATENCY_BATCHES)
        except Exception as error:  # whatever it is, three items want to know
            return error
