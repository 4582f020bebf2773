"""What an epoch of a lane measured, as one vector: each array by itself would cost a program several kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EpochRecord:
    """What epochs measured.

    Attributes:
      numbers: float32, with any leading axes; the last holds the rest of this class.
      steps: of an epoch.
      names: of what validation sums up.
    """

    numbers: Any
    steps: int = field(metadata={"static": True})
    names: tuple[str, ...] = field(metadata={"static": True})

    @property
    def total(self) -> Any:
        """The sum of losses of each step (..., steps)."""
        return self._of_steps(0)

    @property
    def weight(self) -> Any:
        """The sum of weights of each step (..., steps)."""
        return self._of_steps(1)

    @property
    def params_finite(self) -> Any:
        """Whether all weights are finite at the end of the epoch (...)."""
        return self.numbers[..., -1] > 0

    @property
    def validation(self) -> dict[str, Any]:
        """Sums over validation batches (..., batches), by name."""
        sums = self.numbers[..., 2 * self.steps : -1]
        sums = sums.reshape(*sums.shape[:-1], len(self.names), -1)
        return {name: sums[..., at, :] for at, name in enumerate(self.names)}

    def _of_steps(self, column: int) -> Any:
        kept = self.numbers[..., : 2 * self.steps]
        return kept.reshape(*kept.shape[:-1], self.steps, 2)[..., column]


def epoch_record(steps: Any, validation: Mapping[str, Any], params_finite: Any) -> EpochRecord:
    """Returns what an epoch measured.

    Args:
      steps: sums of losses and of weights, (steps, 2).
      validation: sums over batches (batches,), by name.
      params_finite: whether all weights are finite at its end.
    """
    names = tuple(sorted(validation))
    parts = [steps.ravel(), *(validation[name] for name in names), params_finite[None]]
    return EpochRecord(jnp.concatenate([part.astype(jnp.float32) for part in parts]), steps.shape[0], names)
