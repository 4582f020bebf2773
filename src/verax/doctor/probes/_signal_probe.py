"""What the signal of a network by layer says: dead and saturated units, scales of the weights, vanishing gradients."""

from __future__ import annotations

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._initial_scale import large_weights, small_weights
from verax.doctor.probes._shrinking_gradients import vanishing_gradients
from verax.doctor.probes._signal import Signal, initial_signal, signal_of
from verax.doctor.probes._silent_and_flat import dead_layers, flat_layers, silent_layers
from verax.findings import Finding
from verax.network import Variables

EXTREME = 1e3  # std of activations: the catalogue's limit
STEEP = 1e3  # |g| / |w| of the first layer over that of the last, likewise


def look(subject: Subject) -> Seen:
    """Returns what the signal at the initial weights shows."""
    return _seen(initial_signal(subject), "at the start")


def signal_findings(subject: Subject, variables: Variables, when: str) -> Seen:
    """Returns what the signal at some weights shows; `when` begins its sentences: `at the end`.

    Suspicions about how weights are drawn are those of the start alone.
    """
    signal = signal_of(subject, variables)
    return Seen(_compared(signal), (*dead_layers(signal, when), *_symptoms(signal, when)))


def _seen(signal: Signal, when: str) -> Seen:
    if not signal.weights:
        raise NotApplicable("no layer with weights was found.")
    dead = dead_layers(signal, when)
    silent = () if dead else silent_layers(signal, when)
    flat = () if dead else flat_layers(signal, when)
    # Each of these explains those after it: saturated layers have large weights, small weights small gradients.
    scales = () if dead or silent or flat else large_weights(signal, when) or small_weights(signal, when)
    gradients = () if dead or silent or flat or scales else vanishing_gradients(signal, when)
    return Seen(_compared(signal), (*dead, *_symptoms(signal, when)), (*silent, *flat, *scales, *gradients))


def _compared(signal: Signal) -> str:
    hidden = signal.hidden
    silent = max((layer.silent or 0.0 for layer in hidden), default=0.0)
    flat = max((layer.flat or 0.0 for layer in hidden), default=0.0)
    scales = [weight.scale for weight in signal.weights.values()]
    return (
        f"{len(signal.layers)} layers on {signal.rows} rows: at most {silent:.0%} of a layer's units silent and "
        f"{flat:.0%} of slopes flat; weights {min(scales):.2g} to {max(scales):.2g} times their scheme's size."
    )


def _symptoms(signal: Signal, when: str) -> tuple[Finding, ...]:
    """Returns remarks on extreme sizes: they have a cause elsewhere, or do no harm."""
    found = []
    largest = max((layer for layer in signal.layers if layer.role == "hidden"), key=lambda each: each.std, default=None)
    if largest is not None and largest.std > EXTREME:
        message = f"{when} the activations of {largest.name} have a std of {largest.std:.3g}."
        found.append(Finding("exploding-activation", "info", message, part="model", evidence=signal.table()))
    weights = [weight for weight in signal.weights.values() if weight.ratio > 0]
    if len(weights) > 1 and weights[0].ratio > STEEP * weights[-1].ratio:
        ratio = weights[0].ratio / weights[-1].ratio
        message = f"{when} the gradient of {weights[0].path} is {ratio:.2g} times that of {weights[-1].path}, relative "
        message += "to the weights."
        found.append(Finding("exploding-gradient", "info", message, part="model", evidence=signal.table()))
    return tuple(found)


IDS = ("dying-relu", "saturated-activation", "exploding-initialization", "vanishing-initialization")
IDS += ("vanishing-gradient", "exploding-activation", "exploding-gradient")
PROBES = (Probe("signal by layer", IDS, look),)
