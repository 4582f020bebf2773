"""Does row i of the outputs depend on row i of the inputs alone? Read from the program, never by running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxprs_in_params

from verax.jaxpr._row_rules import MIXED, RULES, Rows, State, common, shape
from verax.jaxpr._walk import Equation
from verax.trees import Tree


def rows_are_independent(fn: Callable[..., Any], inputs: Tree, *args: Any) -> bool:
    """Returns whether each row of what `fn(inputs, *args)` gives back depends on the same row of `inputs` alone.

    The answer is conservative: True is a proof from the program, False may only mean that a rule is missing. Rows are
    along axis 0 of every leaf of `inputs` and of the outputs; `args` (parameters, keys) are not tracked, so random bits
    do not couple rows. The batch size itself may still enter as a number: `x / len(x)` counts as independent.

    Args:
      fn: any traceable function.
      inputs: a batch, arrays or shapes; all leaves have the same leading axis.
      args: further arguments.

    Example:
      >>> rows_are_independent(lambda x: jax.nn.softmax(x, axis=1), jnp.ones((4, 3)))
      True
      >>> rows_are_independent(lambda x: x - x.mean(axis=0, keepdims=True), jnp.ones((4, 3)))
      False
    """
    closed = jax.make_jaxpr(fn)(inputs, *args)
    leaves = jax.tree.leaves(inputs)
    rows = {np.shape(leaf)[0] for leaf in leaves if np.ndim(leaf)}
    if len(rows) != 1 or not all(map(np.ndim, leaves)):
        return False
    untracked = len(closed.jaxpr.invars) - len(leaves)
    states, _ = _followed(closed, [True] * len(leaves) + [False] * untracked, rows.pop())
    return all(state in (None, Rows(0)) for state in states)


def mixing_equations(closed: ClosedJaxpr, tracked: Sequence[bool]) -> tuple[Equation, ...] | None:
    """Returns the equations of a program in which rows first meet, in order, or None if no output depends on two rows.

    As conservative as `rows_are_independent`: None is a proof, and an equation may stand there for want of a rule. The
    tuple is empty where rows stay apart but outputs have them along another axis than the first.

    Args:
      closed: what `jax.make_jaxpr` gave.
      tracked: for each of its inputs, whether it has the rows of a batch along its first axis.

    Example:
      >>> closed = jax.make_jaxpr(lambda x: jnp.exp(x) - x.sum(axis=0, keepdims=True))(jnp.ones((4, 3)))
      >>> [equation.eqn.primitive.name for equation in mixing_equations(closed, [True])]
      ['reduce_sum']
    """
    (rows,) = {shape(var)[0] for var, mark in zip(closed.jaxpr.invars, tracked, strict=True) if mark}
    states, mixing = _followed(closed, tracked, rows)
    return None if all(state in (None, Rows(0)) for state in states) else mixing


class _Walk(NamedTuple):
    """What stays the same in a walk: the number of examples, and the equations found to mix them."""

    examples: int
    mixing: dict[tuple[int, ...], Equation]


def _followed(closed: ClosedJaxpr, tracked: Sequence[bool], examples: int) -> tuple[list[State], tuple[Equation, ...]]:
    """Returns the states of a program's outputs, and the equations that mix examples."""
    walk = _Walk(examples, {})
    states = _run(closed.jaxpr, [Rows(0) if mark else None for mark in tracked], walk, None)
    return states, tuple(walk.mixing.values())


