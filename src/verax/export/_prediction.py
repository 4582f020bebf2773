"""What an exported model says about each row, in the words of its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from verax.export._signature import Signature
from verax.findings import InputError


class Prediction(NamedTuple):
    """What is predicted for one row.

    Attributes:
      value: the name of the likeliest class; of several labels a tuple of those that are there; of a language model the
        likeliest token after the row's last; of a regression a number, or a tuple of them; of an autoencoder the
        reconstruction; else the raw outputs.
      probabilities: by name of the class, the label or the token; None if the task has none.
      std: of a Gaussian regressor the standard deviation of each number; else None.
    """

    value: Any
    probabilities: dict[str, float] | None = None
    std: Any = None


def predictions_of(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    """Returns a prediction for each row of what a model gave.

    Raises:
      InputError: if a number is not finite, or the task gives more than one answer a row.
    """
    if jax.tree.leaves(dict(outputs))[0].shape[0] == 0:
        return []
    for name, (head, read) in READERS.items():
        if name in (signature.task, head) and head in outputs:
            _require_finite(outputs[head])
            return read(signature, outputs)
    leaves, structure = jax.tree.flatten(outputs["outputs"])
    return [Prediction(structure.unflatten([leaf[row] for leaf in leaves])) for row in range(len(leaves[0]))]


def _classes(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    scored, decided = outputs["probabilities"], outputs.get("labels")
    if scored.ndim != 2:
        raise InputError(
            f"predict_rows gives one class a row, but this model has probabilities of shape {scored.shape}. "
            "Use predict."
        )
    names = _names(signature, scored.shape[1])
    chosen = scored.argmax(axis=1) if decided is None else decided
    return [
        Prediction(names[int(label)], dict(zip(names, map(float, row), strict=True)))
        for label, row in zip(chosen, scored, strict=True)
    ]


def _labels(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    scored = outputs["probabilities"]
    decided = outputs.get("labels", scored > 0.5)
    names = _names(signature, scored.shape[1])
    return [
        Prediction(
            tuple(name for name, there in zip(names, which, strict=True) if there),
            dict(zip(names, map(float, row), strict=True)),
        )
        for which, row in zip(decided, scored, strict=True)
    ]


def _next_tokens(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    last = outputs["probabilities"][:, -1]
    names = _names(signature, last.shape[-1])
    return [Prediction(names[int(row.argmax())], dict(zip(names, map(float, row), strict=True))) for row in last]


def _values(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    values, std = (
        None if each is None else np.asarray(each, np.float32).reshape(len(each), -1)
        for each in (outputs["predictions"], outputs.get("std"))
    )
    assert values is not None
    return [
        Prediction(_number(row), std=None if std is None else _number(std[index])) for index, row in enumerate(values)
    ]


def _reconstructions(signature: Signature, outputs: Mapping[str, Any]) -> list[Prediction]:
    return [Prediction(row.tolist()) for row in np.asarray(outputs["reconstruction"], np.float32)]


READERS: Mapping[str, tuple[str, Callable[[Signature, Mapping[str, Any]], list[Prediction]]]] = {
    "multilabel": ("probabilities", _labels),
    "language_model": ("probabilities", _next_tokens),
    "autoencoder": ("reconstruction", _reconstructions),
    "predictions": ("predictions", _values),
    "probabilities": ("probabilities", _classes),
}


def _names(signature: Signature, count: int) -> tuple[str, ...]:
    return signature.classes or tuple(map(str, range(count)))


def _number(values: np.ndarray) -> float | tuple[float, ...]:
    return float(values[0]) if values.size == 1 else tuple(map(float, values))


def _require_finite(scored: Any) -> None:
    bad = ~np.isfinite(np.asarray(scored, np.float32)).reshape(len(scored), -1).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"predictions must be finite, got {scored[row]} in row {row}. The model itself is damaged.")
