"""What a step carries, and what the loop around it carries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import jax

from verax.network import Variables


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything the next step needs: a frozen pytree.

    Attributes:
      step: how many steps were taken, int32 scalar.
      key: the run's base key. It never advances: each step derives its own from it.
      variables: parameters and model state.
      opt_state: the optimizer's state.
      extras: further state that steps carry, by name; empty unless a feature asks for it.
    """

    step: Any
    key: Any
    variables: Variables
    opt_state: Any
    extras: dict[str, Any] = field(default_factory=dict)

    def replace(self, **changes: Any) -> TrainState:
        """Returns a copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class LoopState:
    """What the loop besides the step needs to continue.

    Attributes:
      best_value: the best value of the watched metric; None before the first.
      best_step: the step at which it was reached.
      waited: epochs since then without an improvement by `min_delta`.
    """

    best_value: float | None = None
    best_step: int = 0
    waited: int = 0
