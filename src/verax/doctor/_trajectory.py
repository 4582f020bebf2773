"""A training run as the doctor watches it: every loss, the norms of every leaf, and looks at fixed rows on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from verax.data import Batch
from verax.doctor._answers import Answers, judged
from verax.doctor._probe import NotApplicable
from verax.doctor._subject import Subject, on_device
from verax.network import Variables
from verax.trees import Tree, is_floating

LOOKS = 20  # at fixed rows along a run: enough to tell a turn from noise, few enough to cost little
SHAPES = 3  # of batches that are each worth a compilation: whole, last of an epoch, and one more


class Look(NamedTuple):
    """The network after some steps, asked as the trained program is.

    Attributes:
      step: steps taken.
      train: on fixed rows of the training split.
      held: on fixed rows of the split by which training is judged; None without one.
    """

    step: int
    train: Answers
    held: Answers | None


class Broken(NamedTuple):
    """The first step at which a number was not finite.

    Attributes:
      step: the first is 1.
      what: `loss`, `gradient` or `parameter`.
      leaf: the first leaf of it; empty for the loss.
      variables: before that step.
      batch: of that step.
      key: of that step.
    """

    step: int
    what: str
    leaf: str
    variables: Variables
    batch: Batch
    key: Any


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a training run did.

    Attributes:
      planned: steps that were planned.
      losses: the objective at each step, on its own batch.
      epochs: the epoch of each step, from 0.
      gradients: norm of each leaf's gradient, at each step that was measured: all of them, or a recorded run's.
      updates: likewise of the update.
      weights: likewise of the weights before it.
      looks: at fixed rows, from before the first step to after the last.
      curve: the loss along the run, of fixed training rows in evaluation or as it was recorded.
      start: the initial variables.
      final: the variables after the last step.
      broken: where numbers stopped being finite; training was not carried on after it.
      recut: whether the batches were cut anew because they had too many shapes to compile.
      seconds: that it took.
    """

    planned: int
    losses: Float[np.ndarray, " steps"]
    epochs: Int[np.ndarray, " steps"]
    gradients: Float[np.ndarray, "measured leaves"]
    updates: Float[np.ndarray, "measured leaves"]
    weights: Float[np.ndarray, "measured leaves"]
    looks: tuple[Look, ...]
    curve: Float[np.ndarray, " points"]
    start: Variables
    final: Variables
    broken: Broken | None
    recut: bool
    seconds: float

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return len(self.losses)

    @property
    def train_curve(self) -> np.ndarray:
        """Loss of fixed training rows at each look, in evaluation."""
        return np.array([look.train.loss for look in self.looks])

    @property
    def held_curve(self) -> np.ndarray:
        """Likewise of rows that were held out; empty without any."""
        return np.array([look.held.loss for look in self.looks if look.held is not None])

    @property
    def complete(self) -> bool:
        """Whether it ran to its planned end."""
        return self.steps >= self.planned

    @property
    def last(self) -> Look:
        """The look after the last step."""
        return self.looks[-1]


def require_whole(trajectory: Trajectory) -> None:
    """Raises NotApplicable unless a run came to its planned end: of half a run little can be said."""
    if trajectory.broken is not None:
        raise NotApplicable("the run broke off")
    if not trajectory.complete:
        said = f"the run was left after {trajectory.steps} of {trajectory.planned} steps, when its time was up"
        raise NotApplicable(f"{said}. Give more with seconds=.")


class Measured(NamedTuple):
    """What a step measured, on the device."""

    loss: Any
    gradients: Any
    updates: Any
    weights: Any
    finite: Any  # loss, gradients by leaf, parameters by leaf


