"""What was measured in some epochs, in two arrays: each array that a program returns costs it several kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EpochRecord:
    """What was measured in some epochs of some lanes.

    Attributes:
      steps: sums of losses and of weights, float32 (epochs, steps, lanes, 2); None as `ends_of` gives it.
      ends: of each epoch, float32 (epochs, lanes, numbers): the sums of each validation batch, name by name, and
        whether all weights are finite.
      names: of what validation sums up.
    """

    steps: Any
    ends: Any
    names: tuple[str, ...] = field(metadata={"static": True})


def ends_of(validation: Mapping[str, Any], params_finite: Any) -> EpochRecord:
    """Returns what is known of a lane at the end of an epoch.

    Args:
      validation: sums over batches (batches,), by name.
      params_finite: whether all weights are finite.
    """
    names = tuple(sorted(validation))
    parts = [*(validation[name] for name in names), params_finite[None]]
    return EpochRecord(None, jnp.concatenate([part.astype(jnp.float32) for part in parts]), names)


@dataclass(frozen=True)
class Measured:
    """What was measured in some epochs, lane by lane.

    Attributes:
      total: sums of losses (lanes, epochs, steps).
      weight: sums of weights, likewise.
      validation: sums over batches (lanes, epochs, batches), by name.
      params_finite: whether all weights are finite at the end of each epoch (lanes, epochs).
    """

    total: np.ndarray
    weight: np.ndarray
    validation: Mapping[str, np.ndarray]
    params_finite: np.ndarray


def measured(records: Sequence[Sequence[EpochRecord]], order: Sequence[int]) -> Measured:
    """Returns the records of several calls, each of several spans of epochs, together.

    Args:
      records: by call and span.
      order: the lanes of all calls, one after another.
    """
    places = np.argsort(order)

    def joined(name: str) -> np.ndarray:
        calls = [np.concatenate([getattr(span, name) for span in spans]) for spans in records]
        return np.moveaxis(np.concatenate(calls, axis=-2), -2, 0)[places]

    steps, ends, names = joined("steps"), joined("ends"), records[0][0].names
    sums = ends[..., :-1].reshape(*ends.shape[:-1], len(names), -1)
    validation = {name: sums[..., at, :] for at, name in enumerate(names)}
    return Measured(steps[..., 0], steps[..., 1], validation, ends[..., -1] > 0)
