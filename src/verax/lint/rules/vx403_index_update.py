"""VX403: `jax.ops.index_update` and its kind are gone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import certain
from verax.lint._renames import expression, places, rule_of_use, stale_found, without
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._uses import Use, real_name, uses

METHODS = {
    "index_update": "set", "index_add": "add", "index_mul": "multiply", "index_min": "min", "index_max": "max",
}  # fmt: skip
ARGUMENTS = ("x", "idx", "y", "indices_are_sorted", "unique_indices")
INDEXERS = ("jax.ops.index", "jax.numpy.s_", "jax.numpy.index_exp")
PRIMARY = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)


@rule("VX403", "index-update", "error")
def index_update(module: Module) -> Iterator[Found]:
    """A use of `jax.ops.index_update`, `index_add`, `index_mul`, `index_min`, `index_max` or `jax.ops.index`.

    JAX 0.3.2 took them away: an `AttributeError`, or an `ImportError` on import. Arrays have `x.at[...]` for it.

    Bad:

        x = jax.ops.index_update(x, jax.ops.index[0, :], y)

    Good:

        x = x.at[0, :].set(y)

    The fix is safe: `.at[...]` for direct calls, and `jnp.s_[...]` for `jax.ops.index[...]` elsewhere. An import goes
    with the calls of what it imports. There is none where a function is a value (`add = jax.ops.index_add`,
    `partial(jax.ops.index_add, x)`), since a method of each array takes its place; where `*` or `**` hides the
    arguments; where other files may use the import (`__init__.py`, `__all__`); and for `jax.ops.scatter`.
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
        yield report._replace(fix=_fix(module, use, report.fix))


def _fix(module: Module, use: Use, renamed: Fix | None) -> Fix | None:
    """Returns the fix of a use; `renamed` is the one that puts another name in the place of the old one."""
    method = METHODS.get(use.dotted.rpartition(".")[2])
    if isinstance(use.node, ast.alias):
        return _fix_of_import(module, use.node, use, renamed)
    if method is None:
        return renamed
    call = module.parents.get(use.node)
    edits = _edits(module, call) if isinstance(call, ast.Call) and call.func is use.node else None
    return None if edits is None else Fix(f"Replace by .at[...].{method}", edits, safe=True)


def _fix_of_import(module: Module, alias: ast.alias, use: Use, renamed: Fix | None) -> Fix | None:
    """Returns the fix that writes all calls of an imported name anew and takes it out of its import."""
    name = alias.asname or alias.name
    if module.file.endswith("__init__.py") or any(each.value == name for each in module.nodes(ast.Constant)):
        return None  # other files may use it
    read = places(module, use)
    if read and use.dotted.rpartition(".")[2] not in METHODS:
        return None if all(_goes_with_call(module, each) for each in read) else renamed
    edits: list[Edit] = []
    for node in read:
        call = module.parents.get(node)
        made = _edits(module, call) if isinstance(call, ast.Call) and call.func is node else None
        if made is None:
            return None
        edits += made
    edits = [each for each in edits if not any(_holds(one, each) for one in edits)]
    removed = _without_import(module, alias)
    title = "Replace by .at[...]" if edits else f"Remove the import of {name}"
    return None if removed is None else Fix(title, (*dict.fromkeys(edits), removed), safe=True)


def _goes_with_call(module: Module, node: ast.expr) -> bool:
    """Returns whether `index` is written anew with the call that it is given to."""
    subscript = module.parents.get(node)
    call = module.parents.get(subscript) if isinstance(subscript, ast.Subscript) else None
    return isinstance(call, ast.Call) and argument(call, 1, "idx") is subscript and _edits(module, call) is not None


def _holds(one: Edit, other: Edit) -> bool:
    return one != other and one.start <= other.start and other.end <= one.end


def _without_import(module: Module, alias: ast.alias) -> Edit | None:
    statement = module.parents[alias]
    assert isinstance(statement, ast.ImportFrom)
    if len(statement.names) > 1:
        return without(module, statement, alias)
    start, end = module.span(statement)
    line, newline = module.offset(statement.lineno, 0), module.text.find("\n", end)
    if module.text[line:start].strip() or newline < 0:
        return None
    rest = module.text[end:newline].strip()
    around = module.parents[statement]
    if any(getattr(around, name, None) == [statement] for name in ("body", "orelse", "finalbody")):
        return Edit(start, end, "pass")
    if rest:
        return Edit(start, module.text.index("#", end), "") if rest.startswith("#") else None
    return Edit(line, newline + 1, "")


def _edits(module: Module, call: ast.Call) -> tuple[Edit, ...] | None:
    """Returns the edits that write `x.at[i].set(y)` in the place of a call; None where it is not known how."""
    imports: list[Edit] = []
    text = _written(module, call, imports)
    return None if text is None else (module.replaced(call, text), *imports)


def _written(module: Module, call: ast.Call, imports: list[Edit]) -> str | None:
    """Returns the text in the place of a call, and adds the imports that it needs."""
    method = METHODS.get((real_name(module, call.func) or "").removeprefix("jax.ops."))
    if method is None or has_stars(call) or any(each.arg not in ARGUMENTS for each in call.keywords):
        return None
    given = {name: argument(call, place, name) for place, name in enumerate(ARGUMENTS)}
    array, index, value = given["x"], given["idx"], given["y"]
    if array is None or index is None or value is None:
        return None
    if isinstance(index, ast.Subscript) and real_name(module, index.value) in INDEXERS:
        index = index.slice
    source = _text(module, array, imports)
    if _is_converted(module, array):  # what `jax.ops` made an array of
        asarray, edits = expression(module, call.func, "jax.numpy.asarray")
        imports += edits
        source = f"{asarray}({source})"
    elif not isinstance(array, PRIMARY) or "\n" in source:
        source = f"({source})"
    rest = [f"{name}={_text(module, each, imports)}" for name in ARGUMENTS[3:] if (each := given[name]) is not None]
    values = ", ".join([_text(module, value, imports), *rest])
    return f"{source}.at[{_text(module, index, imports)}].{method}({values})"


def _is_converted(module: Module, array: ast.expr) -> bool:
    """Returns whether something is certainly no array of JAX, but what one is made of."""
    value = certain(module, array)
    return isinstance(value, ast.List | ast.Tuple | ast.Constant) or (module.called(value) or "").startswith("numpy.")


def _text(module: Module, node: ast.expr, imports: list[Edit]) -> str:
    """Returns the text of an argument, in which calls of the same kind are written anew as well."""
    start, end = module.span(node)
    text, place = "", start
    calls = [(module.span(each), each) for each in ast.walk(node) if isinstance(each, ast.Call)]
    for (first, last), call in sorted(calls, key=lambda each: (each[0][0], -each[0][1])):
        written = _written(module, call, imports) if first >= place else None
        if written is not None:
            text += module.text[place:first] + written
            place = last
    return text + module.text[place:end]
