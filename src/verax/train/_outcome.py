"""What a run came to besides its states: measured facts, and findings about numbers that were not finite."""

from __future__ import annotations

import resource
import sys
from typing import Any

from verax.findings import Finding, Moment
from verax.train._clipping import read_clipping
from verax.train._loop import precision_gap
from verax.train._precision import LOSS_SCALE
from verax.train._session import Session
from verax.train._state import TrainState


def measured(session: Session, state: TrainState) -> dict[str, Any]:
    """Returns what clipping, loss scale and precision came to, where the experiment has them."""
    gap = precision_gap(session, state)
    return {**step_facts(state), **({"precision_gap": gap} if gap else {})}


def step_facts(state: TrainState) -> dict[str, Any]:
    """Returns what a state says about its steps: of clipping and of the loss scale."""
    clipping = read_clipping(state.opt_state)
    facts: dict[str, Any] = {} if clipping is None else {"clipping": clipping}
    if LOSS_SCALE in state.extras:
        scale = state.extras[LOSS_SCALE]
        facts["loss_scale"] = {"scale": float(scale.scale), "skipped_steps": int(scale.skipped)}
    return facts


def process_peak_bytes() -> int:
    """Returns the most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def nonfinite_loss(moment: Moment) -> Finding:
    """Returns the finding that a loss or a parameter is no longer finite."""
    said = f"the loss or a parameter is NaN or Inf after step {moment.step}."
    advice = (
        "Lower the learning rate, clip gradients with optax.clip_by_global_norm(1.0), look for log or division of 0."
    )
    return Finding("non-finite-loss", "error", said, advice, moment)


def nonfinite_gradient(moments: list[Moment]) -> Finding:
    """Returns the finding that gradients were not finite, and that the optimizer hid it."""
    steps = "1 step" if len(moments) == 1 else f"{len(moments)} steps"
    said = f"gradients are NaN or Inf at {steps}, first at step {moments[0].step}; the optimizer hides it."
    advice = "Find the operation that makes them; an optimizer that skips them leaves the cause in place."
    return Finding("non-finite-gradient", "error", said, advice, moments[0])
