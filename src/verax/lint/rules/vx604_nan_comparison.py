"""VX604: nothing equals NaN."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import certain, spelled
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

NAN = (
    "jax.numpy.nan", "jax.numpy.NaN", "jax.numpy.NAN", "numpy.nan", "numpy.NaN", "numpy.NAN", "math.nan", "cmath.nan",
)  # fmt: skip
SPELLED = ("nan", "+nan", "-nan")
NUMBERS = ("float", "float16", "bfloat16", "float32", "float64", "array", "asarray", "float_")
EQUAL = {
    "jax.numpy.equal": "false", "numpy.equal": "false", "jax.numpy.not_equal": "true", "numpy.not_equal": "true",
    "operator.eq": "false", "operator.ne": "true", "jax.lax.eq": "false", "jax.lax.ne": "true",
}  # fmt: skip


@rule("VX604", "nan-comparison", "error")
def nan_comparison(module: Module) -> Iterator[Found]:
    """A comparison with NaN, which is unequal to everything, itself included.

    `x == nan` is always false and `x != nan` always true, so the check never fires. In a container `in` finds the very
    same object alone, which the result of a computation never is.

    Bad:

        if jnp.any(x == jnp.nan): ...

    Good:

        if jnp.any(jnp.isnan(x)): ...

    The fix is safe where a library's own NaN is compared. What is not seen: NaN that another function returns.
    """
    for node in module.nodes(ast.Compare):
        sides = [node.left, *node.comparators]
        for place, operator in enumerate(node.ops):
            one, other = sides[place], sides[place + 1]
            if isinstance(operator, ast.In | ast.NotIn):
                if _is_nan(module, one) or _holds_nan(module, other):
                    yield Found(node, "NaN equals nothing, so `in` does not find it. Use isnan on the elements.")
            elif isinstance(operator, ast.Eq | ast.NotEq) and (_is_nan(module, one) or _is_nan(module, other)):
                always = "false" if isinstance(operator, ast.Eq) else "true"
                message = f"this comparison with NaN is always {always}. Use isnan."
                yield Found(node, message, _fix(module, node, one, other) if len(node.ops) == 1 else None)
    for call in module.nodes(ast.Call):
        always = EQUAL.get(module.dotted(call.func) or "") if len(call.args) == 2 else None
        if always is not None and any(_is_nan(module, each) for each in call.args):
            yield Found(call, f"this comparison with NaN is always {always}. Use isnan.")
    for pattern in module.nodes(ast.MatchValue):
        if _is_nan(module, pattern.value):
            yield Found(pattern, "NaN equals nothing, so this case never matches. Use isnan in a guard.")


def _is_nan(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    if not isinstance(node, ast.Name | ast.Attribute | ast.Call):
        return False
    if module.dotted(node) in NAN:
        return True
    if isinstance(node, ast.Name):
        value = certain(module, node)
        return isinstance(value, ast.Attribute | ast.Call) and _is_nan(module, value)
    if isinstance(node, ast.Call) and len(node.args) == 1:
        if (module.dotted(node.func) or "").rpartition(".")[2] not in NUMBERS:
            return False
        given = node.args[0]
        if isinstance(given, ast.Constant):
            return isinstance(given.value, str) and given.value.strip().lower() in SPELLED
        return isinstance(given, ast.Name | ast.Attribute) and module.dotted(given) in NAN
    return False


def _holds_nan(module: Module, node: ast.expr) -> bool:
    """Returns whether an expression is a display of which NaN is an element."""
    node = certain(module, node)
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and any(_is_nan(module, each) for each in node.elts)


def _fix(module: Module, node: ast.Compare, one: ast.expr, other: ast.expr) -> Fix | None:
    nan, value = (one, other) if _is_nan(module, one) else (other, one)
    if _is_nan(module, value):
        return None
    negated = "~" if isinstance(node.ops[0], ast.NotEq) else ""
    origin = module.dotted(nan) or ""
    library = spelled(module, "jax.numpy", node)
    if origin.startswith("math.") or library is None:
        if not isinstance(nan, ast.Attribute):
            return None
        library = module.source(nan.value)
        negated = "not " if negated and origin.startswith("math.") else negated
    new = f"{negated}{library}.isnan({module.source(value)})"
    return Fix(f"Replace by {new}", (module.replaced(node, new),), safe=not origin.startswith("math."))
