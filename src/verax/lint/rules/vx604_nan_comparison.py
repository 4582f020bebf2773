"""VX604: nothing equals NaN."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

NAN = ("jax.numpy.nan", "jax.numpy.NaN", "numpy.nan", "numpy.NaN", "numpy.NAN", "math.nan")
SPELLED = ("nan", "+nan", "-nan")


@rule("VX604", "nan-comparison", "error")
def nan_comparison(module: Module) -> Iterator[Found]:
    """A comparison with NaN, which is unequal to everything, itself included.

    `x == nan` is always false and `x != nan` always true, so the check never fires.

    Bad:

        if jnp.any(x == jnp.nan): ...

    Good:

        if jnp.any(jnp.isnan(x)): ...

    The fix is safe where one side is NaN and its library has `isnan`. What is not seen: NaN in a variable.
    """
    for node in module.nodes(ast.Compare):
        sides = [node.left, *node.comparators]
        for place, operator in enumerate(node.ops):
            one, other = sides[place], sides[place + 1]
            if isinstance(operator, ast.In | ast.NotIn):
                if _is_nan(module, one):
                    yield Found(node, "NaN equals nothing, so it is found in no container. Use isnan on its elements.")
            elif isinstance(operator, ast.Eq | ast.NotEq) and (_is_nan(module, one) or _is_nan(module, other)):
                always = "false" if isinstance(operator, ast.Eq) else "true"
                message = f"this comparison with NaN is always {always}. Use isnan."
                yield Found(node, message, _fix(module, node, one, other) if len(node.ops) == 1 else None)


def _is_nan(module: Module, node: ast.expr) -> bool:
    if module.called(node) == "builtins.float" and isinstance(node, ast.Call) and len(node.args) == 1:
        given = node.args[0]
        return isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value.lower() in SPELLED
    return module.dotted(node) in NAN


def _fix(module: Module, node: ast.Compare, one: ast.expr, other: ast.expr) -> Fix | None:
    nan, value = (one, other) if _is_nan(module, one) else (other, one)
    if not isinstance(nan, ast.Attribute) or _is_nan(module, value):
        return None
    negated = "~" if isinstance(node.ops[0], ast.NotEq) else ""
    if negated and (module.dotted(nan) or "").startswith("math."):
        negated = "not "
    new = f"{negated}{module.source(nan.value)}.isnan({module.source(value)})"
    return Fix(f"Replace by {new}", (module.replaced(node, new),), safe=True)
