"""VX602: `where` hides a NaN from the value and not from the gradient."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument
from verax.lint._reaching import certain, inner_nodes, is_same, words
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._transforms import EAGER

WHERE = {"jax.numpy.where": ("condition", "x", "y"), "jax.lax.select": ("pred", "on_true", "on_false")}
# What is finite or differentiable on one side only: which side of its bound that is.
ABOVE = {"log", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "arccosh", "acosh"}
WITHIN = {"arccos", "arcsin", "arctanh", "acos", "asin", "atanh"}
DIVIDE = ("jax.numpy.divide", "jax.numpy.true_divide", "jax.lax.div")
POWER = ("jax.numpy.power", "jax.numpy.float_power", "jax.numpy.pow", "jax.lax.pow")
COMPARISONS: dict[str, ast.cmpop] = {
    "greater": ast.Gt(), "greater_equal": ast.GtE(), "less": ast.Lt(), "less_equal": ast.LtE(), "equal": ast.Eq(),
    "not_equal": ast.NotEq(),
}  # fmt: skip
GUARDING = {
    "where", "maximum", "clip", "exp", "softplus", "arange", "linspace", "len", "int", "float",
    "select", "stop_gradient", "count_nonzero", "size", "iota", "minimum", "nan_to_num", "broadcasted_iota",
}  # fmt: skip
SMALL = {"eps", "epsilon", "tol", "tolerance", "tiny", "small", "min", "threshold", "zero", "atol", "finfo"}
COUNTS = {"num", "n", "count", "counts", "size", "sizes", "dims", "length", "lengths", "steps", "step"}
LIBRARIES = ("jax", "numpy", "builtins", "math")
GRADIENTS = {*EAGER, "jax.jacfwd", "jax.jacrev", "jax.hessian", "jax.jacobian", "jax.linearize"}
SIZES = ("jax.numpy.abs", "jax.numpy.absolute", "builtins.abs", "jax.numpy.fabs", "jax.lax.abs")


@rule("VX602", "unsafe-where-gradient", "warning")
def unsafe_where_gradient(module: Module) -> Iterator[Found]:
    """`where(x > 0, log(x), 0)`: the branch that is not taken is computed too, and its gradient is NaN.

    The value is right. Backwards the other branch gets a zero for its share, and zero times the infinite slope of
    `log`, `sqrt` or a division is NaN.

    Bad:

        jnp.where(x > 0, jnp.log(x), 0.0)

    Good:

        jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), 0.0)

    The fix is the inner `where`; it is marked unsafe only because it is one more operation. It is a note where nothing
    in the file is differentiated. What is not seen: guards in other functions, and conditions that are not comparisons.
    """
    level = None if any(module.dotted(each.func) in GRADIENTS for each in module.nodes(ast.Call)) else "note"
    for call in module.nodes(ast.Call):
        names = WHERE.get(module.dotted(call.func) or "")
        if names is None:
            continue
        parts = [argument(call, place, name) for place, name in enumerate(names)]
        condition = parts[0]
        if condition is None or parts[1] is None or parts[2] is None:
            continue
        for taken, branch in ((True, parts[1]), (False, parts[2])):
            assert branch is not None
            guards = list(_guards(module, condition, taken))
            found = None if not guards else _unsafe(module, branch, guards)
            if found is not None:
                guarded, what = found
                text = module.source(guarded)
                message = f"the gradient of {what} is NaN where this `where` does not take it. "
                message += f"Put a safe value in place of {text} there first, by another `where`."
                yield Found(call, message, _fix(module, call, condition, guarded, taken, what), level)
                break


def _guards(module: Module, node: ast.expr, taken: bool) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    """Yields comparisons that hold where a branch is taken: what is compared, how (`>`, `<`, `!=`), with what."""
    node = certain(module, node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert | ast.Not):
        yield from _guards(module, node.operand, not taken)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd if taken else ast.BitOr):
        yield from _guards(module, node.left, taken)
        yield from _guards(module, node.right, taken)
    elif isinstance(node, ast.Call):
        name = module.dotted(node.func) or ""
        short = name.rpartition(".")[2]
        if not name.startswith("jax.numpy."):
            return
        if short == "logical_not" and len(node.args) == 1:
            yield from _guards(module, node.args[0], not taken)
        elif short == ("logical_and" if taken else "logical_or"):
            for each in node.args:
                yield from _guards(module, each, taken)
        elif short == "isclose" and not taken and len(node.args) >= 2:
            yield node.args[0], "!=", node.args[1]
        elif short in COMPARISONS and len(node.args) == 2:
            yield from _comparison(node.args[0], COMPARISONS[short], node.args[1], taken)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _comparison(node.left, node.ops[0], node.comparators[0], taken)
    elif isinstance(node, ast.Compare) and taken:
        sides = [node.left, *node.comparators]
        for place, operator in enumerate(node.ops):
            yield from _comparison(sides[place], operator, sides[place + 1], taken)


def _comparison(
    one: ast.expr, operator: ast.cmpop, other: ast.expr, taken: bool
) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    if isinstance(operator, ast.Gt | ast.GtE):
        kind = ">" if taken else "<"
    elif isinstance(operator, ast.Lt | ast.LtE):
        kind = "<" if taken else ">"
    elif isinstance(operator, ast.NotEq if taken else ast.Eq):
        kind = "!="
    else:
        return
    yield one, kind, other
    yield other, {">": "<", "<": ">", "!=": "!="}[kind], one


def _unsafe(
    module: Module, branch: ast.expr, guards: list[tuple[ast.expr, str, ast.expr]]
) -> tuple[ast.expr, str] | None:
    """Returns what a branch applies an unsafe function to, that only a guard keeps in its domain, and the function."""
    branch = certain(module, branch)
    for each in inner_nodes(branch):
        given, what, side = None, "", ">"
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Div) and _is_of_counts(module, each):
            continue
        if isinstance(each, ast.Call):
            name = module.dotted(each.func) or ""
            if name in WHERE:
                return None  # safe values are put in here
            short = name.rpartition(".")[2]
            if name.startswith(("jax.numpy.", "jax.lax.")) and len(each.args) == 1:
                given, what = (each.args[0], short) if short in ABOVE or short in WITHIN else (None, "")
                side = "<" if short in WITHIN else ">"
            elif name in DIVIDE and len(each.args) == 2:
                given, what, side = each.args[1], "the division", "!="
            elif name in POWER and len(each.args) == 2 and _is_singular(module, each.args[1]):
                given, what = each.args[0], "the power"
        elif isinstance(each, ast.BinOp) and isinstance(each.op, ast.Div):
            given, what, side = each.right, "the division", "!="
        elif isinstance(each, ast.BinOp) and isinstance(each.op, ast.Pow) and _is_singular(module, each.right):
            given, what = each.left, "the power"
        if given is None:
            continue
        for one, kind, other in guards:
            if _is_guarded(module, given, side, one, kind, other):
                return given, what
    return None


def _is_of_counts(module: Module, node: ast.expr) -> bool:
    """Returns whether all names in an expression are of whole numbers, by which nothing is differentiated."""
    names = {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute) and (module.dotted(each) or "").partition(".")[0] not in LIBRARIES
    }
    return bool(names) and all(COUNTS & set(words(name)) for name in names)


def _is_singular(module: Module, node: ast.expr) -> bool:
    """Returns whether a power has no finite slope at zero: negative, or a fraction below one."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value < 1


