"""Why a gradient is wrong: each custom rule checked alone, and the gradient once more without what cuts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from verax.debug._differences import Function
from verax.debug._gradient_program import GradientProgram, gradient_of
from verax.debug._gradient_report import RuleGradient, Worst
from verax.debug._judge import Judgement, Lines, index_of, judge_differences, rounding
from verax.jaxpr import OwnDerivative, in_float64, same_program
from verax.jaxpr._rebind import bind
from verax.trees import is_floating

RULES = 64  # custom rules that are checked; equal ones share a program, each other compiles a small one
COORDINATES = 32  # of each operand
DIRECTIONS = 3  # through each operand as a whole
CUTS = 8  # places of stop_gradient that are tried one by one
EXPLAINED = 0.1  # of a disagreement is left where its cause was taken away


@dataclass(eq=False)
class RuleCheck:
    """Checks custom rules; programs of equal rules are compiled once."""

    compiled: list[tuple[ClosedJaxpr, ClosedJaxpr, Function, Any]] = field(default_factory=list)

    def __call__(
        self, own: OwnDerivative, operands: list[Any], generator: np.random.Generator, *, eps: float, tolerance: float
    ) -> RuleGradient:
        """Returns the verdict on a rule at some operands: derivatives of a random mixture of its results."""
        results = [var.aval for var in own.eqn.outvars if is_floating(var.aval)]
        mixture = [generator.normal(size=getattr(aval, "shape", ())) for aval in results]
        function, gradient = self._programs(own)
        leaves = [*operands, *mixture]
        at = function.at(leaves)
        value, grads = gradient(leaves)
        if not (np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in at.leaves)):
            return _rule(own, "undecided", Worst(None, 0.0, 0.0))
        positions = [
            np.sort(generator.permutation(leaf.size)[:COORDINATES]) + start
            for leaf, start in zip(at.leaves, function.starts, strict=False)
        ]
        directions = [
            (number, slice(None), generator.choice([-1.0, 1.0], leaf.size))
            for number, leaf in enumerate(at.leaves)
            for _ in range(DIRECTIONS if leaf.size > COORDINATES else 0)
        ]
        lines = Lines(at, np.concatenate([np.zeros(0, int), *positions]), tuple(directions))
        judgement = judge_differences(lines, lines.slopes(grads), rounding(at, generator), eps=eps, tolerance=tolerance)
        return _rule(own, _status(own, judgement), _worst(lines, judgement))

    def _programs(self, own: OwnDerivative) -> tuple[Function, Any]:
        eqn, count = own.eqn, len(own.eqn.invars)

        def mixed(*leaves: Any) -> Any:
            results = [each for each in bind(eqn, list(leaves[:count]), eqn.params) if is_floating(each)]
            return sum(jnp.sum(a * b.astype(a.dtype)) for a, b in zip(results, leaves[count:], strict=True))

        given: list[Any] = [var.aval for var in eqn.invars]
        results: list[Any] = [var.aval for var in eqn.outvars if is_floating(var.aval)]
        shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in (*given, *results)]
        traced = jax.make_jaxpr(mixed)(*shapes)
        places = tuple(place for place, depends in enumerate(own.depends) if depends)
        derived = jax.make_jaxpr(jax.grad(mixed, places))(*shapes)
        for known, known_derived, function, gradient in self.compiled:
            same = function.places == places and same_program(known, traced) and same_program(known_derived, derived)
            if same:
                return function, gradient
        function = Function(in_float64(traced), places, tuple(map(str, places)))
        gradient = gradient_of(traced, places)
        self.compiled.append((traced, derived, function, gradient))
        return function, gradient


def _status(own: OwnDerivative, judgement: Judgement) -> Any:
    wrong = judgement.wrong
    if not wrong.any():
        return "undecided" if judgement.kink.all() else "passed"
    flat = np.abs(judgement.numerical) <= 1e-3 * np.abs(judgement.automatic).max()
    return "straight-through" if own.rounds and flat[~judgement.kink].all() else "failed"


def _worst(lines: Lines, judgement: Judgement) -> Worst:
    apart = np.where(judgement.kink, -1.0, np.abs(judgement.numerical - judgement.automatic))
    if not len(apart):
        return Worst(None, 0.0, 0.0)
    worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    leaf, where = lines.leaf[worst], None
    if worst < len(lines.positions):
        function = lines.at.function
        where = index_of(lines.positions[worst] - function.starts[leaf], function.shapes[leaf])
    return Worst(where, float(judgement.automatic[worst]), float(judgement.numerical[worst]))


def _rule(own: OwnDerivative, status: Any, worst: Worst) -> RuleGradient:
    return RuleGradient(own.kind, own.name, own.definition, own.place, status, worst)


_STRAIGHT = "Nothing, if a straight-through gradient is meant. To check the rest, leave the rounding out."
_RULE = "Mend that rule."
_CUT = "Take it away; if the gradient is meant to stop there, this check does not apply to this leaf."


@dataclass(frozen=True)
class Cause:
    """Why a leaf disagrees.

    Attributes:
      text: what does it, and where.
      advice: what to do about it.
      is_meant: whether a gradient passes by a rounding, which people do on purpose.
    """

    text: str
    advice: str
    is_meant: bool = False


def causes(
    program: GradientProgram,
    leaves: Sequence[Any],
    lines: Lines,
    judgement: Judgement,
    rules: Sequence[tuple[OwnDerivative, RuleGradient]],
    judge: Callable[[Lines, np.ndarray], Judgement],
) -> dict[int, Cause]:
    """Returns the causes of disagreement, for those leaves where one was found.

    A cause is known by what happens without it: the gradient with JAX's own derivatives in its place agrees with the
    differences. A custom rule that is wrong by itself is named wherever a leaf goes through it. What passes by a
    rounding excuses a leaf only if `judge`, which judged the lines, finds nothing else wrong with it.
    """
    found: dict[int, Cause] = {}
    open_leaves = {int(leaf) for leaf in np.unique(lines.leaf[judgement.wrong])}
    cuts = [own for own in program.own if own.kind == "stop_gradient"]
    straight = [own for own, rule in rules if rule.status == "straight-through"] + [own for own in cuts if own.rounds]

    def explained(chosen: Sequence[OwnDerivative]) -> set[int]:
        """Returns the leaves that agree without some of the derivatives."""
        reached = {leaf for leaf in open_leaves for own in chosen if program.function.places[leaf] in own.inputs}
        grads = program.gradient_without(chosen, leaves) if reached else None
        if grads is None:
            return set()
        slopes, agree = lines.slopes(grads), set()
        for leaf in reached:
            wrong = judgement.wrong & (lines.leaf == leaf)
            left = np.linalg.norm((slopes - judgement.numerical)[wrong])
            if left <= EXPLAINED * np.linalg.norm((judgement.automatic - judgement.numerical)[wrong]):
                agree.add(leaf)
        return agree

    def settle(agree: set[int], cause: Cause) -> None:
        found.update(dict.fromkeys(agree, cause))
        open_leaves.difference_update(agree)

    def excused() -> set[int]:
        """Returns the leaves that are right but for what passes by a rounding."""
        reached = {leaf for leaf in open_leaves for own in straight if program.function.places[leaf] in own.inputs}
        grads = program.gradient_without(straight, leaves) if reached else None
        if grads is None:
            return set()
        alone = {leaf: lines.through(leaf) for leaf in reached}
        return {leaf for leaf, some in alone.items() if not judge(some, some.slopes(grads)).wrong.any()}

    if straight:
        names = "; ".join(dict.fromkeys(map(str, straight)))
        settle(
            excused(),
            Cause(f"{names} passes a gradient by a rounding, which is flat.", _STRAIGHT, is_meant=True),
        )
    for own, rule in rules:
        reached = {leaf for leaf in open_leaves if program.function.places[leaf] in own.inputs}
        if rule.status == "failed":
            settle(reached, Cause(f"Wrong by itself: {rule}.", _RULE))
    groups: dict[str, list[OwnDerivative]] = {}
    for own in cuts:
        groups.setdefault(str(own), []).append(own)
    together = explained(cuts)
    if together and len(groups) > 1:
        for name, group in list(groups.items())[:CUTS]:
            agree = explained(group)
            settle(agree, Cause(f"It is cut by {name}.", _CUT))
            together -= agree
    settle(together, Cause(f"It is cut by {' and '.join(groups)}.", _CUT))
    return found
