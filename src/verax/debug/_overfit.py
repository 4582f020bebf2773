"""Can the network learn a few rows by heart? If not, something is broken before any question of data or tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch
from verax.debug._hold import Held, hold
from verax.debug._overfit_cause import Evidence, why_not, why_not_with_this_optimizer
from verax.debug._overfit_rows import rows_to_learn
from verax.findings import Finding
from verax.network import Variables, as_network
from verax.train import Task, task_of
from verax.trees import Tree

EXCESS = 0.01  # of the initial excess over the floor
EXPLAINED = 0.999  # R²
CHECK_EVERY = 20  # steps between two looks: each look waits for the device
REFERENCES = (1e-3, 3e-3)  # learning rates of Adam that fit most networks


@dataclass(frozen=True)
class OverfitResult:
    """Whether a network learnt a few rows by heart.

    Attributes:
      passed: whether it did.
      criterion: what was met first: `excess`, `accuracy` or `r2`; None if nothing was.
      steps: how many steps that took, or how many were tried.
      rows: how many rows were trained on.
      initial_loss: mean loss before the first step, without penalty.
      final_loss: mean loss at the end, or at the step that passed.
      floor: the lowest loss that is possible.
      score: accuracy of a classifier (of labels or tokens), R² of a regressor or an autoencoder; None for other tasks.
      losses: the mean loss before each step.
      cause: the id of the likeliest cause of a failure; `optimizer` if a reference optimizer passes.
      findings: causes in order of likelihood, with their evidence.
      notes: what was done to batch, optimizer and noise.
    """

    passed: bool
    criterion: str | None
    steps: int
    rows: int
    initial_loss: float
    final_loss: float
    floor: float
    score: float | None
    losses: tuple[float, ...]
    cause: str | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def excess(self) -> float:
        """The excess over the floor that is left, as a share of the initial one."""
        start = self.initial_loss - self.floor
        return (self.final_loss - self.floor) / start if start else 0.0

    def __str__(self) -> str:
        verdict = f"passed by {self.criterion}" if self.passed else f"failed, cause: {self.cause}"
        score = "" if self.score is None else f", score {self.score:.4g}"
        losses = f"loss {self.initial_loss:.4g} -> {self.final_loss:.4g}"
        line = f"{verdict}: {losses}{score} on {self.rows} rows in {self.steps} steps"
        return "\n".join([line, *self.notes, *map(str, self.findings)])


def overfit_batch(
    network: Any,
    objective: Any,
    optimizer: optax.GradientTransformation,
    batch: Batch,
    *,
    variables: Variables | None = None,
    seed: int = 0,
    max_steps: int = 1000,
    max_rows: int | None = None,
    total_steps: int = 10_000,
) -> OverfitResult:
    """Returns whether the network can learn a few distinct rows of a batch by heart.

    What stands in the way of learning by heart is off: penalty, weight decay and noise, as far as network and optimizer
    allow. The optimizer's own schedule is held at its peak. It has passed when the excess of the loss over the
    objective's floor has fallen to 1 % of what it was, or accuracy is 1, or R² is at least 0.999.

    If it fails, Adam is tried instead: if that passes, the cause is the optimizer, else the network or the loss.

    Args:
      network: a `Network`, or a model that `as_network` recognises.
      objective: an `Objective`.
      optimizer: the run's own, any Optax transformation.
      batch: rows to choose from; rows of weight 0 are left out.
      variables: where to start; by default the network is initialised with `seed`.
      seed: of initialisation and of noise that cannot be switched off.
      max_steps: steps before it has failed.
      max_rows: how many rows at most; by default 32, for an autoencoder 8, since what its narrowest layer can hold of
        more is not known.
      total_steps: how long the run's schedule is; its peak is looked for up to there.

    Raises:
      InputError: if the batch holds no row of positive weight.
      ValueError: if `max_steps` or `max_rows` is not positive.

    Example:
      >>> from verax.train import regression
      >>> inputs = jnp.linspace(-1, 1, 8)[:, None]
      >>> batch = vx.Batch(inputs, 2 * inputs[:, 0] + 1, jnp.ones(8))
      >>> linear = vx.as_network((lambda key, x: jnp.zeros(2), lambda params, x: params[0] * x[:, 0] + params[1]))
      >>> result = overfit_batch(linear, regression(), optax.sgd(0.3), batch)
      >>> result.passed, result.rows
      (True, 8)
    """
    for name, value in (("max_steps", max_steps), ("max_rows", max_rows)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    network, task = as_network(network), task_of(objective)
    learnt = objective.by_heart() if hasattr(objective, "by_heart") else objective
    is_held, objective = learnt is not objective, learnt
    chosen = rows_to_learn(batch, task, task.rows_by_heart if max_rows is None else max_rows)
    rows = jax.tree.map(jnp.asarray, chosen.batch)
    key = jax.random.key(seed)
    start = jax.jit(network.init)(key, rows.inputs) if variables is None else variables
    noise_off, why_noise = _noise_can_be_off(network, objective, start, rows, key)
    held = hold(optimizer, start.params, total_steps=total_steps)
    attempt = _make_attempt(network, objective, start, rows, key, noise_off, max_steps)
    own = attempt(held)
    cause, findings = None, ()
    if own.criterion is None:
        learning_rate, reference = REFERENCES[0], attempt(_adam(REFERENCES[0], start.params))
        if reference.criterion is None:
            learning_rate, reference = REFERENCES[1], attempt(_adam(REFERENCES[1], start.params))
        seen, seen_of_reference = (_evidence(some, objective, start, rows) for some in (own, reference))
        if reference.criterion:
            cause, findings = "optimizer", why_not_with_this_optimizer(seen, seen_of_reference, learning_rate)
        else:
            findings = why_not(seen_of_reference if reference.finite else seen)
            cause = findings[0].id
    notes = _notes(chosen.repeats, chosen.contradictions, held, why_noise, task.name == "language_model")
    if is_held:
        notes = (*notes, "the Gaussian's width was held: the likelihood of rows that are known grows without end.")
    return OverfitResult(
        own.criterion is not None,
        own.criterion,
        own.steps,
        len(chosen.batch.weight),
        own.losses[0],
        own.losses[min(own.steps, len(own.losses) - 1)],
        own.floor,
        own.score,
        tuple(own.losses),
        cause,
        tuple(findings),
        notes,
    )


class _Attempt(NamedTuple):
    """One training on the rows; `losses` and `scores` are taken before each step and after the last."""

    criterion: str | None
    steps: int
    losses: list[float]
    score: float | None
    floor: float
    finite: bool
    variables: Variables
    outputs: Tree
    first: tuple[Tree, Tree]  # gradients and updates of the first step


def _adam(learning_rate: float, params: Tree) -> Held:
    return hold(optax.adam(learning_rate), params, total_steps=1)


def _noise_can_be_off(network: Any, objective: Any, variables: Variables, rows: Batch, key: Any) -> tuple[bool, str]:
    """Returns whether a training step runs without a key, else why not."""
    loss = objective.bind(network, penalty=False)
    try:
        jax.eval_shape(lambda v: loss(v, rows, key=None, training=True).total, variables)
    except ValueError as refusal:
        jax.eval_shape(lambda v: loss(v, rows, key=key).total, variables)  # with a key it must run
        return False, str(refusal)
    return True, ""


def _make_attempt(
    network: Any, objective: Any, variables: Variables, rows: Batch, key: Any, noise_off: bool, max_steps: int
) -> Callable[[Held], _Attempt]:
    """Returns a function that trains on the rows with a given optimizer.

    One compiled step, called from Python: convolutions inside a rolled loop are many times slower on CPU.
    """
    loss = objective.bind(network, penalty=False)
    task = task_of(objective)
    floor, constant = _floor(network, objective, variables, rows), task.constant_loss(rows)

    def mean_loss(params: Tree, model_state: Tree, rows: Batch, key: Any) -> tuple[Any, Any]:
        mode = {"key": None, "training": True} if noise_off else {"key": key}
        value = loss(Variables(params, model_state), rows, **mode)
        mean = value.total / value.weight
        return mean, (value.model_state, value.outputs)

    def measure(variables: Variables, rows: Batch, key: Any) -> Any:
        """Loss, score and outputs; with noise that stays on, those of evaluation."""
        mode = {"key": None, "training": True} if noise_off else {}
        value = loss(variables, rows, **mode)
        return value.total / value.weight, task.known_share(value.outputs, rows), value.outputs

    def train(held: Held) -> _Attempt:
        @jax.jit
        def step(variables: Variables, opt_state: Any, rows: Batch, key: Any) -> Any:
            taken = jax.value_and_grad(mean_loss, has_aux=True)(variables.params, variables.model_state, rows, key)
            (value, (model_state, outputs)), grads = taken
            updates, opt_state = held.update(grads, opt_state, variables.params, value)
            after = Variables(optax.apply_updates(variables.params, updates), model_state)
            return after, opt_state, value, task.known_share(outputs, rows), (grads, updates)

        look = jax.jit(measure)
        state, opt_state = variables, held.init(variables.params)
        losses: list[Any] = []
        scores: list[Any] = []
        criterion, passed_at, first = None, max_steps, (None, None)
        for number in range(max_steps):
            state, opt_state, value, score, taken = step(state, opt_state, rows, jax.random.fold_in(key, number))
            first = taken if number == 0 else first
            losses.append(value)
            scores.append(score)
            if (number + 1) % CHECK_EVERY and number + 1 < max_steps:
                continue
            after, after_score, _ = look(state, rows, key)
            losses, scores = [float(value) for value in losses], [float(score) for score in scores]
            seen = [*zip(losses, scores, strict=True)] if noise_off else []
            seen = [*seen, (float(after), float(after_score))]
            start = len(losses) + 1 - len(seen)
            criterion, at = _first_met(task, seen, losses[0], floor, constant)
            passed_at = start + at
            if criterion or not np.isfinite(losses[-1]):
                break
        after, after_score, outputs = look(state, rows, key)
        losses = [*losses, float(after)]
        steps = passed_at if criterion else len(losses) - 1
        scores = [*scores, float(after_score)]
        shown = None if task.known_by is None else scores[steps]
        finite = bool(np.isfinite(losses).all())
        return _Attempt(criterion, steps, losses, shown, floor, finite, state, outputs, first)

    return train


def _floor(network: Any, objective: Any, variables: Variables, rows: Batch) -> float:
    """Returns the lowest loss that is possible on the rows."""
    if not hasattr(objective, "floor_on"):
        return float(getattr(objective, "floor", 0.0))
    shapes = jax.eval_shape(lambda variables: network.apply(variables, rows.inputs)[0], variables)
    outputs = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return float(objective.floor_on(outputs, rows))


def _first_met(
    task: Task, seen: list[tuple[float, float]], initial: float, floor: float, constant: float
) -> tuple[str | None, int]:
    """Returns the first criterion that is met in a list of (loss, score), and where.

    A loss below a floor that is known has not met it: something is wrong with the sign. For regression the excess is
    measured from the better of the initial answer and the mean of the targets, or targets far from zero would pass by
    their mean alone.
    """
    start = min(initial, constant) if constant > 0 else initial
    known = task.name != "custom"
    for index, (loss, score) in enumerate(seen):
        share = (loss - floor) / (start - floor) if start > floor else np.inf
        if share <= EXCESS and (share >= -EXCESS or not known):
            return "excess", index
        if task.known_by == "accuracy" and score == 1 and loss < initial:
            return "accuracy", index
        if task.known_by == "r2" and score >= EXPLAINED:
            return "r2", index
    return None, 0


def _evidence(attempt: _Attempt, objective: Any, start: Variables, rows: Batch) -> Evidence:
    grads, updates = attempt.first
    task = task_of(objective)
    answers, wanted = (attempt.outputs, rows.targets) if task.name == "custom" else task.compared(attempt.outputs, rows)
    return Evidence(
        task.name,
        np.array(attempt.losses),
        attempt.floor,
        jax.tree.map(np.asarray, grads),
        jax.tree.map(np.asarray, updates),
        jax.tree.map(np.asarray, start.params),
        jax.tree.map(np.asarray, attempt.variables.params),
        jax.tree.map(np.asarray, answers),
        jax.tree.map(np.asarray, wanted),
    )


def _notes(repeats: int, contradictions: int, held: Held, why_noise: str, is_text: bool) -> tuple[str, ...]:
    notes = []
    if repeats:
        notes.append(f"{repeats} repeated rows were left out.")
    if contradictions:
        same = (
            "that begin as another row does and go on otherwise"
            if is_text
            else ("whose inputs equal those of another row with another target")
        )
        notes.append(f"{contradictions} rows were left out {same}.")
    if held.peak is not None:
        notes.append(f"the schedule was held at its peak, step {held.peak}.")
    if held.decay_is_off:
        notes.append("weight decay was off.")
    elif held.decays:
        notes.append("weight decay stayed on: this optimizer uses the parameters for more than decay.")
    if why_noise:
        notes.append(f"noise stayed on: {why_noise}")
    return tuple(notes)
