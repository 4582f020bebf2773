"""Gradients that shrink from layer to layer until the first stand still."""

from __future__ import annotations

import numpy as np

from verax.doctor._probe import Suspicion
from verax.doctor.probes._repairs_of_weights import normalised_gradients, steeper_sigmoids
from verax.doctor.probes._signal import Signal
from verax.findings import Finding, Leaf

VANISHED = 1e-3  # of the last layer's gradient, each relative to its weights: AutoTrainer's limit, as a repair decides
FEWEST = 4  # layers from which a fall can be told from one layer that is drawn small
SHARE = 0.6  # of the fall in decades that one layer may account for


def vanishing_gradients(signal: Signal, when: str) -> tuple[Suspicion, ...]:
    """Returns the suspicion that the gradient vanishes, from |g| / |w| of each layer over that of the last."""
    weights = [weight for weight in signal.weights.values() if weight.ratio > 0]
    if len(weights) < FEWEST or len(weights) < len(signal.weights):
        return ()
    logs = np.log10([weight.ratio for weight in weights])
    fall, steps = logs[-1] - logs[0], np.diff(logs)
    if fall < -np.log10(VANISHED) or steps.max() > SHARE * fall:
        return ()
    message = (
        f"{when} the gradient of {weights[0].path} is {10**-fall:.1g} of that of {weights[-1].path}, each relative to "
        f"its weights: it shrinks by a factor of {10 ** (fall / len(steps)):.2g} a layer over {len(weights)} layers."
    )
    advice = "Use nn.relu or nn.gelu in hidden layers, residual connections (x + f(x)), or a LayerNorm in each layer."
    where = Leaf(weights[0].path)
    finding = Finding("vanishing-gradient", "warning", message, advice, where, "model", signal.table(), 0.8)
    repairs = (steeper_sigmoids(signal.hidden_sigmoids),) if signal.hidden_sigmoids else ()
    return (Suspicion(finding, (*repairs, normalised_gradients())),)
