"""VX106: random numbers of the host in a traced function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._rule import Found, rule
from verax.lint._traced import transforms_around

GENERATORS = (
    "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.Generator", "random.Random",
    "random.SystemRandom",
)  # fmt: skip
NOT_DRAWS = frozenset(
    (
        "SeedSequence", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64", "BitGenerator", "seed", "get_state",
        "set_state",
        "getstate", "setstate", "spawn", "bit_generator",
    )
)  # fmt: skip


@rule("VX106", "host-random-in-traced", "error")
def host_random_in_traced(module: Module) -> Iterator[Found]:
    """A draw by `numpy.random` or Python's `random` in a function that JAX traces.

    Python runs once, while JAX traces; the number drawn then is a constant of the compiled program, the same at
    every call.

    Bad:

        @jax.jit
        def augment(x):
            return x + np.random.normal(size=x.shape)

    Good:

        @jax.jit
        def augment(key, x):
            return x + random.normal(key, x.shape)

    Draws from a generator made by `np.random.default_rng` count where that is seen. Functions given to `pure_callback`
    and `io_callback` run on the host and may draw there. There is no fix, as a key is needed. What is not seen:
    draws in helpers that a traced function calls.
    """
    for call in module.nodes(ast.Call):
        drawn = _drawn(module, call)
        if drawn is None:
            continue
        around = transforms_around(module, call)
        if around:
            function, transform = around[0]
            shown = f"`{function.name}`" if not isinstance(function, ast.Lambda) else "the lambda"
            message = (
                f"{drawn} runs once, while {transform.name} traces {shown}, and its number becomes a constant; "
                "use jax.random with a key that is an argument."
            )
            yield Found(call, message)


def _drawn(module: Module, call: ast.Call) -> str | None:
    """Returns what a call draws with; None where it draws nothing on the host."""
    name = module.dotted(call.func)
    if name is not None:
        base, _, last = name.rpartition(".")
        if base in ("numpy.random", "random") and last not in NOT_DRAWS and name not in GENERATORS:
            return name
        return None
    if isinstance(call.func, ast.Attribute) and call.func.attr not in NOT_DRAWS:
        owner = call.func.value
        made = module.called(module.value(owner) if isinstance(owner, ast.Name) else owner)
        if made in GENERATORS:
            return f"a generator of {made}"
    return None
