"""Can the model hold the task at all: a few rows learnt by heart, and passages too narrow for the classes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch
from verax.debug._activation_names import RECTIFIERS
from verax.debug._rows import distinct_rows
from verax.doctor._probe import NotApplicable, Probe, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._reference_network import perceptron_repair
from verax.doctor.probes._repairs_of_weights import steepened
from verax.doctor.probes._signal import Signal, Weight, initial_signal
from verax.doctor.probes._signal_probe import look as signal_by_layer
from verax.findings import Finding, Leaf
from verax.network import Variables
from verax.trees import Tree

ROWS = 16
ATTEMPTS = ((1e-2, 300), (1e-3, 400), (1e-1, 100))  # learning rates of Adam and steps: most networks fit with the first
LOOK_EVERY = 20
EXPLAINED = 0.9  # of the variance of so few targets: what a model without room for them stays below
TASKS = ("classification", "binary", "regression")


def look(subject: Subject) -> Seen:
    """Returns whether the model learns 16 rows by heart, and has no passage narrower than the classes.

    The model alone is asked: inputs are standardised, targets are classes or numbers in [0.2, 0.8] whatever the
    program's own are, the optimizer is Adam at three rates, and noise, penalty and decay are off. Sigmoids of hidden
    layers are `2 tanh(x / 2)`, with which the same functions can be learnt, or layers of them would fail by their
    gradients.
    """
    signal = initial_signal(subject)
    _check_applicable(subject, signal)
    batch, classes = _rows_of(subject)
    repair = perceptron_repair(subject, signal)
    narrow = _narrow(signal, subject, classes)
    if narrow is not None:
        message = f"{narrow.path} passes on {narrow.fan_in} numbers, which is all that its {_wanted(classes)}."
        finding = _finding(message, Leaf(narrow.path), signal)
        return Seen(f"the narrowest passage is {narrow.fan_in} wide.", (), (Suspicion(finding, (repair,)),))
    share, steps = _learnt(subject, signal, batch)
    unit = "R²" if subject.task == "regression" else "share of rows right"
    compared = f"{len(batch.weight)} rows by heart: {unit} {share:.3g} after {steps} steps of Adam."
    if share >= (EXPLAINED if subject.task == "regression" else 1.0):
        return Seen(compared)
    message = f"the model cannot learn {len(batch.weight)} rows by heart: {unit} {share:.3g} at the best of three "
    message += "learning rates of Adam, with standardised inputs and without noise, penalty and decay."
    return Seen(compared, (), (Suspicion(_finding(message, None, signal), (repair,)),))


def _check_applicable(subject: Subject, signal: Signal) -> None:
    if subject.task not in TASKS:
        raise NotApplicable(f"what a {subject.task} task has learnt by heart is not known.")
    if len(signal.weights) < 2:
        raise NotApplicable("the model has one layer: a linear model is chosen.")
    if any(layer.role == "output" and layer.function in RECTIFIERS for layer in signal.layers):
        raise NotApplicable("the outputs are rectified: a row whose output is silent cannot be learnt.")
    seen = signal_by_layer(subject)
    if seen.suspicions or any(finding.is_alarm for finding in seen.findings):
        raise NotApplicable("the signal by layer explains what it could not learn.")


def _rows_of(subject: Subject) -> tuple[Batch, int]:
    """Returns standardised distinct rows with plain targets, and how many classes there are; 1 of numbers."""
    chosen = distinct_rows(jax.device_get(subject.probe), ROWS).batch
    everything = jax.tree.map(np.asarray, subject.probe.inputs)

    def standardised(leaf: Any, rows: Any) -> Any:
        if not np.issubdtype(leaf.dtype, np.floating):
            return rows
        std = leaf.std(axis=0, keepdims=True, dtype=np.float64)
        return ((rows - leaf.mean(axis=0, keepdims=True)) / np.where(std > 0, std, 1.0)).astype(leaf.dtype)

    inputs = jax.tree.map(standardised, everything, chosen.inputs)
    targets, every = np.asarray(chosen.targets), np.asarray(subject.probe.targets)
    if subject.task == "regression":
        low, span = targets.min(axis=0), np.ptp(targets, axis=0)
        targets = (0.2 + 0.6 * (targets - low) / np.where(span > 0, span, 1.0)).astype(np.float32)
        return Batch(inputs, targets.reshape(len(targets), -1), chosen.weight), 1
    one_hot = targets.ndim == 2 and targets.shape[1] > 1
    labels = targets.argmax(axis=1) if one_hot else targets.reshape(len(targets))
    values = np.arange(every.shape[1]) if one_hot else np.unique(every)
    return Batch(inputs, np.searchsorted(values, labels).astype(np.int32), chosen.weight), len(values)


def _learnt(subject: Subject, signal: Signal, batch: Batch) -> tuple[float, int]:
    """Returns the best share that was learnt, and after how many steps."""
    batch = jax.tree.map(jnp.asarray, batch)
    start, key = subject.variables, subject.noise(0)
    adam = optax.scale_by_adam()

    def forward(params: Tree) -> Tree:
        try:
            return subject.network.apply_fn(Variables(params, start.model_state), batch.inputs, None, False)[0]
        except (TypeError, ValueError):  # a model that wants a key
            return subject.network.apply_fn(Variables(params, start.model_state), batch.inputs, key, True)[0]

    function = steepened(forward, signal.hidden_sigmoids) if signal.hidden_sigmoids else forward

    def outputs_of(params: Tree) -> Any:
        (outputs,) = jax.tree.leaves(function(params))
        return outputs.reshape(outputs.shape[0], -1).astype(jnp.float32)

    def loss(params: Tree) -> tuple[Any, Any]:
        outputs = outputs_of(params)
        if subject.task == "regression":
            return jnp.mean((outputs - batch.targets) ** 2), outputs
        if outputs.shape[1] == 1:
            labels = batch.targets.astype(jnp.float32)
            return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs[:, 0], labels)), outputs
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)), outputs

    shape = jax.eval_shape(outputs_of, start.params).shape
    targets = np.asarray(batch.targets)
    if (subject.task == "regression" and shape != targets.shape) or (shape[1] > 1 and targets.max() >= shape[1]):
        raise NotApplicable(f"outputs of shape {shape} are not compared with targets of shape {targets.shape}.")

    @jax.jit
    def step(params: Tree, state: Any, rate: Any) -> Any:
        grads, outputs = jax.grad(loss, has_aux=True)(params)
        updates, state = adam.update(grads, state)
        return optax.apply_updates(params, jax.tree.map(lambda leaf: -rate * leaf, updates)), state, outputs

    best, taken = -np.inf, 0
    for rate, most in ATTEMPTS:
        params, state = start.params, adam.init(start.params)
        for number in range(1, most + 1):
            params, state, outputs = step(params, state, jnp.float32(rate))
            if number % LOOK_EVERY == 0:
                best, taken = max(best, _share(subject, np.asarray(outputs), targets)), taken + LOOK_EVERY
                if best >= (EXPLAINED if subject.task == "regression" else 1.0):
                    return best, taken
    return best, taken


def _share(subject: Subject, outputs: np.ndarray, targets: np.ndarray) -> float:
    """Returns R², or the share of rows that are right; of one output, with the best threshold."""
    if not np.isfinite(outputs).all():
        return -1.0
    if subject.task == "regression":
        total = np.sum((targets - targets.mean(axis=0)) ** 2)
        return float(1 - np.sum((outputs - targets) ** 2) / total) if total > 0 else 1.0
    if outputs.shape[1] > 1:
        return float(np.mean(outputs.argmax(axis=1) == targets))
    return max(float(np.mean((outputs[:, 0] > threshold) == (targets == 1))) for threshold in outputs[:, 0] - 1e-12)


def _narrow(signal: Signal, subject: Subject, classes: int) -> Weight | None:
    """Returns the weights of a passage that is narrower than what lies behind it can need; None if there is none.

    The scores of C classes have rank C - 1. With half of that a good embedding still tells classes apart, as argmax
    asks less than rank, so that only less is suspected (judgement), and a single number, through which nothing but an
    order passes. What is added to other layers' outputs, or makes gates, is no passage.
    """
    columns = min(int(np.prod(np.shape(leaf)[1:])) for leaf in jax.tree.leaves(subject.batch.inputs))
    needed = min(max((classes - 1) / 2, 2), columns)
    passages = [
        weight for weight in list(signal.weights.values())[1:]
        if not weight.use.summed and not weight.use.follows & {"product", "sigmoid", "softmax"}
    ]  # fmt: skip
    narrow = [weight for weight in passages if weight.fan_in < needed]
    return min(narrow, key=lambda weight: weight.fan_in, default=None)


def _wanted(classes: int) -> str:
    return f"{classes} classes are told apart by" if classes > 1 else "outputs are made of"


def _finding(message: str, where: Leaf | None, signal: Signal) -> Finding:
    advice = "Widen its narrowest hidden layer, or add one of 64 units."
    return Finding("insufficient-capacity", "warning", message, advice, where, "model", signal.table(), 0.7)


PROBES = (Probe("capacity", ("insufficient-capacity",), look),)