def _run(jaxpr: Jaxpr, states: Sequence[State], walk: _Walk, outer: Equation | None) -> list[State]:
    """Returns the states of a jaxpr's outputs for given states of its inputs."""
    known: dict[Any, State] = dict(zip(jaxpr.invars, states, strict=True))

    def read(var: Any) -> State:
        return None if isinstance(var, Literal) else known.get(var)

    for eqn in jaxpr.eqns:
        results = _equation(Equation(eqn, outer), [read(var) for var in eqn.invars], walk)
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _equation(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    eqn = equation.eqn
    if not any(states):
        return [None] * len(eqn.outvars)
    if eqn.primitive.name in _NESTED:
        return _NESTED[eqn.primitive.name](equation, states, walk)
    if MIXED in states:
        return [MIXED] * len(eqn.outvars)
    rule = RULES.get(eqn.primitive.name)
    result = rule(eqn, states, walk.examples) if rule else MIXED
    return [result] * len(eqn.outvars) if result is not MIXED else _mixed(equation, walk)


def _mixed(equation: Equation, walk: _Walk) -> list[State]:
    walk.mixing.setdefault(equation.key, equation)
    return [MIXED] * len(equation.eqn.outvars)


# Nested programs: (equation, states, walk) -> one state for each output.


def _call(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    eqn = equation.eqn
    inner = list(jaxprs_in_params(eqn.params))
    fits = len(inner) == 1 and len(inner[0].invars) == len(states) and len(inner[0].outvars) == len(eqn.outvars)
    return _run(inner[0], states, walk, equation) if fits else _mixed(equation, walk)


def _cond(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    if states[0]:
        return _mixed(equation, walk)
    branches = [_run(_open(branch), states[1:], walk, equation) for branch in equation.eqn.params["branches"]]
    return [_join(results) for results in zip(*branches, strict=True)]


def _scan(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    """Steps along an axis that does not carry examples. Consts, carry and xs are told apart by their ranks."""
    eqn, body = equation.eqn, _open(equation.eqn.params["jaxpr"])
    is_carry = [len(shape(a)) == len(shape(b)) for a, b in zip(eqn.outvars, body.outvars, strict=True)]
    is_step = [len(shape(a)) != len(shape(b)) for a, b in zip(eqn.invars, body.invars, strict=True)]
    carries, steps = sum(is_carry), sum(is_step)
    consts = len(states) - carries - steps
    scanned = states[consts + carries :]
    xs = [_shifted(state, -1) for state in scanned]
    if any(after is MIXED and before is not MIXED for before, after in zip(scanned, xs, strict=True)):
        _mixed(equation, walk)
    carry = states[consts : consts + carries]
    while True:  # ends, because states only move from None to Rows to MIXED
        results = _run(body, [*states[:consts], *carry, *xs], walk, equation)
        after = [_join(pair) for pair in zip(carry, results[:carries], strict=True)]
        if after == carry:
            break
        carry = after
    return [*carry, *(_shifted(state, 1) for state in results[carries:])]


def _while(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    params = equation.eqn.params
    condition, body = _open(params["cond_jaxpr"]), _open(params["body_jaxpr"])
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    carry = states[second:]
    while True:
        results = _run(body, [*states[first:second], *carry], walk, equation)
        after = [_join(pair) for pair in zip(carry, results, strict=True)]
        if after == carry:
            break
        carry = after
    (again,) = _run(condition, [*states[:first], *carry], walk, equation)
    return _mixed(equation, walk) if again else carry


def _barrier(equation: Equation, states: list[State], walk: _Walk) -> list[State]:
    return states  # one output for each operand


def _open(jaxpr: Any) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def _join(states: Sequence[State]) -> State:
    """Returns the state that covers all: what does not depend on the inputs may stand as any rows."""
    return common(states) if any(states) else None


def _shifted(state: State, by: int) -> State:
    if not isinstance(state, Rows):
        return state
    return Rows(state.axis + by, state.outer, state.inner) if state.axis + by >= 0 else MIXED


_NESTED: dict[str, Callable[[Equation, list[State], _Walk], list[State]]] = {
    **dict.fromkeys(("jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "remat"), _call),
    **dict.fromkeys(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), _call),
    "cond": _cond,
    "scan": _scan,
    "while": _while,
    "optimization_barrier": _barrier,
}
