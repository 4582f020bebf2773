"""VX301: what jit compiles is kept with the function that it returns."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import LOOPS, Module
from verax.lint._mutation import in_test
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, Level, rule
from verax.lint._scopes import FUNCTIONS
from verax.lint._transforms import PARTIAL, function_given, transform_of

JIT = {
    "jax.jit", "jax.pmap", "jax.pjit", "jax.experimental.pjit.pjit", "flax.nnx.jit", "flax.nnx.pmap",
    "equinox.filter_jit", "equinox.filter_pmap", "haiku.jit",
}  # fmt: skip


# What makes a new function of a function, at every call.
DERIVING = {
    "jax.grad", "jax.value_and_grad", "jax.vmap", "jax.jacfwd", "jax.jacrev", "jax.jacobian", "jax.hessian",
    "jax.checkpoint", "jax.remat",
}  # fmt: skip


@rule("VX301", "jit-in-loop", "warning")
def jit_in_loop(module: Module) -> Iterator[Found]:
    """`jax.jit` of a new function in every pass of a loop.

    JAX keeps what it compiled by the function object. A lambda, a local function or a `partial` that is made in the
    loop is a new object in every pass, so each pass traces and compiles again.

    Bad:

        for batch in batches:
            step = jax.jit(lambda p, b: p - 0.1 * b.mean())
            params = step(params, batch)

    Good:

        step = jax.jit(lambda p, b: p - 0.1 * b.mean())
        for batch in batches:
            params = step(params, batch)

    `jax.jit(f)` of the same function hits the cache, and is a note. The fix, safe, moves the line before the loop where
    it uses nothing that the loop binds. Compiled functions that are stored, lowered, or called in an inner loop, and
    tests, are left alone.
    """
    for call in module.nodes(ast.Call):
        named = _jit(module, call)
        if named is None:
            continue
        target = function_given(module, call)
        loop = module.loop(call)
        if loop is None or target is None or in_test(module, call):
            continue
        parent = module.parents.get(call)
        if isinstance(parent, ast.Call) and parent.func is call:
            yield from _report(module, call, target, loop, None)
        elif isinstance(parent, ast.Assign) and parent.value is call and len(parent.targets) == 1:
            name = parent.targets[0]
            if isinstance(name, ast.Name) and _is_called(module, name, loop) and not _is_guarded(module, parent, loop):
                yield from _report(module, call, target, loop, parent)
    for function in module.nodes(ast.FunctionDef):
        for decorator in function.decorator_list:
            named = transform_of(module, decorator)
            loop = module.loop(function) if named is not None and named[0] in JIT else None
            if loop is None or in_test(module, function) or _is_guarded(module, function, loop):
                continue
            if _calls(module, function.name, loop, function):
                message = (
                    f"`{function.name}` is a new function in every pass of this loop, so each pass compiles again. "
                )
                yield Found(decorator, message + "Define it before the loop and pass what changes as an argument.")


def _jit(module: Module, call: ast.Call) -> str | None:
    """Returns what compiles, where a call of it is given a function."""
    name = module.dotted(call.func)
    if name is None:
        if not isinstance(call.func, ast.Call):
            return None
        named = transform_of(module, call.func)
        name = named[0] if named is not None else None
    if name not in JIT or function_given(module, call) is None:
        return None
    return name


def _report(
    module: Module, call: ast.Call, target: ast.expr, loop: ast.AST, statement: ast.Assign | None
) -> Iterator[Found]:
    bound = _bound(module, loop)
    is_new = isinstance(target, ast.Lambda) or (isinstance(target, ast.Call) and module.dotted(target.func) in PARTIAL)
    level: Level | None = None
    if isinstance(target, ast.Name):
        definition = module.definition(target)
        if target.id in bound and not (isinstance(definition, FUNCTIONS) and module.loop(definition) is not None):
            return  # another function in every pass
        is_new = definition is not None and module.loop(definition) is not None
    elif isinstance(target, ast.Call) and module.dotted(target.func) in DERIVING:
        inner = function_given(module, target)
        is_other = isinstance(inner, ast.Name) and inner.id in bound and module.definition(inner) is None
        if is_other or _is_made_of_bound(target, inner, bound) or not isinstance(inner, ast.Name | ast.Lambda):
            return  # another function in every pass
        is_new = True
    elif not is_new and (_names(target) & bound or not isinstance(target, ast.Attribute)):
        return  # made by a call of which nothing is known, or from what the loop binds
    if not is_new:
        level = "note"
    shown = "a lambda" if isinstance(target, ast.Lambda) else f"`{' '.join(module.source(target).split())}`"
    shown = shown if len(shown) < 50 else "this function"
    if is_new:
        message = f"jit of {shown}, made anew in every pass of this loop, compiles every time. Move it before the loop."
    else:
        message = f"jit of {shown} is called in every pass of this loop. Do it once, before the loop."
    yield Found(call, message, None if statement is None else _fix(module, statement, loop, bound), level)


def _is_made_of_bound(target: ast.Call, inner: ast.expr | None, bound: set[str]) -> bool:
    """Returns whether the options of a transform are bound by the loop."""
    given = [*target.args, *(each.value for each in target.keywords)]
    return any(_names(each) & bound for each in given if each is not inner)


def _bound(module: Module, loop: ast.AST) -> set[str]:
    """Returns the names that a loop binds, in its target or in its body."""
    if isinstance(loop, ast.comprehension):
        return {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
    cache: dict[ast.AST, set[str]] = module.shared("bound by loops", lambda module: {})
    if loop not in cache:
        found = {
            each.id for each in ast.walk(loop) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
        }
        found |= {each.name for each in ast.walk(loop) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
        cache[loop] = found
    return cache[loop]


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _is_called(module: Module, name: ast.Name, loop: ast.AST) -> bool:
    return _calls(module, name.id, loop, name)


def _calls(module: Module, name: str, loop: ast.AST, skip: ast.AST) -> bool:
    """Returns whether a name is called in the passes of a loop themselves, and in no loop within."""
    found = False
    for each in ast.walk(loop):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == name:
            if module.loop(each) is not loop:
                return False
            if skip not in module.around(each):
                found = True
    return found


def _is_guarded(module: Module, node: ast.stmt, loop: ast.AST) -> bool:
    """Returns whether a statement runs in some passes only, or ends the loop."""
    for each in module.around(node):
        if each is loop:
            break
        if isinstance(each, ast.If | ast.Try | ast.Match):
            return True
    body = getattr(loop, "body", [])
    return bool(body) and isinstance(body[-1], ast.Return | ast.Break)


def _fix(module: Module, statement: ast.Assign, loop: ast.AST, bound: set[str]) -> Fix | None:
    """Returns the edits that move an assignment before its loop."""
    target = statement.targets[0]
    if not isinstance(loop, LOOPS) or module.parents.get(statement) is not loop or not isinstance(target, ast.Name):
        return None
    if _names(statement.value) & bound or loop.body[0] is statement is loop.body[-1]:
        return None
    stores = [each for each in ast.walk(loop) if isinstance(each, ast.Name) and each.id == target.id]
    if sum(isinstance(each.ctx, ast.Store) for each in stores) != 1:
        return None
    first = module.offset(statement.lineno, 0)
    last = module.offset((statement.end_lineno or statement.lineno) + 1, 0)
    lines = module.text[first:last]
    start = module.offset(loop.lineno, 0)
    if module.text[start : module.span(loop)[0]].strip() or statement.lineno == loop.lineno:
        return None
    start_of, end_of = module.span(statement)
    rest = module.text[end_of:last].strip()
    if module.text[first:start_of].strip() or (rest and not rest.startswith("#")) or not lines.endswith("\n"):
        return None
    indent, outer = module.text[first:start_of], module.text[start : module.span(loop)[0]]
    if "\n" in lines.rstrip("\n") and any(isinstance(each, ast.Constant) for each in ast.walk(statement.value)):
        return None  # a text over several lines would change with its indentation
    moved = "".join(outer + line.removeprefix(indent) for line in lines.splitlines(keepends=True))
    return Fix("Move it before the loop", (Edit(start, start, moved), Edit(first, last, "")), safe=True)
