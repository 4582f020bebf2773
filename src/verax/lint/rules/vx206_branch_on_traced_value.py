"""VX206: Python cannot branch on what has no value yet."""

from __future__ import annotations

from collections.abc import Iterator

from verax.lint._branches import branches
from verax.lint._module import Module
from verax.lint._rule import Found, rule

ADVICE = {
    "if": "Use jnp.where or jax.lax.cond",
    "while": "Use jax.lax.while_loop",
    "assert": "Use jax.experimental.checkify, or check before the call",
    "conditional": "Use jnp.where or jax.lax.select",
    "comprehension": "Use jnp.where",
    "and/or": "Use jnp.logical_and and jnp.logical_or, or & and |",
    "not": "Use jnp.logical_not, or ~",
    "comparison": "Python joins a chain of comparisons with `and`; write (a < b) & (b < c)",
    "match": "Use jax.lax.switch",
    "max/min": "Use jnp.maximum and jnp.minimum",
}


@rule("VX206", "branch-on-traced-value", "error")
def branch_on_traced_value(module: Module) -> Iterator[Found]:
    """Python control flow that depends on a traced value.

    Under `jit`, `vmap`, `scan` and the like an array has a shape and a dtype but no value while Python runs, so `if`,
    `while`, `assert`, `and`, `or`, `not`, the conditional expression, a chain of comparisons, and `max` and
    `min` of Python raise TracerBoolConversionError. (Under `grad` alone values are there, and nothing is reported.)

    Bad:

        @jax.jit
        def relu(x):
            if x > 0:
                return x
            return 0.0

    Good:

        @jax.jit
        def relu(x):
            return jnp.where(x > 0, x, 0.0)

    Shapes, dtypes, `is None`, `isinstance`, static arguments and whether a key is in a dictionary are Python values and
    fine to branch on. There is no fix. What is not seen: the truth of a bare argument that may be a tuple or a
    dictionary, values from functions of other files, and helpers that are only called from traced functions.
    """
    for branch in branches(module):
        if not branch.flags:
            text = " ".join(module.source(branch.test).split())
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            if branch.kind == "max/min":
                message = f"`{shown}` asks which traced value is larger, which raises under jit. {ADVICE[branch.kind]}."
                yield Found(branch.test, message)
                continue
            what = "compares with" if branch.kind == "match" else "asks for the truth of"
            message = f"this {what} `{shown}`, a traced value, which raises under jit. {ADVICE[branch.kind]}."
            yield Found(branch.test, message)