def _is_guarded(module: Module, given: ast.expr, side: str, one: ast.expr, kind: str, other: ast.expr) -> bool:
    """Returns whether a comparison is what keeps an argument in its domain, and the argument itself is not safe."""
    sized = isinstance(one, ast.Call) and module.dotted(one.func) in SIZES and len(one.args) == 1
    if isinstance(one, ast.Call) and sized:
        one = one.args[0]
    if isinstance(given, ast.BinOp) and isinstance(given.op, ast.Sub):
        fits = is_same(given.left, one) and is_same(given.right, other) and kind in (">", "!=")
        return fits and side != "<" and not _is_safe(module, given.left)
    given = _core(module, given, side)
    if not isinstance(given, ast.Name | ast.Attribute | ast.Subscript) or not is_same(given, one):
        return False
    if _is_safe(module, given) or _differ(module, given, one):
        return False
    if side == "<":
        return kind == "<" and _is_one(other)
    if kind == "!=":
        return _is_number(module, other, 0)
    if side == "!=" and not _is_small(module, other):
        return False
    return kind == ">" and not _is_below_zero(other)


def _core(module: Module, node: ast.expr, side: str) -> ast.expr:
    """Returns what decides whether a product or power is zero, or for which sign it is not positive: x of `2 * x`."""
    while isinstance(node, ast.BinOp):
        is_product = isinstance(node.op, ast.Mult) and side != "<"
        is_power = isinstance(node.op, ast.Pow) and side == "!="
        if is_product and _is_positive(module, node.left):
            node = node.right
        elif (is_product or is_power) and _is_positive(module, node.right):
            node = node.left
        else:
            break
    return node


