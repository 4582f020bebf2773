"""How long compilation takes, program by program, as JAX itself reports it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

TRACING = "/jax/core/compile/jaxpr_trace_duration"
LOWERING = "/jax/core/compile/jaxpr_to_mlir_module_duration"
COMPILING = "/jax/core/compile/backend_compile_duration"


class ProgramTime(NamedTuple):
    """The seconds that a program takes before its first step.

    Attributes:
      name: of the function that was compiled; `others` for all that stay below a tenth of a second.
      tracing: seconds in Python, from the function to its jaxpr.
      lowering: seconds from the jaxpr to the text that XLA takes.
      compiling: seconds in XLA.
      programs: how many these are.
    """

    name: str
    tracing: float
    lowering: float
    compiling: float
    programs: int = 1


@contextmanager
def compile_times() -> Iterator[dict[str, ProgramTime]]:
    """Yields a dict that fills with what is compiled, by name, complete at the end; nothing comes from a cache on disk.

    Programs that are compiled at the same time overlap, so their seconds do not add up to those that passed.
    """
    seen: list[tuple[str, str, float]] = []

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event in (TRACING, LOWERING, COMPILING):
            name = str(details.get("fun_name", "?"))
            seen.append((event, name[4:-1] if name.startswith("jit(") else name, duration_secs))

    was_enabled = jax.config.values["jax_enable_compilation_cache"]
    found: dict[str, ProgramTime] = {}
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX decides once whether it uses one
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        jax.config.update("jax_enable_compilation_cache", was_enabled)
        compilation_cache.reset_cache()
    found.update(_by_name(seen))


def _by_name(seen: list[tuple[str, str, float]]) -> dict[str, ProgramTime]:
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    count: dict[str, int] = defaultdict(int)
    for event, name, each in seen:
        seconds[name][event] += each
        count[name] += event == COMPILING
    rows = [
        ProgramTime(name, parts[TRACING], parts[LOWERING], parts[COMPILING], count[name])
        for name, parts in seconds.items()
        if count[name]
    ]
    large = [row for row in rows if row.tracing + row.lowering + row.compiling >= 0.1]
    small = [row for row in rows if row not in large]
    if small:
        tracing = sum(row.tracing for row in small)
        lowering, compiling = sum(row.lowering for row in small), sum(row.compiling for row in small)
        large.append(ProgramTime("others", tracing, lowering, compiling, sum(row.programs for row in small)))
    return {row.name: row for row in sorted(large, key=lambda row: (row.name == "others", -row.compiling))}
