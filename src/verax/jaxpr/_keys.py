"""Which random keys a program uses twice: followed from equation to equation, through loops, branches and calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxprs_in_params
from jax.extend.core import Literal as Constant

from verax.jaxpr._key_rules import moved
from verax.jaxpr._key_terms import State, Terms, aval, is_key
from verax.jaxpr._walk import Equation, is_function_of_jax

Use = Literal["draw", "split", "fold"]


@dataclass(frozen=True)
class KeyReuse:
    """A key that gives the same random numbers where others were meant.

    Attributes:
      kind: `twice` for two uses of one key; `loop` for one use that every iteration repeats; `rows` for numbers that
        are drawn once and shared by what a vmap runs over; `fixed` for a key that is a constant of the program.
      first: what the key was used for, and the equation.
      second: the use after it; the same as the first but for `twice`.
    """

    kind: Literal["twice", "loop", "rows", "fixed"]
    first: tuple[Use, Equation]
    second: tuple[Use, Equation]


def key_reuses(program: ClosedJaxpr) -> list[KeyReuse]:
    """Returns where a program draws from one key again, or from a key that never changes.

    Drawing random numbers and splitting use a key up; folding data into it does not, but does not go together with the
    other two. Two keys are the same if the program computes them in the same way: the same place of the same split, the
    same data folded in, the same words. What is drawn in a backward pass repeats the forward pass by design (remat).

    Numbers that are drawn once and shared by the rows of a vmap are left out where the program gives them back as they
    are: weights that a vmapped module shares.

    Not seen: what is repeated after the second iteration of a loop only (the tenth key of a scan, drawn from after it
    too); what overlaps within an array of more than KEYS keys; keys that are equal by value but not by how they are
    computed; and what JAX moved out of a loop when it differentiated it.

    Example:
      >>> def twice(key):
      ...     return jax.random.normal(key), jax.random.uniform(key)
      >>> [reuse.kind for reuse in key_reuses(jax.make_jaxpr(twice)(jax.random.key(0)))]
      ['twice']
    """
    walk = _Walk()
    inputs = [walk.terms.input(place, var.aval) for place, var in enumerate(program.jaxpr.invars)]
    outputs = walk.run(program, inputs, None)
    given = walk.terms.reached_by_draws(walk.terms.whole(output) for output in outputs)
    return [
        found for found in walk.found.values() if found.kind != "rows" or not given & walk.shared[found.first[1].key]
    ]


class _Walk:
    """An evaluation of a program with terms in place of values."""

    def __init__(self) -> None:
        self.terms = Terms()
        self.used: dict[tuple[int, bool], tuple[Use, Equation]] = {}  # (key, only folded into) -> its first use
        self.found: dict[Any, KeyReuse] = {}
        self.shared: dict[tuple[int, ...], set[int]] = {}  # the terms of what is drawn once for all rows of a vmap

    def run(self, jaxpr: Jaxpr | ClosedJaxpr, states: Sequence[State], outer: Equation | None) -> list[State]:
        """Returns the states of a jaxpr's outputs for given states of its inputs."""
        inner, consts = (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())
        known: dict[Any, State] = dict(zip(inner.invars, states, strict=True))
        known.update(zip(inner.constvars, map(self.terms.constant, consts), strict=False))

        def read(var: Any) -> State:
            if isinstance(var, Constant):
                return self.terms.constant(np.asarray(var.val, var.aval.dtype))  # type: ignore[union-attr]
            return self.terms.spread(known[var], var.aval) if var in known else self.terms.unknown()

        for eqn in inner.eqns:
            results = self.equation(Equation(eqn, outer), [read(var) for var in eqn.invars])
            known.update(zip(eqn.outvars, results, strict=True))
        return [read(var) for var in inner.outvars]

    def equation(self, equation: Equation, states: list[State]) -> list[State]:
        eqn, name = equation.eqn, equation.eqn.primitive.name
        if name in _RANDOM:
            return [_RANDOM[name](self, equation, states)]
        if name in _NESTED:
            return _NESTED[name](self, equation, states)
        if is_function_of_jax(eqn) and _takes_keys(eqn):
            return self.draw(equation, states)
        inner = list(jaxprs_in_params(eqn.params))
        if len(inner) == 1 and _types(inner[0].invars) == _types(eqn.invars):
            return self.run(_closed(eqn, inner[0]), states, equation)
        followed = [state for state in states if isinstance(state, np.ndarray)]
        if followed and len(followed) == len(states):
            results = moved(eqn, followed, self.terms)
            if results is not None:
                return [*results]
        return self.draw(equation, states) if _takes_keys(eqn) else self.other(eqn, states)

    def other(self, eqn: JaxprEqn, states: Sequence[State]) -> list[State]:
        """Returns the states of an equation of which only this is known: the same operands, the same results."""
        if eqn.effects:
            return [self.terms.unknown() for _ in eqn.outvars]
        parts = [self.terms.whole(state) for state in states]
        known = tuple((name, value if _is_plain(value) else id(value)) for name, value in sorted(eqn.params.items()))
        types = tuple(str(var.aval) for var in eqn.outvars)
        return [
            self.terms.spread(self.terms.of(eqn.primitive.name, (known, types, place), parts), var.aval)
            for place, var in enumerate(eqn.outvars)
        ]

    def use(self, use: Use, equation: Equation, state: State) -> bool:
        """Notes what keys are used for; returns whether one of them may no longer be used so."""
        if _is_meant(equation):
            return False
        again = False
        for key in set(np.ravel(np.asarray(state)).tolist()):
            earlier = self.used.get((key, False))
            if earlier is None and use != "fold":
                earlier = self.used.get((key, True))
            if earlier is not None:
                again = True
                self.note("loop" if earlier[1].key == equation.key else "twice", earlier, (use, equation))
            self.used.setdefault((key, use == "fold"), (use, equation))
            if use == "draw" and self.terms.is_fixed(key):
                self.note("fixed", (use, equation), (use, equation))
        return again

    def note(self, kind: Any, first: tuple[Use, Equation], second: tuple[Use, Equation]) -> None:
        self.found.setdefault((kind, first[1].key, second[1].key), KeyReuse(kind, first, second))

    def draw(self, equation: Equation, states: list[State]) -> list[State]:
        """Random numbers from the keys among the operands: by `random_bits` or by a function of JAX.

        What such a function does with its key is its own affair: some draw in two ways and choose among the results.
        """
        drawn = self.other(equation.eqn, states)
        for var, state in zip(equation.eqn.invars, states, strict=True):
            if is_key(getattr(var.aval, "dtype", None)):
                self.use("draw", equation, state)
                if len(aval(var).shape) < _vmaps(equation) and not _is_meant(equation):
                    self.note("rows", ("draw", equation), ("draw", equation))
                    self.shared.setdefault(equation.key, set()).update(map(self.terms.whole, drawn))
        return drawn

    # Random equations: (equation, states) -> the state of the output.

    def seed(self, equation: Equation, states: list[State]) -> State:
        return self.terms.spread(
            self.terms.of("seed", str(aval(equation.eqn.outvars[0])), [self.terms.whole(states[0])]),
            aval(equation.eqn.outvars[0]),
        )

    def wrap(self, equation: Equation, states: list[State]) -> State:
        out = aval(equation.eqn.outvars[0])
        if not isinstance(states[0], np.ndarray):
            return self.terms.of("key", str(out), [states[0]])
        return self.terms.wrapped(states[0], str(out.dtype), out.shape)

    def unwrap(self, equation: Equation, states: list[State]) -> State:
        words = aval(equation.eqn.outvars[0]).shape[-1]
        if not isinstance(states[0], np.ndarray):
            return self.terms.of("words", (), [states[0]])
        return self.terms.unwrapped(states[0], words)

    def clone(self, equation: Equation, states: list[State]) -> State:
        """`jax.random.clone` says that a key is meant to be used again."""
        return self.terms.spread(self.terms.unknown(), aval(equation.eqn.outvars[0]))

    def split(self, equation: Equation, states: list[State]) -> State:
        again, out = self.use("split", equation, states[0]), aval(equation.eqn.outvars[0])
        if again or not isinstance(states[0], np.ndarray):
            parts = [self.terms.unknown()] if again else [self.terms.whole(states[0])]
            return self.terms.spread(self.terms.of("split", str(out), parts), out)
        return self.terms.split(states[0], equation.eqn.params["shape"], str(out.dtype))

    def fold(self, equation: Equation, states: list[State]) -> State:
        self.use("fold", equation, states[0])
        if all(isinstance(state, np.ndarray) for state in states):
            return self.terms.folded(*states)  # type: ignore[arg-type]
        return self.terms.of("fold", (), [self.terms.whole(state) for state in states])

    # Nested programs: (equation, states) -> the states of the outputs.

    def cond(self, equation: Equation, states: list[State]) -> list[State]:
        """Branches are alternatives: each starts from what was used before."""
        before, after, results = dict(self.used), dict(self.used), []
        for branch in equation.eqn.params["branches"]:
            self.used = dict(before)
            results.append(self.run(branch, states[1:], equation))
            after = {**self.used, **after}
        self.used = after
        return [
            outs[0]
            if all(np.array_equal(outs[0], each) for each in outs)
            else self.terms.spread(
                self.terms.of("cond", (), [self.terms.whole(each) for each in (states[0], *outs)]), var.aval
            )
            for outs, var in zip(zip(*results, strict=True), equation.eqn.outvars, strict=True)
        ]

    def scan(self, equation: Equation, states: list[State]) -> list[State]:
        """Consts, carry and xs are told apart by their ranks, since the names of the parameters change with JAX."""
        eqn, body = equation.eqn, equation.eqn.params["jaxpr"]
        carries = sum(_same_rank(pair) for pair in zip(eqn.outvars, body.jaxpr.outvars, strict=True))
        steps = sum(not _same_rank(pair) for pair in zip(eqn.invars, body.jaxpr.invars, strict=True))
        start = len(states) - steps
        consts, carry, xs = states[: start - carries], states[start - carries : start], states[start:]
        length, reverse = eqn.params["length"], eqn.params["reverse"]
        first = carry
        for iteration in range(min(length, 2)):
            place = length - 1 - iteration if reverse else iteration
            row = [self.row(x, place) for x in xs]
            carry = self.run(body, [*consts, *carry, *row], equation)[:carries]
        return [*self.after(equation, states, first, carry, length > 2), *self.other(eqn, states)[carries:]]

    def loop(self, equation: Equation, states: list[State]) -> list[State]:
        params = equation.eqn.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        carry = states[second:]
        for _ in range(2):
            (again,) = self.run(params["cond_jaxpr"], [*states[:first], *carry], equation)
            decided = self.terms.values(again)
            if decided is not None and not decided.all():
                return list(carry)
            carry = self.run(params["body_jaxpr"], [*states[first:second], *carry], equation)
        return self.after(equation, states, states[second:], carry, True)

    def after(
        self, equation: Equation, states: list[State], first: Sequence[State], last: Sequence[State], longer: bool
    ) -> list[State]:
        """Returns the carry after a loop: what the body hands on as it is, and else what the whole loop gives."""
        if not longer:
            return list(last)
        whole = self.other(equation.eqn, states)
        return [a if np.array_equal(a, b) else c for a, b, c in zip(first, last, whole, strict=False)]

    def row(self, state: State, place: int) -> State:
        return np.asarray(state[place]) if isinstance(state, np.ndarray) else self.terms.of("row", place, [state])


