"""VX211: what the functions given to scan, fori_loop, while_loop and cond take and return."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument, has_stars
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function
from verax.lint._unwrapped import returns_of, unwrapped

# Of each function given: its place, its keyword, how many arguments it gets.
TAKES: dict[str, tuple[tuple[int, str, int], ...]] = {
    "jax.lax.scan": ((0, "f", 2),),
    "jax.lax.fori_loop": ((2, "body_fun", 2),),
    "jax.lax.while_loop": ((0, "cond_fun", 1), (1, "body_fun", 1)),
    "jax.lax.map": ((0, "f", 1),),
    "jax.lax.associative_scan": ((0, "fn", 2),),
}


@rule("VX211", "control-flow-callback-arity", "error")
def control_flow_callback_arity(module: Module) -> Iterator[Found]:
    """A function given to `jax.lax` control flow takes or returns the wrong number of values.

    `scan` calls `f(carry, x)` and wants `(carry, y)` back; `fori_loop` calls `body(i, value)`; both functions of
    `while_loop` take the value alone; branches of `cond` take as many arguments as follow them. Anything else raises
    TypeError while JAX traces.

    Bad:

        lax.scan(lambda carry, x: carry + x, 0.0, xs)

    Good:

        lax.scan(lambda carry, x: (carry + x, None), 0.0, xs)

    The fix, for a scan whose body returns the carry alone, adds the None; it is unsafe, as the caller gets a pair.
    Only functions of the same file are looked at, and of their results only what is visibly no pair.
    """
    for node in module.nodes(ast.Call):
        name = module.dotted(node.func)
        if name in TAKES:
            for place, word, count in TAKES[name]:
                target = argument(node, place, word)
                for function, bound, given in unwrapped(module, target) if _is_direct(module, target) else ():
                    yield from _judged(module, node, name, word, function, count, bound, given)
        elif name == "jax.lax.cond" and len(node.args) >= 3 and not has_stars(node) and not node.keywords:
            is_old = len(node.args) == 5 and _is_direct(module, node.args[4])
            if is_old and _is_direct(module, node.args[2]) and not isinstance(node.args[1], ast.Lambda):
                continue  # cond(test, operand, function, operand, function), which JAX still takes
            for target in node.args[1:3]:
                for function, bound, given in unwrapped(module, target) if _is_direct(module, target) else ():
                    count = len(node.args) - 3
                    yield from _judged(module, node, name, "branch", function, count, bound, given)


def _is_direct(module: Module, target: ast.expr | None) -> bool:
    """Returns whether an argument is a function itself, or `partial` of one, without decorators of other meaning."""
    for function, _, _ in unwrapped(module, target):
        if not isinstance(function, ast.Lambda) and any(
            not (module.dotted(each) or module.called(each) or "").startswith(
                ("jax.", "builtins.staticmethod", "functools.")
            )
            for each in function.decorator_list
        ):
            return False
    if isinstance(target, ast.Call):
        name = module.dotted(target.func) or ""
        return name in ("functools.partial", "jax.checkpoint", "jax.remat", "jax.jit") and not has_stars(target)
    if isinstance(target, ast.Name) and (value := module.value(target)) is not target:
        return not isinstance(value, ast.Name) and _is_direct(module, value)
    return isinstance(target, ast.Name | ast.Attribute | ast.Lambda)


def _judged(
    module: Module,
    node: ast.Call,
    name: str,
    word: str,
    function: Function,
    count: int,
    bound: int,
    given: frozenset[str],
) -> Iterator[Found]:  # fmt: skip
    short = name.rpartition(".")[2]
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args]
    required = [each.arg for each in every[: len(every) - len(arguments.defaults)]]
    left = [each for each in required[bound:] if each not in given]
    most = len([each for each in every[bound:] if each.arg not in given])
    needs = [
        one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]
    what = "the function" if word in ("f", "fn") else word
    if len(left) > count or (most < count and arguments.vararg is None):
        takes = f"{len(left)}" if len(left) > count else f"{most}"
        plural = "" if count == 1 else "s"
        message = f"{short} calls {what} with {count} argument{plural}, but it takes {takes}. {_advice(short, word)}"
        yield Found(node, message)
    elif [each for each in needs if each not in given]:
        yield Found(node, f"{short} passes no keywords, but {what} needs `{needs[0]}`. Bind it with functools.partial.")
    elif short == "scan" and not _is_generator(module, function):
        yield from _returned(module, node, function)


def _advice(short: str, word: str) -> str:
    return {
        "scan": "It is f(carry, x).",
        "fori_loop": "It is body(i, value).",
        "while_loop": f"It is {'cond' if word == 'cond_fun' else 'body'}(value); several values go in a tuple.",
        "cond": "Its arguments are those after the branches.",
        "map": "It is f(x).",
    }.get(short, "It is f(a, b).")


def _returned(module: Module, node: ast.Call, function: Function) -> Iterator[Found]:
    """Reports a scan whose function visibly returns no pair."""
    returned = returns_of(module, function)
    for value in returned:
        size = _size(value)
        if size is None or size == 2:
            continue
        what = "one value" if size == 1 else f"{size} values"
        fix = None
        if size == 1 and len(returned) == 1 and not isinstance(value, ast.NamedExpr):
            start, end = module.span(value)
            if isinstance(function, ast.Lambda) or module.text[end : end + 1] in ("", "\n", "\r", " "):
                before = module.text[:start].rstrip()
                is_wrapped = before.endswith("(") and not isinstance(function, ast.Lambda)
                if not is_wrapped:
                    fix = Fix("Return (carry, None)", (Edit(start, start, "("), Edit(end, end, ", None)")), safe=False)
        yield Found(
            node, f"the function given to scan returns {what}; scan needs (carry, y). Return (carry, None).", fix
        )
        return
    if not returned and not isinstance(function, ast.Lambda) and not _raises(function):
        yield Found(node, "the function given to scan returns nothing; scan needs (carry, y).")


def _size(value: ast.expr) -> int | None:
    """Returns how many values an expression visibly is; None where that is not visible."""
    if isinstance(value, ast.Tuple):
        return None if any(isinstance(each, ast.Starred) for each in value.elts) else len(value.elts)
    if isinstance(value, ast.BinOp):
        sides = (value.left, value.right)  # a sum of tuples is a tuple
        return None if any(isinstance(each, ast.Tuple | ast.Call | ast.List) for each in sides) else 1
    if isinstance(value, ast.Constant | ast.Compare | ast.JoinedStr | ast.Dict | ast.Set | ast.DictComp | ast.SetComp):
        return 1
    if isinstance(value, ast.UnaryOp):
        return 1
    return None


def _is_generator(module: Module, function: Function) -> bool:
    return any(module.function(each) is function for each in module.nodes(ast.Yield, ast.YieldFrom))


def _raises(function: Function) -> bool:
    return (
        not isinstance(function, ast.Lambda)
        and isinstance(function.body[-1], ast.Raise | ast.Expr)
        and (
            isinstance(function.body[-1], ast.Raise)
            or isinstance(getattr(function.body[-1], "value", None), ast.Constant)
        )
    )
