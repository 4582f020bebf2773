"""Is a loss for numbers used on classes: a distance from the label, where a cross entropy is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.doctor._loss_view import CLASS_TASKS, LossView, loss_view
from verax.doctor._probe import NotApplicable, Probe, Repair, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.findings import Finding
from verax.network import Variables
from verax.trees import Tree

EPSILON = 1e-7  # float32's step below 1
MOST_CLASSES = 20  # networks side by side that a repair trains; more take too long


def look(subject: Subject) -> Seen:
    """Asks whether the loss is least where the outputs are the labels themselves, and grows on all sides.

    Squared errors on classes train well where the answer is clear (the Brier score), and numbered classes may be steps
    of a scale: whether it does harm is decided by a cross entropy in its place.
    """
    view = loss_view(subject)
    if subject.task not in CLASS_TASKS:
        raise NotApplicable("the targets are no classes.")
    if view.layout == "classes":
        answers = view.right(1.0)
    elif view.outputs.size == view.targets.size:
        answers = view.targets.reshape(view.outputs.shape).astype(np.float64)
    else:
        raise NotApplicable("outputs and targets are not compared one by one.")
    spread = np.abs(answers - answers.mean()).max() or 1.0
    there = view.alone(answers).loss.mean()
    around = [view.alone(answers + by * spread * _sides(answers)).loss.mean() for by in (-4.0, 4.0)]
    away = view.alone(np.full(answers.shape, answers.mean())).loss.mean()
    compared = f"loss {there:.3g} where outputs are the labels, {min(around):.3g} far beyond them, {away:.3g} undecided"
    # A distance is far above its own undecided value four spreads away; a cross entropy is below it on one side.
    is_distance = np.all(np.isfinite([there, *around, away])) and there < 0.05 * away and min(around) > 2 * away
    if not is_distance:
        return Seen(compared)
    return Seen(compared, (), (_suspicion(view, compared),))


def _sides(answers: np.ndarray) -> np.ndarray:
    """Returns 1 where an answer is above the middle, -1 below: along it a loss of classes falls on and on."""
    return np.where(answers > (answers.min() + answers.max()) / 2, 1.0, -1.0)


def _suspicion(view: LossView, compared: str) -> Suspicion:
    labels = np.unique(view.subject.train.targets)
    single = view.layout != "classes" and view.subject.task != "binary"
    finding = Finding(
        "loss-mismatch",
        "warning",
        f"the loss is a distance between {'one output' if single else 'outputs'} and {len(labels)} class labels.",
        "Give the network an output for each class and use a cross entropy." if single else "Use a cross entropy.",
        part="loss",
        evidence=(compared,),
        confidence=0.8,
    )
    if not single:
        return Suspicion(finding, (Repair("a cross entropy in place of the distance", _with_cross_entropy),))
    if not 2 <= len(labels) <= MOST_CLASSES or labels.min() < 0 or labels.max() >= MOST_CLASSES:
        return Suspicion(finding, ())
    classes = int(labels.max()) + 1
    repair = Repair(f"{classes} outputs and a cross entropy", lambda subject: _with_an_output_each(subject, classes))
    return Suspicion(finding, (repair,))


def _with_cross_entropy(subject: Subject) -> Subject:
    view = loss_view(subject)
    probabilities, layout = view.are_probabilities, view.layout

    def losses(outputs: Tree, batch: Any) -> Any:
        (given,), (targets,) = jax.tree.leaves(outputs), jax.tree.leaves(batch.targets)
        if layout == "classes":
            numbers = targets if targets.shape == given.shape else targets.reshape(given.shape[:-1])
            one_hot = numbers if numbers.ndim == given.ndim else jax.nn.one_hot(numbers, given.shape[-1])
            logs = jnp.log(jnp.clip(given, EPSILON, 1.0)) if probabilities else jax.nn.log_softmax(given)
            return -jnp.sum(one_hot.astype(logs.dtype) * logs, axis=-1)
        yes = targets.reshape(given.shape).astype(given.dtype)
        if not probabilities:
            return optax.sigmoid_binary_cross_entropy(given, yes)
        held = jnp.clip(given, EPSILON, 1 - EPSILON)
        return -(yes * jnp.log(held) + (1 - yes) * jnp.log(1 - held))

    kept = {} if probabilities else {"predict": None, "probabilities": None}  # a threshold of 0.5 was for the labels
    return subject.changed(losses=losses, **kept)


def _with_an_output_each(subject: Subject, classes: int) -> Subject:
    """Returns the program with as many copies of its network as there are classes, one output each."""
    network = subject.network

    def init(key: Any, inputs: Tree) -> Variables:
        return jax.vmap(lambda each: network.init(each, inputs))(jax.random.split(key, classes))

    def apply(variables: Variables, inputs: Tree, key: Any, train: bool) -> tuple[Tree, Tree]:
        outputs, state = jax.vmap(lambda each: network.apply_fn(each, inputs, key, train))(variables)
        return _side_by_side(outputs), state

    def evaluate(variables: Variables, inputs: Tree, key: Any) -> Tree:
        return _side_by_side(jax.vmap(lambda each: subject.evaluate(each, inputs, key))(variables))

    def losses(outputs: Tree, batch: Any) -> Any:
        (labels,) = jax.tree.leaves(batch.targets)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels.reshape(-1).astype(jnp.int32))

    many = replace(network, init=init, apply_fn=apply)
    return subject.changed(network=many, evaluate=evaluate, losses=losses, predict=None, probabilities=None)


def _side_by_side(outputs: Tree) -> Any:
    (leaf,) = jax.tree.leaves(outputs)
    return jnp.moveaxis(leaf.reshape(leaf.shape[0], -1), 0, -1)


PROBES = (Probe("loss for numbers on classes", ("loss-mismatch",), look),)
