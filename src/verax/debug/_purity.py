"""Does a function depend on anything but its arguments, and does it change anything but what it returns?"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from verax.debug._host_state import changed, holds, host_state
from verax.findings import Finding, Place
from verax.jaxpr import equations, first_difference, same_program

LATER = 86_400.0  # seconds by which the clock is moved
_TRACE = jax.make_user_context(0)  # a new value makes JAX trace compiled functions anew
_CLOCKS = ("time", "monotonic", "perf_counter")
_CALLBACKS = {
    "debug_callback": "calls Python",
    "debug_print": "prints",
    "io_callback": "calls Python, and may change what is outside",
}
_USE_KEYS = "Draw random numbers with jax.random from a key that is an argument."
_RETURN_IT = "Return it, and take it as an argument where it is read."


def purity(fn: Callable[..., Any], *args: Any) -> tuple[Finding, ...]:
    """Returns what `fn(*args)` reads or changes besides its arguments and results.

    JAX runs the Python of a function once, keeps what it recorded, and repeats that: a random number from NumPy, the
    time or a counter is a constant of the compiled program. The function is traced several times and nothing is run:
    the same twice, with Python's and NumPy's global generators reseeded, with the clock moved, and under
    `jax.checking_leaks`. The global generators and the clock are as before afterwards.

    `unseeded-randomness`: the program changes with a random generator. `impure-function`: it changes with the clock or
    with other state, or tracing changes a global, a closed-over variable or an attribute at every trace (what is filled
    once, as a cache, is not reported); with severity `info`, each callback of the program. `tracer-leak`: a traced
    value is kept outside of the function.

    Args:
      fn: any function that JAX can trace; compiled ones are traced anew.
      args: its arguments.

    Example:
      >>> def augmented(x):
      ...     return x + np.random.normal()
      >>> [finding.id for finding in purity(augmented, jnp.ones(3))]
      ['unseeded-randomness']
    """
    with _seeds_and_clock_kept():
        _traced(fn, args, 0)  # fills what is filled once
        before = host_state(fn)
        first = _traced(fn, args, 0)
        after = host_state(fn)
        found = [_changed(name, after[name]) for name in changed(before, after)]
        found += [] if any(each.id == "tracer-leak" for each in found) else _leak(fn, args)
        found += _differences(fn, args, first, {each.id for each in found})
    return (*found, *_callbacks(first))


def assert_pure(fn: Callable[..., Any], *args: Any) -> None:
    """Raises if `fn(*args)` depends on anything but its arguments, or changes anything else; see `purity`.

    Args:
      fn: any function that JAX can trace.
      args: its arguments.

    Raises:
      AssertionError: with all findings but those of severity `info` (callbacks).

    Example:
      >>> assert_pure(lambda x: jnp.sin(x) + 1.0, jnp.ones(3))
    """
    findings = [finding for finding in purity(fn, *args) if finding.severity != "info"]
    if findings:
        raise AssertionError("\n".join(["the function must be pure.", *map(str, findings)]))


def _traced(fn: Callable[..., Any], args: tuple[Any, ...], seed: int) -> ClosedJaxpr:
    """Returns the program as a new trace gives it, the global generators seeded."""
    _count[0] += 1
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the global generator is what is looked for)
    with _TRACE(_count[0]):
        return jax.make_jaxpr(lambda *given: fn(*given))(*args)


_count = [0]


def _differences(
    fn: Callable[..., Any], args: tuple[Any, ...], first: ClosedJaxpr, known: set[str]
) -> Iterator[Finding]:
    """Yields at most one finding: what makes two traces differ."""
    again, reseeded = _traced(fn, args, 0), _traced(fn, args, 1)
    if same_program(first, again):
        if not same_program(first, reseeded):
            yield _differ("unseeded-randomness", "a global random generator", first, reseeded, _USE_KEYS)
            return
        with _clock_moved(LATER):
            later = _traced(fn, args, 0)
        if not same_program(first, later):
            yield _differ("impure-function", "the clock", first, later, "Pass the time in as an argument.")
        return
    if "unseeded-randomness" in known:
        return
    with _new_generators_seeded():
        seeded = same_program(_traced(fn, args, 0), _traced(fn, args, 0))
    if seeded:
        yield _differ("unseeded-randomness", "a generator that is made without a seed", first, again, _USE_KEYS)
        return
    with _clock_moved(None):
        stopped = same_program(_traced(fn, args, 0), _traced(fn, args, 0))
    if stopped:
        yield _differ("impure-function", "the clock", first, again, "Pass the time in as an argument.")
    else:
        yield _differ("impure-function", "state outside of it", first, again, "Pass state in as an argument.")


def _differ(name: str, cause: str, first: ClosedJaxpr, second: ClosedJaxpr, advice: str) -> Finding:
    difference = first_difference(first, second)
    where: Place | None = None
    numbers = ""
    if difference:
        equation, how = difference
        where, numbers = equation.place.span, f": {how}, in {equation.place}"
    return Finding(name, "error", f"the program changes with {cause}{numbers}.", advice, where)


def _changed(name: str, value: Any) -> Finding:
    if holds(value, "tracer"):
        return Finding("tracer-leak", "error", f"tracing leaves a traced value in {name}.", _RETURN_IT)
    if holds(value, "generator"):
        return Finding("unseeded-randomness", "error", f"tracing draws from the generator in {name}.", _USE_KEYS)
    message = f"tracing changes {name}, which happens when JAX traces and not when the compiled program runs."
    return Finding("impure-function", "warning", message, _RETURN_IT)


def _leak(fn: Callable[..., Any], args: tuple[Any, ...]) -> list[Finding]:
    """Returns a finding if a traced value is alive after a trace, with what refers to it."""
    try:
        with jax.checking_leaks():
            _traced(fn, args, 0)
    except Exception as error:
        if not str(error).startswith("Leaked trace"):
            raise
        message = f"a traced value is kept {_holder(str(error))} after the function has returned."
        return [Finding("tracer-leak", "error", message, _RETURN_IT)]
    return []


def _holder(message: str) -> str:
    """Returns what JAX's message says of who holds a leaked value: `in train.history`, `in Layer.hidden`."""
    holders = [line.rpartition(" is referred to by ")[2] for line in message.splitlines() if " referred to by " in line]
    names = [each for each in holders if re.fullmatch(r"[\w.]+", each)]
    attributes = [re.fullmatch(r"<(\w+) \d+>\.(\w+)", each) for each in holders]
    names += [f"{each[1]}.{each[2]}" for each in attributes if each]
    return f"in {names[0]}" if names else "outside"


