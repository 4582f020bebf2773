"""Programs compiled sooner by XLA's CPU compiler, at the price of running slower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

# Of the default's processor time, XLA's older emitters took 0.50 to compile the nine programs of the digits grid and
# 1.23 to run them: one run of `benchmarks/tuning.py --compilers` with JAX 0.10.2 on two quiet cores. That saves 0.7 s a
# program and costs almost a quarter of its run, so they are for programs that run for less than about three seconds
# of one core.
QUICK = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
}
ONE_CORE = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}  # no loop is cut into parts for several cores
ONCE = {**QUICK, **ONE_CORE, "xla_backend_optimization_level": "0"}  # for what takes milliseconds either way
QUICK_OPERATIONS = 1.5e11


def compiled(lowered: Any, options: Mapping[str, Any] | None = None) -> Any:
    """Returns a lowered program compiled, on a CPU with those options that its compiler knows."""
    known = dict(options or {}) if jax.default_backend() == "cpu" else {}
    while known:
        try:
            return lowered.compile(compiler_options=known)
        except jax.errors.JaxRuntimeError as error:  # another version of XLA has other options
            unknown = next((name for name in known if name in str(error)), None)
            known = {name: value for name, value in known.items() if unknown and name != unknown}
    return lowered.compile()
