"""What to do about the errors that people meet most in JAX, Flax, Haiku, Equinox and Optax: one table."""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """An error, by the name of its class or one of that class's bases, and by words of its message; and its advice."""

    kind: str
    words: str
    advice: str


# The first that fits is told.
RULES = (
    Rule(
        "UnexpectedTracerError",
        "",
        "A traced value was kept in a list, a global or an attribute and used later: return it from the function "
        "instead. vx.debug.purity names where it is kept.",
    ),
    Rule(
        "NonConcreteBooleanIndexError",
        "",
        "A mask that is computed cannot choose how many rows there are: use jnp.where(mask, value, 0), or weights.",
    ),
    Rule(
        "TracerBoolConversionError",
        "",
        "The values of traced arrays are not known: use jnp.where or jax.lax.cond instead of Python's if.",
    ),
    Rule(
        "TracerIntegerConversionError",
        "",
        "The values of traced arrays are not known: a range, shape or index of Python needs a number that does not "
        "come from the arguments; use jax.lax.fori_loop or jnp.take.",
    ),
    Rule(
        "TracerArrayConversionError",
        "",
        "NumPy needs values, and those of traced arrays are not known: use jax.numpy (jnp.sum, not np.sum).",
    ),
    Rule(
        "ConcretizationTypeError",
        "",
        "The values of traced arrays are not known: leave out float(), int(), .item() and shapes that are computed, or "
        "use jnp.where or jax.lax.cond instead of Python's if.",
    ),
    Rule(
        "InvalidRngError",
        "",
        "The module draws random numbers: pass rngs={{'{}': key}} to init and apply; with a vx.Network, key=key.",
    ),
    Rule(
        "ModifyScopeVariableError",
        "",
        "The module updates variables that were passed as read-only: apply(..., mutable=['batch_stats']) gives the new "
        "ones back with the outputs. For evaluation, use_running_average=True.",
    ),
    Rule(
        "ScopeCollectionNotFound",
        "",
        "Pass everything that init gave, {{'params': ..., 'batch_stats': ...}}, and not the params alone.",
    ),
    Rule(
        "ScopeParamShapeError",
        "",
        "The params were made for inputs of another shape: call init with a batch of this shape, or reshape the batch.",
    ),
    Rule("", "(Array|Buffer) has been deleted", "The array was donated to a compiled function: use what that function "
         "gave back, or copy it before with jax.tree.map(jnp.copy, tree)."),
    Rule("", "must pass a non-None PRNGKey|MissingRNGError", "Haiku draws random numbers here: pass a key to "
         "apply(params, key, inputs), not None."),
    Rule("", "requires a key when running", "Pass key= to the module, one for each row under vmap; for evaluation, "
         "eqx.nn.inference_mode(model)."),
    Rule("", "requires the current value of parameters|update_fn.. missing 1 required positional argument: 'params'",
         "Pass the params too: tx.update(grads, opt_state, params)."),
    Rule("ValueError", "pytree structure error|key mismatch|node type mismatch|arity mismatch|Mismatch custom node",
         "Compare the shapes and names of the two trees: grads, opt_state and params must be of one model. After a "
         "change of the model or the optimizer, start with opt_state = tx.init(params)."),
    Rule("TypeError", "contracting dimensions", "Compare the shapes in that line with what was given: in a matrix "
         "product the last axis of the left array is as long as the first of the right one."),
    Rule("", "ncompatible shapes for broadcasting", "Compare the shapes in that line with what was given: two arrays "
         "of unlike shapes are combined; (rows,) against (rows, 1) is mended with x[:, None] or x.squeeze(-1)."),
)  # fmt: skip


def advice_for(error: BaseException) -> str | None:
    """Returns what the table says of an error; None if nothing.

    Example:
      >>> advice_for(RuntimeError("Array has been deleted with shape=float32[3]."))
      'The array was donated to a compiled function: use what that function gave back, or copy it before with ...'
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = f"{type(error).__name__}: {error}"
    for rule in RULES:
        if (not rule.kind or rule.kind in kinds) and re.search(rule.words, text):
            stream = re.search(r'needs PRNG for "(\w+)"', text)
            return rule.advice.format(stream[1] if stream else "dropout")
    return None
