"""VX511: the gradient flows into a bootstrap target."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import certain, inner_nodes, is_same, spelled, words
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._traced import traced
from verax.lint._traced_params import parameters
from verax.lint._transforms import EAGER
from verax.lint._unwrapped import unwrapped

TARGET = {"target", "targets", "td", "bootstrap", "bootstrapped", "backup", "bellman", "returns", "ret", "y"}
REWARD = {"reward", "rewards", "rew", "rews", "r"}
DISCOUNT = {"gamma", "discount", "discounts", "discounting"}
# What has no gradient by its arguments.
FLAT = {"argmax", "argmin", "argsort", "categorical", "choice", "floor", "ones_like", "round", "sign", "stop_gradient",
        "zeros_like"}  # fmt: skip
NEXT = {"next", "nxt", "tp1", "new", "succ", "successor", "t1"}


@rule("VX511", "missing-stop-gradient", "note")
def missing_stop_gradient(module: Module) -> Iterator[Found]:
    """A target made of reward and discounted value depends on the parameters that the loss is differentiated by.

    Temporal-difference learning moves the prediction towards the target. Without `stop_gradient` the gradient moves
    the target towards the prediction too, which is another algorithm and usually a worse one.

    Bad:

        target = reward + gamma * apply(params, next_inputs).max(-1)

    Good:

        target = reward + gamma * jax.lax.stop_gradient(apply(params, next_inputs).max(-1))

    The fix stops the gradient of the target; it is not safe, as training changes. A loss that stops a gradient
    anywhere, and one called residual, is left alone. What is not seen: targets that other functions compute.
    """
    functions = {
        function: each.bound
        for function, every in traced(module).of.items()
        for each in every
        if each.name in EAGER and each.name not in ("jax.vjp", "jax.jvp")
    }
    for function, bound in _eager(module, functions).items():
        every = parameters(function)
        start = bound + (bound == 0 and bool(every) and every[0].arg == "self")
        if len(every) <= start:
            continue
        own = every[start].arg
        body = [function.body] if isinstance(function, ast.Lambda) else function.body
        inside = [node for one in body for node in inner_nodes(one)]
        if _is_exempt(module, function, inside):
            continue
        params = _aliases(module, inside, own)
        for node in inside:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _is_target(module, node, params):
                message = f"the target depends on {own}, which the loss is differentiated by. Wrap it in stop_gradient."
                yield Found(node, message, _fix(module, node))


def _eager(module: Module, functions: dict[Function, int]) -> dict[Function, int]:
    """Returns the functions that are differentiated, with those a lambda given to `grad` calls with its parameter."""
    found = dict(functions)
    for function in functions:
        if isinstance(function, ast.Lambda) and isinstance(function.body, ast.Call) and function.body.args:
            first = function.body.args[0]
            own = parameters(function)
            if own and isinstance(first, ast.Name) and first.id == own[0].arg:
                for inner, bound, _ in unwrapped(module, function.body.func):
                    found.setdefault(inner, bound)
    return found


def _is_exempt(module: Module, function: Function, inside: list[ast.AST]) -> bool:
    names = [function.name] if not isinstance(function, ast.Lambda) else []
    if any("residual" in words(each) for each in names):
        return True
    for each in inside:
        named = each.attr if isinstance(each, ast.Attribute) else each.id if isinstance(each, ast.Name) else ""
        if named.lstrip("_") in ("stop_gradient", "sg"):
            return True
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name | ast.Attribute):
            called = module.definition(each.func)
            if isinstance(called, FUNCTIONS) and called is not function and "stop_gradient" in module.source(called):
                return True
    return False


def _aliases(module: Module, inside: list[ast.AST], own: str) -> set[str]:
    """Returns the names in a function whose values come from calls with its own parameter."""
    found: set[str] = set()
    for each in sorted((one for one in inside if isinstance(one, ast.Assign)), key=lambda one: one.lineno):
        if _depends(module, each.value, own, found):
            found |= {one.id for target in each.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return found | {f"({own}"}


def _depends(module: Module, node: ast.expr, own: str, found: set[str]) -> bool:
    """Returns whether a gradient reaches a value from a call that is given the parameter, or of it."""
    for each in _flowing(node):
        if isinstance(each, ast.Name) and each.id in found:
            return True
        if isinstance(each, ast.Call):
            for given in [each.func, *each.args, *(one.value for one in each.keywords)]:
                if _is_params(given, own):
                    return True
    return False


def _flowing(node: ast.expr) -> Iterator[ast.AST]:
    """Yields a node and those below it that it has a gradient by: not an index, a comparison or what picks the best."""
    left: list[ast.AST] = [node]
    while left:
        each = left.pop()
        if isinstance(each, ast.Compare) or (isinstance(each, ast.Call) and _short(each.func) in FLAT):
            continue
        yield each
        if isinstance(each, ast.Subscript):
            left.append(each.value)
        elif not isinstance(each, (*FUNCTIONS, ast.ClassDef)) or each is node:
            left.extend(ast.iter_child_nodes(each))


def _short(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_params(node: ast.expr, own: str) -> bool:
    """Returns whether an expression is the parameter or a part of it, but none for targets."""
    if isinstance(node, ast.Dict):
        return any(_is_params(each, own) for each in node.values)
    while isinstance(node, ast.Attribute | ast.Subscript):
        text = node.attr if isinstance(node, ast.Attribute) else ast.unparse(node.slice)
        if "target" in text.lower():
            return False
        node = node.value
    return isinstance(node, ast.Name) and node.id == own


def _is_target(module: Module, node: ast.BinOp, params: set[str]) -> bool:
    own = next(each[1:] for each in params if each.startswith("("))
    found = {each for each in params if not each.startswith("(")}
    for one, other in ((node.left, node.right), (node.right, node.left)):
        factors = _factors(other)
        if len(factors) < 2 or _depends(module, one, own, found):
            continue
        value = next((each for each in factors if _depends(module, each, own, found)), None)
        if value is None:
            continue
        is_reward = bool(REWARD & set(_names(one)))
        is_discount = any(bool(DISCOUNT & set(_names(each))) or _is_rate(each) for each in factors if each is not value)
        texts = set(_names(value)) | {
            part for each in inner_nodes(value) if isinstance(each, ast.Name) for part in _names(certain(module, each))
        }
        is_next = bool(NEXT & texts)
        if (is_reward and is_discount) or ((is_reward or is_discount) and (is_next or _is_named_target(module, node))):
            return is_next or _is_named_target(module, node)
    return False


def _is_named_target(module: Module, node: ast.AST) -> bool:
    statement = module.statement(node)
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return any(isinstance(each, ast.Name) and bool(TARGET & set(words(each.id))) for each in targets)


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


def _names(node: ast.expr) -> list[str]:
    found: list[str] = []
    for each in inner_nodes(node):
        if isinstance(each, ast.Name):
            found += words(each.id)
        elif isinstance(each, ast.Attribute):
            found += words(each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            found += words(each.value)
    return found


def _is_rate(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and 0.5 <= node.value < 1


def _fix(module: Module, node: ast.BinOp) -> Fix | None:
    lax = spelled(module, "jax.lax", node)
    if lax is None or is_same(node, ast.Pass()):
        return None
    edit = module.replaced(node, f"{lax}.stop_gradient({module.source(node)})")
    return Fix("Stop the gradient of the target", (edit,), safe=False)
