"""Initial weights so large that signals grow from layer to layer, or so small that they die out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verax.doctor._probe import Suspicion
from verax.doctor.probes._repairs_of_weights import weights_repair
from verax.doctor.probes._signal import Signal, Weight
from verax.findings import Finding, Leaf

LARGE = 5.0  # times the scheme's size: the catalogue's limit; a layer then multiplies the variance by 25
GROWS = 4.0  # a layer, geometric mean over the network: the catalogue's limit
SMALL = 0.1  # of the scheme's size, so that a layer leaves a hundredth of the variance
DIES = 1e-2  # what is left of the signal at the last hidden layer
UNLIKE = 1.3  # what counts as another size than the scheme's: He's and 1 / sqrt(fan_in) differ by 1.41


def large_weights(signal: Signal, when: str) -> tuple[Suspicion, ...]:
    """Returns the suspicion that the weights are too large; what is normalised next, and sines, do not count."""
    counted = [each for each in signal.weights.values() if not each.use.follows & {"norm", "sin"}]
    large = [weight for weight in counted if weight.scale >= LARGE]
    growth = _growth(signal)
    changed = [weight for weight in counted if weight.scale > UNLIKE]
    if not changed or not (large or (growth is not None and growth > GROWS)):
        return ()
    worst = max(changed, key=lambda weight: weight.scale)
    message = f"{when} the weights of {worst.path} are {worst.scale:.3g} times as large as their scheme draws them"
    message += "." if growth is None else f", and signals grow by a factor of {growth:.2g} a layer."
    advice = "Draw the weights with nn.initializers.he_normal() before rectifiers and lecun_normal() elsewhere."
    return (_suspicion("exploding-initialization", signal, worst, changed, message, advice),)


def small_weights(signal: Signal, when: str) -> tuple[Suspicion, ...]:
    """Returns the suspicion that the weights are too small.

    Small is as good as any size where it only makes a start near zero: at the output, at the ends of residual branches,
    and where a normalisation comes before or after.
    """
    free = {"norm", "residual", "output", "softmax", "sin"}
    counted = [
        each for each in signal.weights.values()
        if each.scale > 0 and not each.use.follows & free and not each.use.rescaled and not each.use.summed
    ]  # fmt: skip
    small = [weight for weight in counted if weight.scale < SMALL]
    spreads = [layer.spread for layer in signal.layers if layer.is_hidden and signal.of(layer)]
    left = spreads[-1] / spreads[0] if len(spreads) > 1 and spreads[0] > 0 else 1.0
    changed = [weight for weight in counted if weight.scale < 1 / UNLIKE]
    if not changed or not (small or left < DIES):
        return ()
    worst = min(changed, key=lambda weight: weight.scale)
    message = f"{when} the weights of {worst.path} are {worst.scale:.2g} times the size that their scheme draws"
    message += f", and {left:.1g} of the signal is left at the last hidden layer." if len(spreads) > 1 else "."
    advice = "Draw the weights with nn.initializers.he_normal() before rectifiers and lecun_normal() elsewhere."
    return (_suspicion("vanishing-initialization", signal, worst, changed, message, advice),)


def _suspicion(
    id: str, signal: Signal, worst: Weight, changed: Sequence[Weight], message: str, advice: str
) -> Suspicion:
    finding = Finding(id, "warning", message, advice, Leaf(worst.path), "model", signal.table(), 0.8)
    factors = {weight.path: 1 / weight.scale for weight in changed}
    return Suspicion(finding, (weights_repair(f"{len(factors)} weight arrays of their scheme's size", factors),))


def _growth(signal: Signal) -> float | None:
    """Returns by what factor signals grow a layer, geometric mean; None where there are fewer than two layers."""
    spreads = [layer.spread for layer in signal.layers if signal.of(layer) and layer.role != "gate"]
    if len(spreads) < 3 or min(spreads) <= 0:
        return None
    return float(np.exp(np.log(spreads[-1] / spreads[0]) / (len(spreads) - 1)))
