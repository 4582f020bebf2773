"""Does the optimizer's state come through its steps, or is it made anew, or left as it was, in each of them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from verax.doctor._probe import NotApplicable, Probe, Seen
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import Rule, random_like, rule_of
from verax.findings import Finding
from verax.jaxpr import Equation, flow
from verax.trees import is_floating

STEPS = 5  # with different gradients: more than an accumulation over 2 or 4 would hide
# States of Optax that sum up over steps: whatever they are set to, the next one depends on the one before.
SUMS = (
    "EmaState", "FactoredState", "ScaleByAdaDeltaState", "ScaleByAdamState", "ScaleByAdanState", "ScaleByAmsgradState",
    "ScaleByBeliefState", "ScaleByLionState", "ScaleByNovogradState", "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState", "ScaleByRmsState", "ScaleByRmsWithCountState", "ScaleByRssState",
    "ScaleByScheduleState", "TraceState",
)  # fmt: skip


class Part(NamedTuple):
    """A part of the state that sums up over steps: what it is called, and its leaves by their places."""

    name: str
    leaves: tuple[int, ...]


class Reads(NamedTuple):
    """What a step does with the leaves of the state that it is given.

    Attributes:
      at_all: those that anything depends on that the step gives back.
      updates: those that the updates depend on.
      returned: those that are given back as they came, whatever the gradients are.
    """

    at_all: frozenset[int]
    updates: frozenset[int]
    returned: frozenset[int]


def look(subject: Subject) -> Seen:
    """Reads whether what a step gives back depends on the state that it is given, and follows that for some steps."""
    rule, state = rule_of(subject), subject.opt_state
    leaves = jax.tree.leaves(state)
    if not leaves:
        raise NotApplicable("the optimizer keeps no state.")
    if not subject.paths:
        raise NotApplicable("there are no parameters.")
    reads = _reads(rule)
    compared = f"{len(leaves)} arrays of the optimizer's state: its steps read {len(reads.at_all)} of them."
    for part in [*_sums(state, 0)] or _own_count(leaves, rule, reads):
        is_made_anew = not reads.at_all.intersection(part.leaves)
        is_kept = reads.returned.issuperset(part.leaves) and bool(reads.updates.intersection(part.leaves))
        if is_made_anew or is_kept:
            series = _series(rule)
            if _stands_still(part, series):
                return Seen(compared, (_finding(part, series, is_made_anew),))
    return Seen(compared)


def _reads(rule: Rule) -> Reads:
    """Returns what a step does with the state, from its program."""
    program, params, state = rule.program, rule.params, rule.subject.opt_state
    first, number = len(jax.tree.leaves(params)), len(jax.tree.leaves(state))
    given = [frozenset([i - first]) if first <= i < first + number else None for i in range(len(program.jaxpr.invars))]
    known = [each or frozenset() for each in flow(program, given, _union, frozenset.union)]
    pairs = zip(program.jaxpr.invars[first : first + number], program.jaxpr.outvars[first:], strict=False)
    returned = frozenset(index for index, (before, after) in enumerate(pairs) if before is after)
    return Reads(frozenset().union(*known), frozenset().union(*known[:first]), returned)


def _union(equation: Equation, known: Sequence[Any]) -> frozenset[int] | None:
    del equation
    return frozenset().union(*(each or () for each in known)) or None


def _sums(state: Any, first: int) -> Iterator[Part]:
    """Yields the parts of a state that are Optax's own and sum up over steps."""
    if type(state).__name__ in SUMS and type(state).__module__.startswith("optax"):
        leaves = range(first, first + len(jax.tree.leaves(state)))
        if leaves:
            yield Part(type(state).__name__, tuple(leaves))
        return
    inner = [state[key] for key in sorted(state)] if isinstance(state, dict) else state
    for child in inner if isinstance(inner, tuple | list) else ():
        yield from _sums(child, first)
        first += len(jax.tree.leaves(child))


def _own_count(leaves: Sequence[Any], rule: Rule, reads: Reads) -> Iterator[Part]:
    """Yields the whole of a state of the user's own, if a step reads nothing of it and counts from 0 to 1 all the same.

    A state that only keeps something to look at (the last gradient's norm) counts nothing.
    """
    if reads.at_all or not any(is_floating(leaf) and np.ndim(leaf) for leaf in leaves):
        return
    after = jax.tree.leaves(rule.update(random_like(rule.params), rule.subject.opt_state, rule.params)[1])
    pairs = zip(leaves, after, strict=False)
    if any(_is_count(before) and int(before) == 0 and int(later) == 1 for before, later in pairs):
        yield Part("the state", tuple(range(len(leaves))))


def _is_count(leaf: Any) -> bool:
    return np.ndim(leaf) == 0 and np.asarray(leaf).dtype.kind == "i"


def _series(rule: Rule) -> list[list[np.ndarray]]:
    """Returns the leaves of the state before the first step and after each, and at last after one step from the first
    state with the last gradient."""
    state, series = rule.subject.opt_state, [rule.subject.opt_state]
    for number in range(STEPS):
        grads = random_like(rule.params, number)
        _, state = rule.update(grads, state, rule.params)
        series.append(state)
    series.append(rule.update(random_like(rule.params, STEPS - 1), rule.subject.opt_state, rule.params)[1])
    return [[np.asarray(leaf) for leaf in jax.tree.leaves(each)] for each in series]


def _stands_still(part: Part, series: list[list[np.ndarray]]) -> bool:
    """Returns whether some steps leave that part as one step does, with the gradient that was the last."""
    return all(np.array_equal(series[-2][index], series[-1][index]) for index in part.leaves)


def _finding(part: Part, series: list[list[np.ndarray]], is_made_anew: bool) -> Finding:
    what = "made anew in each step" if is_made_anew else "never given back: each step starts from the first one"
    counts = [index for index in part.leaves if _is_count(series[0][index])]
    shown = (
        [f"count after each step: {', '.join(str(int(each[counts[0]])) for each in series[1:-1])}"] if counts else []
    )
    evidence = (
        *shown,
        f"after {STEPS} steps the state is, to the bit, what one step from the beginning leaves with the last gradient",
    )
    return Finding(
        "optimizer-state-reset",
        "error",
        f"the state of the optimizer ({part.name}) is {what}.",
        "Give back the new state, and start from the one that is given: updates, state = inner.update(grads, state).",
        None,
        "optimizer",
        evidence,
        1.0,
    )


PROBES = (Probe("state of the optimizer", ("optimizer-state-reset",), look),)
