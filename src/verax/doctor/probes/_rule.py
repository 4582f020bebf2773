"""An update rule, seen from outside: how it answers to gradients, and the first steps that it takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from verax.data import Batch
from verax.doctor._probe import Repair
from verax.doctor._subject import Subject, on_device
from verax.network import Variables
from verax.train._optimizer import keeps_its_rate, moved_on, with_standard_promotion
from verax.train._schedule import ScheduleProbe, probe_schedule
from verax.trees import Tree

WALK = 16  # steps: enough for a median, and within the first epoch of a small data set
POWERS = range(-8, 9)  # of ten, times the gradient: to find where a rule stops to be proportional


class Step(NamedTuple):
    """One of the first steps.

    Attributes:
      batch: of the step.
      key: its noise.
      variables: before it.
      grads: of its objective.
      updates: what the optimizer adds to the parameters.
      before: the objective.
      after: the objective on the same batch, with the same noise and the parameters after the step.
    """

    batch: Batch
    key: Any
    variables: Variables
    grads: Tree
    updates: Tree
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Rule:
    """The update rule of a program. What is asked of it is computed once."""

    subject: Subject

    @property
    def params(self) -> Tree:
        """The initial parameters."""
        return self.subject.variables.params

    @cached_property
    def update(self) -> Callable[..., tuple[Tree, Tree]]:
        """`(grads, opt_state, params) -> updates, opt_state`, compiled."""
        inner = with_standard_promotion(self.subject.optimizer)

        def update(grads: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
            loss = jnp.float32(1)
            return inner.update(grads, state, params, value=loss, grad=grads, value_fn=lambda _: loss)

        return jax.jit(update)

    @cached_property
    def program(self) -> Any:
        """The jaxpr of `update(grads, opt_state, params)`."""
        jitted: Any = self.update
        return jitted.trace(self.params, self.subject.opt_state, self.params).jaxpr

    @cached_property
    def moved(self) -> Callable[..., Tree]:
        """`(params, updates, factor) -> params` after a part of a step, compiled."""
        return jax.jit(lambda params, updates, factor: optax.apply_updates(params, scaled(updates, factor)))

    @cached_property
    def schedule(self) -> ScheduleProbe | None:
        """The sizes of its steps along the run, and what does not fit the length of it; None if it keeps its rate."""
        if keeps_its_rate(self.subject.opt_state):
            return None
        return probe_schedule(self.subject.optimizer, self.params, self.subject.steps)

    @cached_property
    def sizes(self) -> np.ndarray:
        """The size of each planned step for a constant gradient, as a share of the largest."""
        if self.schedule is None:
            return np.ones(self.subject.steps)
        curve = self.schedule.curve
        if not curve.sizes.size or not curve.sizes.max() > 0:
            return np.zeros(self.subject.steps)
        return np.interp(np.arange(1, self.subject.steps + 1), curve.steps, curve.sizes / curve.sizes.max())

    @property
    def peak(self) -> int:
        """How many steps are taken before one that is nearly as large as any."""
        return int((self.sizes >= 0.9 * self.sizes.max()).argmax())

    @cached_property
    def at_peak(self) -> Tree:
        """Its first state, with the counters moved on to the largest steps of the run: a warm-up begins at zero."""
        return moved_on(self.subject.opt_state, jnp.int32(self.peak)) if self.peak else self.subject.opt_state

    @cached_property
    def walk(self) -> tuple[Step, ...]:
        """The first steps of training; they end where something is not finite, which is then the last one's `after`."""
        subject, steps = self.subject, []
        params, model_state = subject.variables
        state = subject.opt_state
        first = jax.tree.map(np.shape, subject.first_epoch[0])
        batches = [
            each for each in subject.first_epoch if jax.tree.map(np.shape, each) == first
        ]  # one compiled program
        for number in range(WALK):
            batch, key = on_device(batches[number % len(batches)]), subject.noise(number)
            (before, (_, after_state)), grads = subject.gradient(params, model_state, batch, key)
            updates, state = self.update(grads, state, params)
            moved = self.moved(params, updates, 1.0)
            (after, _), _ = subject.gradient(moved, model_state, batch, key)
            variables = Variables(params, model_state)
            steps.append(Step(batch, key, variables, grads, updates, float(before), float(after)))
            if not np.isfinite(steps[-1].after):
                break
            params, model_state = moved, after_state
        return tuple(steps)

    @cached_property
    def responses(self) -> dict[int, float]:
        """For each of the POWERS of ten the norm of the updates for the first gradient times it, from a fresh state at
        its peak, without what becomes of a gradient of zero."""
        grads = self.walk[0].grads
        rest = flat(self.update(scaled(grads, 0.0), self.at_peak, self.params)[0])

        def norm(power: int) -> float:
            updates, _ = self.update(scaled(grads, 10.0**power), self.at_peak, self.params)
            return float(np.linalg.norm(flat(updates) - rest))

        return {power: norm(power) for power in POWERS}

    def forgets(self, scale: float) -> bool:
        """Returns whether, after steps with the first gradient at a scale, ten times that gradient makes the same step.

        So clipping does, of gradients far above its limit, and no rule that divides by its own averages.
        """
        grads, state = scaled(self.walk[0].grads, scale), self.at_peak
        for _ in range(8):
            _, state = self.update(grads, state, self.params)
        same, larger = (flat(self.update(scaled(grads, by), state, self.params)[0]) for by in (1.0, 10.0))
        return bool(np.linalg.norm(larger - same) <= 0.05 * np.linalg.norm(same))


@functools.lru_cache(maxsize=1)
def rule_of(subject: Subject) -> Rule:
    """Returns the update rule of a program; the probes of one program share it."""
    return Rule(subject)


def flat(tree: Tree) -> np.ndarray:
    """Returns all numbers of a tree, in float64."""
    return np.concatenate([np.asarray(leaf).astype(np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def scaled(tree: Tree, factor: Any) -> Tree:
    """Returns a tree of the same types, times a number."""
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype), tree)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the cosine between two vectors; 0 where one of them is zero."""
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norms) if norms > 0 else 0.0


def random_like(params: Tree, seed: int = 0) -> Tree:
    """Returns standard normal numbers in the shapes and types of the parameters."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), params)


def with_optimizer(name: str, change: Callable[[optax.GradientTransformation], optax.GradientTransformation]) -> Repair:
    """Returns the repair that changes the optimizer of a program."""
    return Repair(name, lambda subject: subject.changed(optimizer=change(subject.optimizer)))


def times(factor: float) -> Repair:
    """Returns the repair that multiplies the learning rate."""
    return with_optimizer(
        f"the learning rate times {factor:g}", lambda optimizer: optax.chain(optimizer, optax.scale(factor))
    )
