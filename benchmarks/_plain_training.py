"""A training program trained as its author would: a textbook loop of JAX and Optax, with what monitors save of it.

Nothing of the doctor is in here. The published rules read its record, and the calibration set is held to its scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import verax as vx
from verax.doctor import TrainingProgram
from verax.jaxpr import Equation, evaluate
from verax.trees import leaves_by_path

PROBE_ROWS = 500  # of which activations are kept; SageMaker's rules wait for as many samples
EARLY = 10  # steps of which gradients are kept, as SageMaker's rule for initial weights does
ACTIVATIONS = {"tanh": "tanh", "logistic": "sigmoid"}  # by primitive; a rectifier is `max` with a zero


@dataclass(frozen=True, eq=False)
class Layer:
    """What an activation function of the network took and gave on the probe rows."""

    kind: str
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True, eq=False)
class Moment:
    """What a monitor saves at a step.

    Attributes:
      weights: before the step, by path; a path that starts with the layer used first.
      gradients: likewise.
      updates: likewise.
    """

    weights: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    updates: Mapping[str, np.ndarray]


@dataclass(eq=False)
class Record:
    """A training run as the monitors of other frameworks see it.

    Attributes:
      program: what was trained.
      learning_rate: of the first update, as a framework's optimizer would name it.
      step_losses: the loss of each step.
      losses: the mean of them, by epoch; `test_losses` on held-out rows in evaluation.
      scores: accuracy over the epoch's batches, in training; `test_scores` on held-out rows. Empty for regression.
      early: of the first steps; `late` of the last step of each epoch.
      first_layers: activations at the start; `last_layers` at the end.
      variables: at the end.
      outputs: on the held-out rows at the end; `train_outputs` on the training rows.
    """

    program: TrainingProgram
    learning_rate: float = math.nan
    step_losses: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    test_losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    test_scores: list[float] = field(default_factory=list)
    early: list[Moment] = field(default_factory=list)
    late: list[Moment] = field(default_factory=list)
    first_layers: Sequence[Layer] = ()
    last_layers: Sequence[Layer] = ()
    variables: Any = None
    outputs: Any = None
    train_outputs: Any = None


def trained(program: TrainingProgram, *, watch: bool = True) -> Record:
    """Returns the record of a plain training; without `watch`, losses and final outputs only."""
    network, optimizer = program.network, program.optimizer
    (inputs, _), size = program.train, min(program.batch_size, rows_of(program.train[0]))
    init_key, key = jax.random.split(jax.random.key(program.seed))
    params, state = jax.jit(network.init)(init_key, cut(inputs, slice(0, size)))
    opt_state = optimizer.init(params)
    record = Record(program)

    def objective(params: Any, state: Any, inputs: Any, targets: Any, key: Any) -> Any:
        outputs, after = network.apply_fn(vx.Variables(params, state), inputs, key, True)
        return jnp.mean(program.loss(outputs, targets)), (outputs, after)

    @jax.jit
    def step(params: Any, state: Any, opt_state: Any, inputs: Any, targets: Any, key: Any) -> Any:
        (loss, (outputs, state)), grads = jax.value_and_grad(objective, has_aux=True)(
            params, state, inputs, targets, key
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        after = optax.apply_updates(params, updates)
        return after, state, opt_state, loss, (outputs, grads, updates) if watch else ()

    asked = jax.jit(evaluation_of(program))
    if watch:
        record.learning_rate = learning_rate(optimizer, params)
        order = order_of_use(program, vx.Variables(params, state), cut(inputs, slice(0, size)))
        record.first_layers = layers(program, vx.Variables(params, state))
    for epoch in range(program.epochs):
        losses, hits, moment = [], [], None
        for batch_inputs, batch_targets in batches(program, epoch):
            key, noise = jax.random.split(key)
            before = params
            params, state, opt_state, loss, seen = step(params, state, opt_state, batch_inputs, batch_targets, noise)
            losses.append(loss)
            if watch:
                moment = partial(saved, order, before, seen[1], seen[2])
                hits.append((seen[0], batch_targets))
                if len(record.early) < EARLY:
                    record.early.append(moment())
        record.step_losses += [float(loss) for loss in losses]
        record.losses.append(float(np.mean([float(loss) for loss in losses])))
        if watch and moment is not None:
            record.late.append(moment())
            record.scores += [] if program.task == "regression" else [accuracy(program, hits)]
        if program.test is not None:
            record.outputs = asked(vx.Variables(params, state), on_device(program.test[0]), key)
            record.test_losses.append(float(jnp.mean(program.loss(record.outputs, on_device(program.test[1])))))
            if watch and program.task != "regression":
                record.test_scores.append(accuracy(program, [(record.outputs, program.test[1])]))
    record.variables = vx.Variables(params, state)
    record.train_outputs = asked(record.variables, on_device(inputs), key)
    if watch:
        record.last_layers = layers(program, record.variables)
    return record


def evaluation_of(program: TrainingProgram) -> Callable[[Any, Any, Any], Any]:
    """Returns `(variables, inputs, key) -> outputs`, how a program is asked."""
    if program.evaluate is not None:
        return program.evaluate
    return lambda variables, inputs, key: program.network.apply(variables, inputs)[0]


def batches(program: TrainingProgram, epoch: int) -> Iterator[tuple[Any, Any]]:
    """Yields the batches of an epoch: the program's own, or shuffled and without the remainder."""
    inputs, targets = program.train
    if program.batches is not None:
        yield from program.batches(inputs, targets, epoch)
        return
    rows = rows_of(inputs)
    size = min(program.batch_size, rows)
    order = np.random.default_rng([program.seed, epoch]).permutation(rows)
    for start in range(0, rows - size + 1, size):
        yield cut(inputs, order[start : start + size]), cut(targets, order[start : start + size])


