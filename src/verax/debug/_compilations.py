"""Everything that is compiled within a context, with JAX's own account of why."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import jax

from verax.debug._profile_compile import COMPILING, LOWERING, TRACING
from verax.findings import Finding

LIMIT = 3  # programs of one name that are right
_MISS = "TRACING CACHE MISS at "
_REDEFINED = "another function defined on the same line"


class Program(NamedTuple):
    """A function that was traced, lowered or compiled.

    Attributes:
      name: of the function.
      seconds: of all three.
      why: what JAX says of why it had not been traced before; empty if it says nothing.
    """

    name: str
    seconds: float
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.seconds:.2f} s)" + (f": {self.why}" if self.why else "")


@dataclass
class Compilations:
    """What was compiled, in order; complete when the context ends."""

    programs: list[Program] = field(default_factory=list)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """A finding `recompilation` for each name that was traced more than 3 times."""
        return tuple(
            _finding(name, [each for each in self.programs if each.name == name])
            for name, times in Counter(each.name for each in self.programs).items()
            if times > LIMIT
        )

    def __str__(self) -> str:
        return os.linesep.join(map(str, [*self.programs, *self.findings]))


@contextmanager
def compilations(*, explain: bool = True) -> Iterator[Compilations]:
    """Yields a list of the functions that this thread traces within the context, filled when it ends.

    Also found is what no wrapper of one function can see: `jax.jit(lambda ...)` in a loop, a module that is rebuilt.

    Args:
      explain: ask JAX why (`jax.explain_cache_misses`); its words are kept in `Program.why` rather than logged.

    Example:
      >>> with compilations() as compiled:
      ...     for scale in (1.0, 2.0, 3.0, 4.0):
      ...         result = jax.jit(lambda x: x * scale)(jnp.ones(3))
      >>> [finding.id for finding in compiled.findings]
      ['recompilation']
    """
    found, thread = Compilations(), threading.get_ident()
    seen: list[list[object]] = []
    reasons: list[tuple[str, str]] = []

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event not in (TRACING, LOWERING, COMPILING) or threading.get_ident() != thread:
            return
        name = str(details.get("fun_name", "?"))
        name = name[4:-1] if name.startswith("jit(") else name
        if event == TRACING:
            seen.append([name, duration_secs])
            return
        for row in reversed(seen):
            if row[0] == name:
                row[1] += duration_secs  # type: ignore[operator]
                return

    listener = _Listener(reasons)
    logger = logging.getLogger("jax._src.interpreters.partial_eval")
    propagates = logger.propagate
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        if explain:
            logger.addHandler(listener)
            logger.propagate = False
            with jax.explain_cache_misses(True):
                yield found
        else:
            yield found
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates
        jax.monitoring.unregister_event_duration_listener(listen)
        for name, seconds in seen:
            why = next((each for each in reasons if each[0] == name), ("", ""))
            if why in reasons:
                reasons.remove(why)
            found.programs.append(Program(str(name), float(seconds), why[1]))  # type: ignore[arg-type]


class _Listener(logging.Handler):
    """Keeps what JAX says of functions that it has to trace: name and reason."""

    def __init__(self, reasons: list[tuple[str, str]]):
        super().__init__()
        self.reasons = reasons

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not message.startswith(_MISS):
            return
        body = " ".join(message.partition("\n")[2].split())
        name = re.search(r"(?:for|never seen function:) (\S+) ", f"{body} ")
        self.reasons.append((name[1] if name else "", body))


def _finding(name: str, programs: list[Program]) -> Finding:
    seconds, last = sum(each.seconds for each in programs), programs[-1].why
    message = f"{name} was traced {len(programs)} times, {seconds:.2f} s."
    if any(_REDEFINED in each.why for each in programs):
        advice = "It is defined anew each time: define and jit it once, outside of the loop, and pass what changes."
    else:
        advice = "Wrap it in vx.explain_recompilation to see which argument changes."
    return Finding("recompilation", "warning", message + (f" The last time: {last}." if last else ""), advice)