def train(subject: Subject, *, seconds: float | int, steps: int | None = None, looks: int = LOOKS) -> Trajectory:
    """Returns what the program does when it is trained, with its own batches, steps and order.

    It ends early where the time is up or a number is not finite.

    Args:
      subject: the program.
      seconds: wall time after which it ends, at the next look.
      steps: how many at most; None for as many as it plans.
      looks: how often it is looked at between first and last.
    """
    began = time.perf_counter()
    planned = min(subject.steps, steps or subject.steps)
    step_fn, stream = make_step(subject), steady_batches(subject)
    variables, opt_state = subject.variables, subject.opt_state
    every = max(1, planned // max(1, looks))
    measured: list[tuple[int, Measured]] = []
    seen = [look_at(subject, variables, 0)]
    kept = (0, variables, opt_state)
    pending: list[tuple[int, Batch]] = []
    broken, recut = None, is_recut(subject)
    for number, (epoch, batch) in enumerate(stream):
        if number >= planned:
            break
        pending.append((number, batch))
        variables, opt_state, record = step_fn(variables, opt_state, batch, np.int32(number))
        measured.append((epoch, record))
        if (number + 1) % every == 0 or number + 1 == planned:
            if not _all_finite(record):
                broken = _first_broken(subject, step_fn, kept, pending)
                break
            seen.append(look_at(subject, variables, number + 1))
            kept, pending = (number + 1, variables, opt_state), []
            if time.perf_counter() - began > seconds:
                break
    else:
        planned = min(planned, len(measured))  # the reader of a later epoch gave fewer batches than the first
    if broken is not None:
        measured = measured[: broken.step]
        seen.append(look_at(subject, variables, len(measured)))
    records = jax.device_get([record for _, record in measured])
    leaves = len(subject.paths)
    table = lambda name: np.array([getattr(record, name) for record in records], float).reshape(-1, leaves)  # noqa: E731
    return Trajectory(
        planned,
        np.array([record.loss for record in records], float),
        np.array([epoch for epoch, _ in measured], int),
        table("gradients"),
        table("updates"),
        table("weights"),
        tuple(seen),
        np.array([look.train.loss for look in seen]),
        subject.variables,
        variables,
        broken,
        recut,
        time.perf_counter() - began,
    )


def make_step(subject: Subject) -> Callable[..., tuple[Variables, Tree, Measured]]:
    """Returns `step(variables, opt_state, batch, number) -> (variables, opt_state, measured)`, compiled.

    The random key is that of the step of that number.
    """

    def step(variables: Variables, opt_state: Tree, batch: Batch, number: Any) -> tuple[Variables, Tree, Measured]:
        params, model_state = variables
        key = subject.noise(number)
        (loss, (_, after)), grads = jax.value_and_grad(subject.objective, has_aux=True)(params, model_state, batch, key)
        updates, opt_state = subject.optimizer.update(grads, opt_state, params)
        new = optax.apply_updates(params, updates)
        finite = (jnp.isfinite(loss), _finite(grads), _finite(new))
        measured = Measured(loss, _norms(grads), _norms(updates), _norms(params), finite)
        return Variables(new, after), opt_state, measured

    return jax.jit(step)


def steady_batches(subject: Subject) -> Iterator[tuple[int, Batch]]:
    """Yields epoch and batch of every step, in batches of few shapes: those of many are cut anew at their median."""
    recut = is_recut(subject)
    for epoch in range(subject.epochs):
        batches = subject.first_epoch if epoch == 0 else subject.batches_of(epoch)
        if not recut:
            yield from ((epoch, batch) for batch in batches)
            continue
        together = list(batches)
        size = int(np.median([len(batch.weight) for batch in together]))
        whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *together)
        for start in range(0, len(whole.weight) - size + 1, size):
            yield epoch, jax.tree.map(lambda leaf: leaf[start : start + size], whole)  # noqa: B023


def is_recut(subject: Subject) -> bool:
    """Returns whether the batches of a program have too many shapes to compile a step for each."""
    shapes = {tuple(np.shape(leaf) for leaf in jax.tree.leaves(batch)) for batch in subject.first_epoch}
    by_rows = {tuple(shape[1:] for shape in each) for each in shapes}
    return len(shapes) > SHAPES and len(by_rows) == 1


def look_at(subject: Subject, variables: Variables, step: int) -> Look:
    """Returns what the network gives for fixed rows."""
    rows = (subject.probe, subject.held_probe)
    train, held = (None if batch is None else _asked(subject, variables, batch) for batch in rows)
    assert train is not None
    return Look(step, train, held)


def _asked(subject: Subject, variables: Variables, batch: Batch) -> Answers:
    return judged(subject, subject.evaluated(variables, batch.inputs, subject.noise(0)), batch.targets)


def _norms(tree: Tree) -> Any:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    wide = [leaf.astype(jnp.float32) if is_floating(leaf) else jnp.zeros(()) for leaf in leaves]
    return jnp.stack([jnp.sqrt(jnp.sum(jnp.square(leaf))) for leaf in wide])


def _finite(tree: Tree) -> Any:
    return jnp.stack(
        [jnp.isfinite(leaf).all() if is_floating(leaf) else jnp.array(True) for leaf in jax.tree.leaves(tree)]
    )


def _all_finite(record: Measured) -> bool:
    return all(bool(np.all(each)) for each in jax.device_get(record.finite))


def _first_broken(subject: Subject, step_fn: Callable[..., Any], kept: Any, pending: list[tuple[int, Batch]]) -> Broken:
    """Returns the first step that gave a number that is not finite, replayed from the last look before it."""
    _, variables, opt_state = kept
    for number, batch in pending:
        after, opt_state, record = step_fn(variables, opt_state, batch, np.int32(number))
        loss, grads, params = jax.device_get(record.finite)  # verax: ignore[VX306] - each step is looked at
        for what, finite in (("loss", np.array([loss])), ("gradient", grads), ("parameter", params)):
            if not finite.all():
                leaf = "" if what == "loss" else subject.paths[int(np.argmin(finite))]
                return Broken(number + 1, what, leaf, variables, on_device(batch), subject.noise(number))
        variables = after
    raise AssertionError("a replayed run was finite")  # the step is a function of its arguments