def rows_of(tree: Any) -> int:
    return len(jax.tree.leaves(tree)[0])


def cut(tree: Any, rows: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def on_device(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


def saved(order: Sequence[str], *trees: Any) -> Moment:
    """Returns the leaves of trees by path, the layer used first in front."""
    named = [{path: np.asarray(leaf, np.float32) for path, leaf in leaves_by_path(tree).items()} for tree in trees]
    return Moment(*({path: leaves[path] for path in order if path in leaves} for leaves in named))


def order_of_use(program: TrainingProgram, variables: vx.Variables, inputs: Any) -> list[str]:
    """Returns the paths of the parameters by their first use in the network; by name where it does not tell."""
    paths = list(leaves_by_path(variables.params))
    jaxpr = jax.make_jaxpr(evaluation_of(program))(variables, inputs, jax.random.key(0)).jaxpr
    first = {id(var): place for place, eqn in reversed([*enumerate(jaxpr.eqns)]) for var in eqn.invars}
    place = {path: first.get(id(var), math.inf) for path, var in zip(paths, jaxpr.invars, strict=False)}
    return sorted(paths, key=lambda path: place[path])


def layers(program: TrainingProgram, variables: vx.Variables) -> list[Layer]:
    """Returns what the network's rectifiers, tanh and sigmoid units take and give on training rows, in evaluation."""
    inputs = on_device(cut(program.train[0], slice(0, PROBE_ROWS)))
    arguments = (variables, inputs, jax.random.key(0))
    closed = jax.make_jaxpr(evaluation_of(program))(*arguments)
    found: dict[int, list[tuple[str, Any, Any]]] = {}

    def visit(equation: Equation, operands: Sequence[Any], results: Sequence[Any], turns: tuple[int, ...]) -> None:
        name = equation.eqn.primitive.name
        if name == "max" and any(np.ndim(each) == 0 and float(each) == 0 for each in operands):
            before = next((each for each in operands if np.ndim(each) > 0), None)
            if before is not None:
                found.setdefault(id(equation.eqn), []).append(("relu", before, results[0]))
        elif name in ACTIVATIONS and np.ndim(results[0]) > 1:
            found.setdefault(id(equation.eqn), []).append((ACTIVATIONS[name], operands[0], results[0]))

    evaluate(closed, jax.tree.leaves(arguments), visit)
    return [
        Layer(calls[0][0], *(np.stack([np.asarray(call[side], np.float32) for call in calls]) for side in (1, 2)))
        for calls in found.values()
    ]


def learning_rate(optimizer: optax.GradientTransformation, params: Any, small: float = 1e-4) -> float:
    """Returns the learning rate, told from the first updates: a rule that answers a gradient ten times as large with
    an update ten times as large multiplies by it, any other makes steps of its size. The second update counts where the
    first is zero (warm-up from nothing)."""

    @jax.jit
    def largest(gradient: Any) -> list[Any]:
        state, nothing = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), params)
        sizes = []
        for _ in range(2):
            updates, state = optimizer.update(grads, state, nothing)
            sizes.append(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(updates)]).max())
        return sizes

    one, ten = (next((float(size) for size in largest(gradient) if size > 0), 0.0) for gradient in (small, 10 * small))
    return float(f"{ten / (10 * small) if ten > 5 * one else ten:.4g}")  # float32 has 0.01 a little above itself


def accuracy(program: TrainingProgram, answers: Sequence[tuple[Any, Any]]) -> float:
    """Returns the share of right answers, each example counted once."""
    right = [hits(program, outputs, targets) for outputs, targets in answers]
    return float(np.mean(np.concatenate([each.reshape(-1) for each in right])))


def hits(program: TrainingProgram, outputs: Any, targets: Any) -> np.ndarray:
    """Returns which answers that count are right."""
    targets = np.asarray(targets)
    answers = predictions(program, outputs).reshape(targets.shape)
    counts = targets >= 0 if program.task == "sequence" else np.ones(targets.shape, bool)
    if program.scored is not None:
        counts = np.asarray(program.scored(targets))
    return (answers == targets)[counts]


def predictions(program: TrainingProgram, outputs: Any) -> np.ndarray:
    """Returns the hard answers to outputs."""
    if program.predict is not None:
        return np.asarray(program.predict(outputs))
    if program.task in ("binary", "multilabel"):
        return (np.asarray(outputs) > 0).astype(int)
    return np.asarray(outputs).argmax(-1) if program.task != "regression" else np.asarray(outputs)


def measured(record: Record) -> dict[str, float]:
    """Returns the scores on the held-out rows at the end: loss, and accuracy with balanced accuracy, or R²."""
    program = record.program
    assert program.test is not None
    targets = np.asarray(jax.tree.leaves(program.test[1])[0])
    values = {"loss": record.test_losses[-1]}
    if program.task == "regression":
        answers = predictions(program, record.outputs).reshape(-1)
        values["r2"] = float(1 - np.sum((answers - targets.reshape(-1)) ** 2) / np.sum((targets - targets.mean()) ** 2))
    elif program.task != "custom":
        values["acc"] = accuracy(program, [(record.outputs, targets)])
        answers = predictions(program, record.outputs).reshape(targets.shape)
        classes = [each for each in np.unique(targets) if each >= 0]
        values["bal_acc"] = float(np.mean([np.mean(answers[targets == each] == each) for each in classes]))
    return values