_RANDOM: dict[str, Callable[[_Walk, Equation, list[State]], State]] = {
    "random_seed": _Walk.seed,
    "random_wrap": _Walk.wrap,
    "random_unwrap": _Walk.unwrap,
    "random_clone": _Walk.clone,
    "random_split": _Walk.split,
    "random_fold_in": _Walk.fold,
}
_NESTED: dict[str, Callable[[_Walk, Equation, list[State]], list[State]]] = {
    "cond": _Walk.cond,
    "scan": _Walk.scan,
    "while": _Walk.loop,
}


def _stacks(equation: Equation | None) -> str:
    return "" if equation is None else f"{_stacks(equation.outer)}/{equation.eqn.source_info.name_stack}"


def _is_meant(equation: Equation) -> bool:
    """Returns whether a key is used again by design: in a backward pass, or by the second way in which `jax.random`
    draws from a binomial distribution (it chooses between the two results)."""
    traceback = equation.eqn.source_info.traceback
    other_way = traceback is not None and any(frame.function_name.startswith("_btrs") for frame in traceback.frames)
    return other_way or "transpose(" in _stacks(equation)


def _vmaps(equation: Equation) -> int:
    """Returns how many vmaps an equation was traced in; each adds an axis to what differs between its rows."""
    return _stacks(equation).count("vmap(")


def _takes_keys(eqn: JaxprEqn) -> bool:
    """Returns whether an equation makes something else out of random keys."""
    takes, gives = (any(is_key(getattr(var.aval, "dtype", None)) for var in each) for each in (eqn.invars, eqn.outvars))
    return takes and not gives


def _types(variables: Sequence[Any]) -> list[tuple[Any, str]]:
    return [(getattr(var.aval, "shape", None), str(getattr(var.aval, "dtype", None))) for var in variables]


def _same_rank(pair: tuple[Any, Any]) -> bool:
    return len(pair[0].aval.shape) == len(pair[1].aval.shape)


def _closed(eqn: JaxprEqn, inner: Jaxpr) -> Jaxpr | ClosedJaxpr:
    """Returns a nested jaxpr with its constants, where the equation holds them."""
    return next((each for each in eqn.params.values() if isinstance(each, ClosedJaxpr)), inner)


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str | bool | type(None) | np.dtype) or (
        isinstance(value, tuple) and all(map(_is_plain, value))
    )
