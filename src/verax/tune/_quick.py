"""Programs compiled sooner by XLA's CPU compiler, at the price of running slower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

# XLA's older emitters compile a small CPU program in 60 % of the time and run it 1.5 times as long, so they are for
# programs that run for less than about two seconds of one core (`benchmarks/tuning.py --compilers`).
QUICK = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
}
ONCE = {**QUICK, "xla_backend_optimization_level": "0"}  # for what takes milliseconds either way
QUICK_OPERATIONS = 6e10


def compiled(lowered: Any, options: Mapping[str, Any] | None = None) -> Any:
    """Returns a lowered program compiled, on a CPU with options of its compiler."""
    if not options or jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(compiler_options=dict(options))
    except jax.errors.JaxRuntimeError:  # another version of XLA may not know them
        return lowered.compile()
