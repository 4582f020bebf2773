"""Why a function is compiled again: which leaf of its arguments changed, and what to do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verax.debug._compilations import compilations
from verax.debug._signature import Change, Signature, changes, is_traced, signature
from verax.findings import Finding

LIMIT = 3  # programs that one function may need by right: the first step, the last batch, evaluation


@dataclass(frozen=True)
class Trace:
    """A call for which a function was traced, and compiled.

    Attributes:
      call: which call it was, from 1.
      signature: the arguments.
      changes: what differs from the nearest earlier arguments; empty at the first.
      seconds: of tracing and compiling, as JAX reports them.
    """

    call: int
    signature: Signature
    changes: tuple[Change, ...]
    seconds: float

    def __str__(self) -> str:
        why = "; ".join(map(str, self.changes[:3])) + ("; ..." if len(self.changes) > 3 else "")
        first = "the first call" if self.call == 1 else NOTHING_CHANGED
        return f"call {self.call} ({self.seconds:.2f} s): {why or first}"


NOTHING_CHANGED = (
    "the same arguments; the function itself is new (jax.jit of a lambda or a partial in the loop), its cache was "
    "cleared, a global setting changed, or a static argument has no __hash__ and __eq__ that tell equal ones"
)


class Explained:
    """A function that remembers for which arguments it was traced. Called, it is the function; printed, the report.

    Attributes:
      traces: each call for which it was traced.
      calls: how often it was called.
    """

    def __init__(self, fn: Callable[..., Any], limit: int, raises: bool = False):
        self._fn, self._limit, self._raises = fn, limit, raises
        self.traces: list[Trace] = []
        self.calls = 0
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        self.calls += 1
        given = signature(args, kwargs)
        with compilations(explain=False) as compiled:
            result = self._fn(*args, **kwargs)
        name = getattr(self._fn, "__name__", "")
        own = [each for each in compiled.programs if each.name == name]
        new = all(given.key != trace.signature.key for trace in self.traces)
        if own or is_traced((args, kwargs)) or (new and not self._is_compiled):
            nearest = min((changes(trace.signature, given) for trace in self.traces), key=len, default=[])
            self.traces.append(Trace(self.calls, given, tuple(nearest), sum((each.seconds for each in own), 0.0)))
            if self._raises and len(self.traces) > self._limit:
                raise AssertionError(str(self))
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_fn"], name)

    def __enter__(self) -> Explained:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    @property
    def _is_compiled(self) -> bool:
        return hasattr(self._fn, "lower")

    @property
    def seconds(self) -> float:
        """Seconds of tracing and compiling over all calls."""
        return sum((trace.seconds for trace in self.traces), 0.0)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One finding `recompilation`, if there are more programs than the limit allows."""
        if len(self.traces) <= self._limit:
            return ()
        again = self.traces[1:]
        advice = dict.fromkeys(change.advice for trace in again for change in trace.changes)
        message = (
            f"{self._name} was traced {len(self.traces)} times in {self.calls} calls, {self._limit} are allowed; "
            f"{self.seconds:.2f} s. The last time, call {again[-1].call}: "
            f"{'; '.join(map(str, again[-1].changes[:3])) or NOTHING_CHANGED}."
            if again
            else f"{self._name} was traced in call 1, and no trace is allowed."
        )
        return (Finding("recompilation", "warning", message, " ".join(advice)),)

    @property
    def _name(self) -> str:
        return getattr(self._fn, "__qualname__", type(self._fn).__name__)

    def __str__(self) -> str:
        traced = f"{self._name}: traced {len(self.traces)} times in {self.calls} calls, {self.seconds:.2f} s"
        return os.linesep.join([traced, *(f"  {trace}" for trace in self.traces), *map(str, self.findings)])


def explain_recompilation(fn: Callable[..., Any], *, limit: int = LIMIT) -> Explained:
    """Returns the function, remembering for which arguments it was compiled and what had changed.

    Use it in place of the function; `print` it when you want to know. Of a compiled function, what JAX reports as
    traced is counted; of a plain one, each new signature.

    Args:
      fn: a function, plain or compiled.
      limit: how many programs are right; more are a finding. The default leaves room for a step's first arguments, the
        last batch, and evaluation.

    Example:
      >>> step = explain_recompilation(jax.jit(lambda x: x * 2), limit=1)
      >>> for rows in (32, 32, 20):
      ...     batch = step(jnp.ones((rows, 8)))
      >>> step.traces[1].changes[0].path, step.traces[1].changes[0].before, step.traces[1].changes[0].after
      ('argument 0', 'float32[32,8]', 'float32[20,8]')
      >>> step.findings[0].id
      'recompilation'
    """
    return Explained(fn, limit)


def assert_max_traces(fn: Callable[..., Any] | None = None, n: int = 1) -> Any:
    """Returns the function; a call that traces it for more than `n` different arguments raises, and says why.

    As a decorator, `@vx.assert_max_traces(n=2)`, or as a context: `with vx.assert_max_traces(step, 2) as step:`. Below
    `jax.jit` it counts as well: there, every call is a trace.

    Args:
      fn: a function, plain or compiled; None to decorate one.
      n: how many traces are right.

    Raises:
      AssertionError: from the call that is one too many, with the explanation.

    Example:
      >>> step = assert_max_traces(jax.jit(lambda x: x + 1), 1)
      >>> step(jnp.ones(2)), step(1.0)
      Traceback (most recent call last):
      AssertionError: <lambda>: traced 2 times in 2 calls, ...
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}.")
    if fn is None:
        return functools.partial(assert_max_traces, n=n)
    return Explained(fn, n, raises=True)
