"""VX207: a traced value cannot become a Python number."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._taint import taint
from verax.lint._taint_levels import TREE, is_array
from verax.lint._traced import transforms_around

NUMBERS = {"builtins.float", "builtins.int", "builtins.bool", "builtins.complex"}
METHODS = {"item", "tolist"}


@rule("VX207", "concretize-traced-value", "error")
def concretize_traced_value(module: Module) -> Iterator[Found]:
    """A traced value is made a Python number or list: `float(x)`, `int(x)`, `bool(x)`, `x.item()`, `x.tolist()`.

    Under `jit`, `vmap`, `scan` and the like there is no number yet, so this raises ConcretizationTypeError. `range(n)`
    needs a number too.

    Bad:

        @jax.jit
        def mean(x):
            return float(jnp.mean(x))

    Good:

        @jax.jit
        def mean(x):
            return jnp.mean(x)

    The fix is safe where `float(...)` or `.item()` is what is returned: it is left out, and the caller gets the array.
    Shapes, sizes and static arguments are Python numbers and fine. Under `grad` alone nothing is reported.
    """
    known = taint(module)
    if not known.staged:
        return
    for node in module.nodes(ast.Call):
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in METHODS and not node.args:
            level = known.of(func.value)
            if is_array(level) or (level == TREE and func.attr in METHODS):
                yield _found(module, node, func.value, f".{func.attr}()")
        elif isinstance(func, ast.Name) and len(node.args) == 1 and not node.keywords:
            if known.of(node.args[0]) < TREE:
                continue
            name = module.dotted(func)
            if name in NUMBERS:
                yield _found(module, node, node.args[0], f"{func.id}()")
            elif name == "builtins.range":
                text = module.source(node.args[0])
                message = f"range needs a number, but `{text}` is traced. Use jax.lax.fori_loop, or make it static."
                yield Found(node, message)


def _found(module: Module, node: ast.Call, value: ast.expr, what: str) -> Found:
    text = " ".join(module.source(value).split())
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    around = transforms_around(module, node)
    how = next((each.name.rpartition(".")[2] for _, each in around if each.way == "staged"), "jit")
    message = f"{what} needs the number that `{shown}` holds, which is traced under {how}. Keep it an array."
    fix = None
    if isinstance(module.parents.get(node), ast.Return) and what in ("float()", ".item()"):
        source = module.source(value)
        source = f"({source})" if isinstance(value, ast.NamedExpr | ast.GeneratorExp) else source
        if "\n" not in source or source[0] in "([{":
            fix = Fix("Return the array", (module.replaced(node, source),), safe=True)
    return Found(node, message, fix)
