"""VX606: a finite difference whose step drowns in rounding."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import bound, certain, is_same
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

LARGEST = 1e-4  # of steps that are reported; the best for a central difference in float32 is near 5e-3


@rule("VX606", "small-step-finite-difference", "warning")
def small_step_finite_difference(module: Module) -> Iterator[Found]:
    """A finite difference with a step of 1e-4 or less, in a file that computes in float32.

    JAX computes in float32 unless it is told otherwise. There `f` has seven digits, of which the difference of two
    near values keeps few: with a step of 1e-5 a tenth to all of the result is rounding, and a right gradient looks
    wrong.

    Bad:

        slope = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5

    Good:

        slope = (f(x + 5e-3) - f(x - 5e-3)) / 1e-2

    There is no fix, as the step depends on the scale of `x`; or switch on `jax_enable_x64`. A file that does so, or
    that names float64, is not judged. What is not seen: steps that are arguments without a default.
    """
    text = module.text
    if "x64" in text or "X64" in text or "float64" in text:
        return
    for node in module.nodes(ast.BinOp):
        if not isinstance(node.op, ast.Div):
            continue
        step = _step(module, node.right)
        if step is None:
            continue
        size, spelled = step
        value, spelled = _number(module, size), [*spelled, certain(module, size)]
        if value is None or not 0 < value <= LARGEST:
            continue
        difference = certain(module, node.left)
        if not isinstance(difference, ast.BinOp) or not isinstance(difference.op, ast.Sub):
            continue
        one, other = (_called(module, each) for each in (difference.left, difference.right))
        if one is None or other is None or not is_same(one.func, other.func):
            continue
        if not (_moves(module, one, spelled) or _moves(module, other, spelled)) or not _is_float32(module, node, one):
            continue
        message = f"in float32 a step of {value:g} leaves mostly rounding in this difference. "
        yield Found(node, message + "Take about 5e-3 times the scale of the argument, or switch on jax_enable_x64.")


def _step(module: Module, node: ast.expr) -> tuple[ast.expr, list[ast.expr]] | None:
    """Returns the step of a divisor `h`, `2 * h` or `h * 2`, with the ways it may be spelled where `f` is called."""
    node = node if isinstance(node, ast.Name) else certain(module, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        sides = (node.left, node.right)
        for one, other in (sides, sides[::-1]):
            if isinstance(one, ast.Constant) and one.value == 2:
                return other, [other]
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        return node, [node, ast.Constant(node.value / 2)]
    return (node, [node]) if isinstance(node, ast.Name) else None


def _number(module: Module, node: ast.expr) -> float | None:
    value = certain(module, node)
    if isinstance(value, ast.Name):
        value = _default(module, value)
    if isinstance(value, ast.Constant) and isinstance(value.value, float):
        return value.value
    return None


def _default(module: Module, name: ast.Name) -> ast.expr | None:
    """Returns the default of the parameter that a name is."""
    binding = bound(module, name)
    if binding is None or binding.kind != "param":
        return None
    function = module.parents.get(module.parents[binding.node])
    if not isinstance(function, FUNCTIONS):
        return None
    by_place = [*function.args.posonlyargs, *function.args.args]
    pairs = [*zip(by_place[::-1], function.args.defaults[::-1], strict=False)]
    pairs += [
        (one, value) for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if value
    ]
    return next((value for one, value in pairs if one is binding.node), None)


def _called(module: Module, node: ast.expr) -> ast.Call | None:
    node = certain(module, node)
    if isinstance(node, ast.Call) and module.dotted(node.func) == "builtins.float" and len(node.args) == 1:
        return _called(module, node.args[0])
    return node if isinstance(node, ast.Call) and node.args else None


def _moves(module: Module, call: ast.Call, spelled: list[ast.expr]) -> bool:
    """Returns whether an argument of a call is moved by the step."""
    for given in call.args:
        for part in (given, certain(module, given)):
            for each in ast.walk(part):
                if any(is_same(each, one) for one in spelled if not isinstance(each, ast.expr_context)):
                    return True
                if isinstance(each, ast.Name) and any(is_same(certain(module, each), one) for one in spelled):
                    return True
    return False


def _is_float32(module: Module, node: ast.AST, call: ast.Call) -> bool:
    """Returns whether a difference is of JAX's numbers: where it stands, or the function, uses JAX and not NumPy."""
    outer = list(module.functions(node))
    places: list[ast.AST] = [outer[-1] if outer else module.statement(node)]
    called = module.definition(call.func)
    places += [called] if isinstance(called, FUNCTIONS) else []
    uses_jax = False
    for place in places:
        for each in ast.walk(place):
            if isinstance(each, ast.Name):
                name = module.dotted(each) or ""
                uses_jax |= name.startswith("jax")
                if name == "numpy" or name.startswith("numpy."):
                    return False
    return uses_jax
