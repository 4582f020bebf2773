"""VX403: `jax.ops.index_update` and its kind are gone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument, has_stars
from verax.lint._renames import rule_of_use, stale_found
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._uses import Use, real_name, uses

METHODS = {
    "index_update": "set", "index_add": "add", "index_mul": "multiply", "index_min": "min", "index_max": "max",
}  # fmt: skip
ARGUMENTS = ("x", "idx", "y", "indices_are_sorted", "unique_indices")
PRIMARY = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)


@rule("VX403", "index-update", "error")
def index_update(module: Module) -> Iterator[Found]:
    """A use of `jax.ops.index_update`, `index_add`, `index_mul`, `index_min`, `index_max` or `jax.ops.index`.

    JAX 0.3.2 took them away: an `AttributeError`, or an `ImportError` on import. Arrays have `x.at[...]` for it.

    Bad:

        x = jax.ops.index_update(x, jax.ops.index[0, :], y)

    Good:

        x = x.at[0, :].set(y)

    The fix is safe for direct calls; there is none for an import, whose calls must be written anew.
    `jax.ops.segment_sum` and the like are there still. What is behind `hasattr`, a version or `except ImportError` is
    left alone.
    """
    found = [use for use in uses(module) if rule_of_use(use) == "VX403"]
    within = {
        each
        for use in found
        if isinstance(call := module.parents.get(use.node), ast.Call) and call.func is use.node
        for each in [*call.args, *(one.value for one in call.keywords)]
    }
    for use in found:
        subscript = module.parents.get(use.node)
        if use.dotted == "jax.ops.index" and subscript in within:
            continue  # part of the call that is reported
        report = stale_found(module, use)
        yield report._replace(fix=_fix(module, use))


def _fix(module: Module, use: Use) -> Fix | None:
    call = module.parents.get(use.node)
    method = METHODS.get(use.dotted.rpartition(".")[2])
    if not isinstance(call, ast.Call) or call.func is not use.node or method is None or has_stars(call):
        return None
    given = {name: argument(call, place, name) for place, name in enumerate(ARGUMENTS)}
    array, index, value = given["x"], given["idx"], given["y"]
    if array is None or index is None or value is None or any(each.arg not in ARGUMENTS for each in call.keywords):
        return None
    if isinstance(index, ast.Subscript) and real_name(module, index.value) == "jax.ops.index":
        index = index.slice
    if isinstance(array, ast.List | ast.Tuple | ast.Constant):
        return None  # no array, which `jax.ops` made one of
    source = module.source(array)
    source = source if isinstance(array, PRIMARY) else f"({source})"
    rest = "".join(f", {name}={module.source(each)}" for name in ARGUMENTS[3:] if (each := given[name]) is not None)
    text = f"{source}.at[{module.source(index)}].{method}({module.source(value)}{rest})"
    return Fix(f"Replace by .at[...].{method}", (module.replaced(call, text),), safe=True)