def _callbacks(program: ClosedJaxpr) -> list[Finding]:
    found = [each for each in equations(program) if each.eqn.primitive.name in _CALLBACKS]
    return [
        Finding(
            "impure-function",
            "info",
            f"{each.eqn.primitive.name} in {each.place} {_CALLBACKS[each.eqn.primitive.name]} at every run.",
            "",
            each.place.span,
        )
        for each in found
    ]


@contextmanager
def _seeds_and_clock_kept() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _clock_moved(by: float | None) -> Iterator[None]:
    """Moves the clock of `time` within the context; None stops it."""
    with ExitStack() as stack:
        for name in (*_CLOCKS, *(f"{each}_ns" for each in _CLOCKS)):
            stack.enter_context(mock.patch.object(time, name, _moved(getattr(time, name), by, name.endswith("_ns"))))
        yield


def _moved(clock: Callable[[], Any], by: float | None, nanoseconds: bool) -> Callable[[], Any]:
    unit = 10**9 if nanoseconds else 1
    return (lambda: unit) if by is None else (lambda: clock() + int(by) * unit)


@contextmanager
def _new_generators_seeded() -> Iterator[None]:
    """Seeds the generators that are made without a seed within the context."""
    real = np.random.default_rng
    with mock.patch.object(np.random, "default_rng", lambda seed=None: real(0 if seed is None else seed)):
        yield
