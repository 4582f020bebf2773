"""VX302: the arguments named by jit's options have to exist."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from verax.lint._jitted import Jitted, decorated, made
from verax.lint._module import Module, keyword
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._traced_params import literals
from verax.lint._transforms import transform_of

NAMES = ("static_argnames", "donate_argnames")
NUMBERS = ("static_argnums", "donate_argnums", "static_broadcasted_argnums")


@rule("VX302", "unknown-static-name", "error")
def unknown_static_name(module: Module) -> Iterator[Found]:
    """`static_argnames`, `static_argnums`, `donate_argnames` or `donate_argnums` names an argument that there is not.

    `jit` compares them with the signature and raises ValueError when the function is decorated.

    Bad:

        @functools.partial(jax.jit, static_argnames=["training"])
        def forward(params, x, train): ...

    Good:

        @functools.partial(jax.jit, static_argnames=["train"])
        def forward(params, x, train): ...

    The fix takes the nearest name and is unsafe. Parameters that can only be given by place cannot be named; functions
    with `**kwargs` take any name and those with `*args` any place. Where other decorators are between, or the function
    is in another file, nothing is reported.
    """
    for kind in (ast.FunctionDef, ast.AsyncFunctionDef):
        for function in module.nodes(kind):
            if function.decorator_list:
                one = decorated(module, function, is_method=False)
                if one is not None and one.is_direct:
                    place = next(each for each in function.decorator_list if transform_of(module, each) is not None)
                    yield from _judged(module, one, place)
    for call in module.nodes(ast.Call):
        if call.args or call.keywords:
            one = made(module, call) if _may_jit(module, call) else None
            if one is not None and one.is_direct:
                yield from _judged(module, one, call)


def _may_jit(module: Module, call: ast.Call) -> bool:
    return isinstance(call.func, ast.Call) or any(each.arg in NAMES + NUMBERS for each in call.keywords)


def _judged(module: Module, one: Jitted, place: ast.expr) -> Iterator[Found]:
    function, options = one.function, one.options
    if function is None or options is None:
        return
    is_here = options is place or place in module.around(options)  # not made elsewhere, for several functions
    arguments = function.args
    places = one.places()
    known = [*places[len(arguments.posonlyargs[one.bound :]) :], *(each.arg for each in arguments.kwonlyargs)]
    for each in NAMES:
        given = keyword(options, each)
        if given is None or arguments.kwarg is not None:
            continue
        for name in literals(module, given.value):
            if isinstance(name, str) and name not in known and name not in one.given:
                shown = ", ".join(known) or "none"
                message = f"{each} has {name!r}, which is no argument of the function ({shown})."
                if name in places:
                    message = f"{each} has {name!r}, which can only be given by place. Use static_argnums."
                node = next((node for node in ast.walk(given.value) if _is(node, name)), None)
                near = difflib.get_close_matches(name, known, 1)
                fix = None
                node = node if is_here else None
                if node is not None and near and name not in places:
                    quote = module.source(node)[:1]
                    text = f"{quote}{near[0]}{quote}"
                    fix = Fix(f"Replace by {near[0]!r}", (module.replaced(node, text),), safe=False)
                    message = f"{message} Did you mean {near[0]!r}?"
                yield Found(node or (options if is_here else place), message, fix)
    for each in NUMBERS:
        given = keyword(options, each)
        if given is None or arguments.vararg is not None:
            continue
        for number in literals(module, given.value):
            is_number = isinstance(number, int) and not isinstance(number, bool)
            if is_number and not -len(places) <= number < len(places):  # type: ignore[operator]
                count = f"{len(places)} argument{'' if len(places) == 1 else 's'}"
                at = options if is_here else place
                yield Found(at, f"{each} has {number}, but the function takes {count} by place, counted from 0.")


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == name
