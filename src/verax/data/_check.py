"""The look at the data before any compute: everything that would train in silence and be wrong."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from verax.data._check_inputs import check_inputs, check_scale
from verax.data._check_targets import check_targets
from verax.data._dataset import Dataset
from verax.data._schema import suggestion
from verax.data._structure import check_structure
from verax.findings import Finding, InputError, Split

TASKS = ("classification", "binary", "multilabel", "regression", "language_model", "autoencoder", "custom")


def check_data(
    dataset: Dataset,
    *,
    task: str | None = None,
    outputs_shape: Any = None,
    batch_size: int | None = None,
    padding: int | None = None,
    likelihood: str | None = None,
) -> tuple[Finding, ...]:
    """Returns all problems of a data set, errors first; the trainer refuses to start with an error.

    JAX does not complain about a label beyond the outputs (indexing clamps, one-hot gives zeros) or about a NaN, so
    they are looked for here, in every split.

    Args:
      dataset: loaded data.
      task: `classification`, `binary`, `multilabel`, `regression`, `language_model`, `autoencoder` or `custom`; None
        leaves out what depends on it.
      outputs_shape: of the network's outputs for a batch, `(batch, outputs)`, as a tuple or anything with a `shape`
        (`jax.eval_shape` gives one); None leaves out what depends on it.
      batch_size: of training; None leaves it out.
      padding: of a language model: the target that marks a place without a token.
      likelihood: of a regressor or an autoencoder: a `gaussian` one has two outputs for each target, inputs of a
        `bernoulli` one lie in [0, 1].

    Returns:
      Findings of three severities: `error` must be mended, `warning` does harm, `info` asks nothing.

    Raises:
      InputError: if the task is unknown.

    Example:
      >>> from verax.data import from_arrays
      >>> inputs, labels = np.zeros((20, 2), np.float32), np.arange(20) % 2
      >>> labels[7] = 3
      >>> dataset = from_arrays(train=(inputs, labels)).split(validation=0, calibration=0, test=0).load()
      >>> print(check_data(dataset, task="classification", outputs_shape=(20, 3))[0])
      train row 7: label-out-of-range: labels must lie in [0, 3), found 3 (1 label outside).
      Give the network more outputs or correct the labels.
    """
    if task is not None and task not in TASKS:
        raise InputError(f"task must be one of {list(TASKS)}, got {task!r}. {suggestion(str(task), TASKS)}")
    findings = check_structure(dataset.parts) + _check_batch_size(dataset, batch_size)
    if not any(finding.id != "batch-larger-than-data" for finding in findings):
        findings += check_targets(dataset, task, _shape(outputs_shape), padding=padding, likelihood=likelihood)
        findings += check_inputs(dataset)
        if not any(finding.severity == "error" for finding in findings):
            findings += check_scale(dataset)
    rank = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(findings, key=lambda finding: rank[finding.severity]))


def _check_batch_size(dataset: Dataset, batch_size: int | None) -> tuple[Finding, ...]:
    if batch_size is None or "train" not in dataset.parts:
        return ()
    size = dataset.parts["train"].size if jax.tree.leaves(dataset.parts["train"].inputs) else 0
    if 1 <= batch_size <= size:
        return ()
    message = f"batch_size must lie in [1, {size}], the number of rows to train on, found {batch_size}."
    return (
        Finding(
            "batch-larger-than-data",
            "error",
            message,
            "Choose a smaller batch." if batch_size > size else "",
            Split("train"),
        ),
    )


def _shape(outputs: Any) -> tuple[int, ...] | None:
    """The shape of a single array of outputs; None where it is not known or the outputs are a tree."""
    shape = getattr(outputs, "shape", outputs)
    is_shape = isinstance(shape, tuple) and all(isinstance(size, int | np.integer) for size in shape)
    return tuple(map(int, shape)) if is_shape and shape is not None else None
