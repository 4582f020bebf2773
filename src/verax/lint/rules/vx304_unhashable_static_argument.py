"""VX304: static arguments are keys of a cache, so they must have a hash."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._jitted import chosen_arguments, jitted
from verax.lint._module import Module
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

DISPLAYS = {
    ast.List: "a list", ast.ListComp: "a list", ast.Dict: "a dictionary", ast.DictComp: "a dictionary",
    ast.Set: "a set", ast.SetComp: "a set",
}  # fmt: skip
CALLS = {
    "builtins.list": "a list",
    "builtins.dict": "a dictionary",
    "builtins.set": "a set",
    "builtins.bytearray": "one",
}
ARRAYS = {
    "array", "asarray", "zeros", "ones", "full", "arange", "linspace", "eye", "empty", "zeros_like", "ones_like",
    "concatenate", "stack",
}  # fmt: skip


@rule("VX304", "unhashable-static-argument", "error")
def unhashable_static_argument(module: Module) -> Iterator[Found]:
    """A list, a dictionary, a set or an array is given to a static parameter.

    `jit` looks up the compiled function by the static arguments, so they need a hash; without one the call raises
    "Non-hashable static arguments are not supported".

    Bad:

        resize(image, shape=[2, 3])  # shape is static

    Good:

        resize(image, shape=(2, 3))

    The fix, safe, makes a tuple of a list that is written in the call. A default that has no hash raises only when it
    is passed, and is not reported.
    """
    for call in module.nodes(ast.Call):
        if module.dotted(call.func) is not None or not (call.args or call.keywords):
            continue
        one = jitted(module, call.func)
        if one is None or one.options is None:
            continue
        for name, value in chosen_arguments(module, call, one, "static_argnums", "static_argnames"):
            what = _unhashable(module, value)
            if what is not None:
                message = f"`{name}` is a static argument and needs a hash, but {what} has none. Pass a tuple."
                if what == "an array":
                    message = (
                        f"`{name}` is a static argument and needs a hash, but an array has none. Do not make it static."
                    )
                yield Found(value, message, _fix(module, value))


def _unhashable(module: Module, node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        if len(module.bindings(node)) != 1:
            return None
        node = module.value(node)
    kind = DISPLAYS.get(type(node))
    if kind is not None:
        return kind
    if isinstance(node, ast.Tuple):
        return next((what for each in node.elts if (what := _unhashable(module, each)) is not None), None)
    name = module.called(node)
    if name is None:
        return None
    library, _, last = name.rpartition(".")
    if library in ("numpy", "jax.numpy") and last in ARRAYS:
        return "an array"
    return CALLS.get(name)


def _fix(module: Module, node: ast.expr) -> Fix | None:
    if not isinstance(node, ast.List) or any(_unhashable(module, each) for each in node.elts):
        return None
    inner = module.source(node)[1:-1]
    comma = "," if len(node.elts) == 1 and not inner.rstrip().endswith(",") else ""
    return Fix("Make it a tuple", (module.replaced(node, f"({inner}{comma})"),), safe=True)
