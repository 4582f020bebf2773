"""VX510: an optimiser that reads the parameters is not given them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._edits import added_argument
from verax.lint._module import Module, argument, has_stars
from verax.lint._optimizers import needs_params, optimizer_parts, update_of
from verax.lint._reaching import inner_nodes
from verax.lint._report import Fix
from verax.lint._rule import Found, rule


@rule("VX510", "update-without-params", "error")
def update_without_params(module: Module) -> Iterator[Found]:
    """`update(grads, opt_state)` of an optimiser that needs the parameters, as all with weight decay do.

    Optax raises "You are using a transformation that requires the current value of parameters".

    Bad:

        optimizer = optax.adamw(1e-3)
        updates, opt_state = optimizer.update(grads, opt_state)

    Good:

        updates, opt_state = optimizer.update(grads, opt_state, params)

    The fix adds the parameters that `apply_updates` is given in the same function; it is not safe, as they may have
    changed before. What is not seen: optimisers that come as an argument.
    """
    for call in module.nodes(ast.Call):
        optimizer = _updated(module, call)
        if optimizer is None:
            continue
        parts = optimizer_parts(module, optimizer) or []
        needy = next((each for each in parts if needs_params(module, each)), None)
        if needy is not None:
            short = needy.name.removeprefix("optax.")
            message = f"{short} needs the parameters, and update gets none: Optax will raise. Pass them third."
            yield Found(call, message, _fix(module, call))


def _updated(module: Module, call: ast.Call) -> ast.expr | None:
    """Returns the optimiser whose `update` gets gradients and state, but no parameters."""
    if has_stars(call) or not 2 <= len(call.args) + len(call.keywords) <= 4:
        return None
    params = argument(call, 2, "params")
    if params is not None and not (isinstance(params, ast.Constant) and params.value is None):
        return None
    if argument(call, 0, "updates", "grads") is None or argument(call, 1, "state") is None:
        return None
    return update_of(module, call)


def _fix(module: Module, call: ast.Call) -> Fix | None:
    function = module.function(call)
    if function is None or len(call.args) != 2 or call.keywords:
        return None
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    for each in [node for one in body for node in inner_nodes(one)]:
        if isinstance(each, ast.Call) and module.dotted(each.func) in ("optax.apply_updates", "equinox.apply_updates"):
            params = argument(each, 0, "params")
            if isinstance(params, ast.Name | ast.Attribute) and each.lineno >= call.lineno:
                text = module.source(params)
                return Fix(f"Pass {text}", (added_argument(module, call, text),), safe=False)
    return None
