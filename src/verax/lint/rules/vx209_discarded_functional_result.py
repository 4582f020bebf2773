"""VX209: a function that returns the new value changes nothing by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._mutation import in_test
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule

UPDATES = {"set", "add", "subtract", "multiply", "mul", "divide", "min", "max", "power", "apply"}
PURE = {
    "optax.apply_updates", "optax.incremental_update", "jax.random.split", "jax.random.fold_in",
    "jax.random.permutation",
    "jax.random.shuffle", "jax.lax.stop_gradient", "jax.lax.with_sharding_constraint", "jax.lax.pmean", "jax.lax.psum",
    "jax.lax.all_gather", "equinox.tree_at", "equinox.apply_updates", "dataclasses.replace",
    "jax.lax.dynamic_update_slice",
    "jax.numpy.fill_diagonal", "flax.core.freeze", "flax.core.unfreeze", "jax.ops.index_update", "jax.ops.index_add",
    "copy.replace", "jax.lax.dynamic_update_index_in_dim", "flax.core.copy", "jax.random.clone",
}  # fmt: skip
MAPS = {"jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map", "jax.tree_multimap"}
PURE_LIBRARIES = ("jax.numpy.", "jax.lax.", "jax.nn.", "numpy.", "operator.", "optax.")


@rule("VX209", "discarded-functional-result", "error")
def discarded_functional_result(module: Module) -> Iterator[Found]:
    """The result of a pure update is thrown away.

    `x.at[0].set(1)`, `optax.apply_updates(...)`, `state.apply_gradients(...)`, `state.replace(...)`,
    `random.split(key)` and `jax.tree.map(...)` change nothing; they return what is new.

    Bad:

        x.at[0].set(1.0)

    Good:

        x = x.at[0].set(1.0)

    The fix is safe for `.at` on a plain name: it assigns the result back. Calls for their effect
    (`dict.update`, `.block_until_ready()`, a map over a function that prints) and expected failures in tests are left
    alone.
    """
    for node in module.nodes(ast.Expr):
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(call, ast.Call):
            continue
        said = _said(module, call)
        if said is not None and not _is_expected_to_raise(module, node):
            yield Found(call, said, _fix(module, node, call))


def _said(module: Module, call: ast.Call) -> str | None:
    func = call.func
    name = module.dotted(func)
    if name is not None:
        if name in PURE and not (name.startswith("jax.random.") and in_test(module, call)):
            return f"the result of {module.source(func)} is thrown away; it changes nothing by itself. Assign it."
        # A notebook's cell shows its last expression, and a test may ask only whether the map works.
        is_shown = module.function(call) is None or in_test(module, call)
        if name in MAPS and call.args and not is_shown and _is_pure(module, call.args[0]):
            return f"the result of {module.source(func)} is thrown away; it changes nothing by itself. Assign it."
        return None
    if not isinstance(func, ast.Attribute):
        return None
    owner = func.value
    indexed = owner.value if func.attr in UPDATES and isinstance(owner, ast.Subscript) else None
    if isinstance(indexed, ast.Attribute) and indexed.attr == "at":
        return (
            f"`{module.source(indexed.value)}` is not changed: .at[...].{func.attr}() returns a new array. Assign it."
        )
    names = {each.arg for each in call.keywords}
    if func.attr == "apply_gradients" and "grads" in names and not call.args:
        return f"`{module.source(owner)}` is not changed: apply_gradients returns the new state. Assign it."
    is_replace = func.attr in ("replace", "_replace") and names and not call.args
    if is_replace and None not in names and not names & {"inplace", "to_replace", "regex", "old", "new", "count"}:
        return f"`{module.source(owner)}` is not changed: {func.attr} returns a new one. Assign it."
    return None


def _is_pure(module: Module, node: ast.expr) -> bool:
    name = module.dotted(node)
    if name is not None:
        return name.startswith(PURE_LIBRARIES) and "assert" not in name and "testing" not in name
    if isinstance(node, ast.Lambda):
        for each in ast.walk(node.body):
            if isinstance(each, ast.NamedExpr | ast.Await | ast.Yield):
                return False
            if isinstance(each, ast.Call) and not (module.dotted(each.func) or "").startswith(PURE_LIBRARIES):
                return False
            if isinstance(each, ast.Call) and "testing" in (module.dotted(each.func) or ""):
                return False
        return True
    return False


def _is_expected_to_raise(module: Module, node: ast.AST) -> bool:
    for each in module.around(node):
        if isinstance(each, ast.With | ast.AsyncWith):
            for item in each.items:
                called = item.context_expr.func if isinstance(item.context_expr, ast.Call) else item.context_expr
                last = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if any(word in last.lower() for word in ("raise", "warn", "fail", "error", "suppress", "log", "count")):
                    return True
        if isinstance(each, ast.Try) and each.handlers and node is not each:
            return True
    return False


def _fix(module: Module, node: ast.Expr, call: ast.Call) -> Fix | None:
    if node.value is not call or not isinstance(call.func, ast.Attribute):
        return None
    owner = call.func.value
    if not isinstance(owner, ast.Subscript) or not isinstance(owner.value, ast.Attribute):
        return None
    name = owner.value.value
    if not isinstance(name, ast.Name) or module.scope_of(name) is not module.scopes[node]:
        return None
    start = module.span(node)[0]
    return Fix(f"Assign the result to {name.id}", (Edit(start, start, f"{name.id} = "),), safe=True)
