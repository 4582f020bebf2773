"""Hidden units that cannot learn: rectifiers silent on every row, sigmoids and their like at their flat ends."""

from __future__ import annotations

from collections.abc import Sequence

from verax.debug import LayerActivation
from verax.debug._activation_names import BOUNDED, RECTIFIERS
from verax.doctor._probe import Suspicion
from verax.doctor.probes._repairs_of_weights import weights_repair
from verax.doctor.probes._signal import Signal
from verax.findings import Finding, Leaf

SILENT = 0.6  # a wide layer trains well with a third of its units silent, and what is left of it is its width
FLAT = 0.6  # pairs of unit and row: at unit variance of the pre-activations it is 0.01 % of tanh and none of sigmoid
UNLIKE = 2.0  # weights this many times as large as the scheme's: less is a matter of which scheme
SHIFTED = 1.0  # biases of this size move a pre-activation by as much as unit variance spreads it


def dead_layers(signal: Signal, when: str) -> tuple[Finding, ...]:
    """Returns what is proved: layers of rectifiers that are silent on every row and whose gradient is exactly zero."""
    dead = [
        layer
        for layer in signal.hidden
        if layer.function in RECTIFIERS and layer.silent == 1 and not any(each.gradient for each in signal.of(layer))
    ]
    if not dead:
        return ()
    first, more = dead[0], f", and so do {len(dead) - 1} more layers" if len(dead) > 1 else ""
    message = (
        f"{when} all {first.units} rectified units of {first.name} are silent on all {signal.rows} rows (the "
        f"pre-activations are {first.mean:.2g} in the mean with a std of {first.pre_std:.2g}), so that no gradient "
        f"reaches its weights{more}."
    )
    return (_dying(signal, first, "error", message, 1.0),)


def silent_layers(signal: Signal, when: str) -> tuple[Suspicion, ...]:
    """Returns the layers of which so much is silent that it may be too narrow."""
    found = []
    for layer in signal.hidden:
        if layer.function not in RECTIFIERS or layer.silent is None or layer.silent <= SILENT:
            continue
        factors, shifts = _off_scheme(signal, layer), _shifts(signal, layer, 0.0)
        if not factors and not shifts:
            continue
        message = (
            f"{when} {layer.silent:.0%} of the {layer.units} rectified units of {layer.name} are silent on all "
            f"{signal.rows} rows."
        )
        repairs = []
        if shifts:
            repairs.append(weights_repair(f"the biases of {layer.name} set to 0", {}, shifts))
        if factors:
            repairs.append(weights_repair(f"the weights of {layer.name} of He's size, biases 0", factors, shifts))
        found.append(Suspicion(_dying(signal, layer, "warning", message, 0.8), tuple(repairs)))
    return tuple(found)


def flat_layers(signal: Signal, when: str) -> tuple[Suspicion, ...]:
    """Returns the bounded hidden layers that stand at their flat ends because of their weights or biases."""
    flat = [
        layer
        for layer in signal.hidden
        if layer.function in BOUNDED
        and (layer.flat or 0.0) > FLAT
        and (_off_scheme(signal, layer) or _shifts(signal, layer, SHIFTED))
    ]
    if not flat:
        return ()
    worst = max(flat, key=lambda layer: layer.flat or 0.0)
    factors = {path: factor for layer in flat for path, factor in _off_scheme(signal, layer).items()}
    shifts = [path for layer in flat for path in _shifts(signal, layer, SHIFTED)]
    names = ", ".join(layer.name for layer in flat[:4]) + (" and more" if len(flat) > 4 else "")
    message = (
        f"{when} the slope of {worst.function} is below 0.001 at {worst.flat:.0%} of the pairs of unit and row in "
        f"{worst.name}, whose pre-activations have a std of {worst.pre_std:.2g} about {worst.mean:.2g}."
    )
    advice = "Draw its weights with nn.initializers.lecun_normal() and start its biases at 0."
    finding = Finding("saturated-activation", "warning", message, advice, _leaf(worst), "model", signal.table(), 0.8)
    repair = weights_repair(f"the weights of {names} of size 1 / sqrt(fan_in), large biases 0", factors, shifts)
    return (Suspicion(finding, (repair,)),)


def _dying(signal: Signal, layer: LayerActivation, severity: str, message: str, confidence: float) -> Finding:
    shifts = [f"{path} {signal.size[path]:.2g}" for path in signal.biases_of(layer) if signal.size[path]]
    advice = "Start its biases at 0 and draw its weights with nn.initializers.he_normal()"
    advice += f" (biases now: {', '.join(shifts)})." if shifts else "."
    return Finding("dying-relu", severity, message, advice, _leaf(layer), "model", signal.table(), confidence)  # pyright: ignore[reportArgumentType]


def _off_scheme(signal: Signal, layer: LayerActivation) -> dict[str, float]:
    """Returns by what the layer's weights are to be multiplied, those that are too large."""
    return {weight.path: 1 / weight.scale for weight in signal.of(layer) if weight.scale >= UNLIKE}


def _shifts(signal: Signal, layer: LayerActivation, least: float) -> Sequence[str]:
    return [path for path in signal.biases_of(layer) if signal.size[path] > least]


def _leaf(layer: LayerActivation) -> Leaf:
    return Leaf(layer.kernels[0].removeprefix("params/"))