def _is_positive(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and node.value > 0
    return (module.dotted(node) or "").rpartition(".")[2] == "pi"


def _differ(module: Module, one: ast.expr, other: ast.expr) -> bool:
    """Returns whether two names that are spelled the same are bound at different places."""
    return (
        isinstance(one, ast.Name) and isinstance(other, ast.Name) and module.binding(one) is not module.binding(other)
    )


def _is_safe(module: Module, node: ast.expr) -> bool:
    """Returns whether a name is bound to something that was guarded, or holds whole numbers known while tracing."""
    value = certain(module, node)
    if (isinstance(value, ast.Attribute) and value.attr in ("size", "ndim")) or isinstance(value, ast.Constant):
        return True
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Attribute) and value.value.attr == "shape":
        return True
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return True  # of an epsilon, or of what is known not to be zero
    if not isinstance(value, ast.Call):
        return False
    name = module.dotted(value.func) or ""
    short = name.rpartition(".")[2] if name else value.func.attr if isinstance(value.func, ast.Attribute) else ""
    return short in GUARDING


def _is_number(module: Module, node: ast.expr, number: int) -> bool:
    node = certain(module, node)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value == number


def _is_small(module: Module, node: ast.expr) -> bool:
    """Returns whether a bound is there to keep from dividing by zero, by its size or name."""
    value = certain(module, node)
    if isinstance(value, ast.Constant):
        return isinstance(value.value, int | float) and abs(value.value) <= 0.01
    return any(
        bool(SMALL & set(words(each.id if isinstance(each, ast.Name) else each.attr)))
        for part in (node, value)
        for each in inner_nodes(part)
        if isinstance(each, ast.Name | ast.Attribute)
    )


def _is_one(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value == 1) or (isinstance(node, ast.BinOp) and (
        isinstance(node.left, ast.Constant) and node.left.value == 1
    ))  # fmt: skip


def _is_below_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _fix(module: Module, call: ast.Call, condition: ast.expr, guarded: ast.expr, taken: bool, what: str) -> Fix | None:
    if module.dotted(call.func) != "jax.numpy.where" or not any(each is call for each in module.around(guarded)):
        return None
    where, test, text = module.source(call.func), module.source(condition), module.source(guarded)
    safe = "0.0" if what in WITHIN else "1.0"
    new = f"{where}({test}, {text}, {safe})" if taken else f"{where}({test}, {safe}, {text})"
    return Fix("Guard the argument by a `where` of its own", (module.replaced(guarded, new),), safe=False)
