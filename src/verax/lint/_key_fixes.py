"""Edits that give each draw a key of its own. They change random numbers, so none is safe."""

from __future__ import annotations

import ast

from verax.lint._keys import Mistake
from verax.lint._module import Module
from verax.lint._report import Edit, Fix
from verax.lint._scopes import COMPREHENSIONS, FUNCTIONS, Binding

SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.Assert, ast.Raise)


def spelled(module: Module, at: ast.AST, function: str) -> str | None:
    """Returns how a function of `jax.random` is written at a place with the imports that are there."""
    found: list[str] = []
    for name, bindings in module.opened[module.tree].bindings.items():
        if all(each.kind == "import" for each in bindings):
            origin = bindings[-1].origin
            if origin == f"jax.random.{function}":
                found.append(name)
            elif origin == "jax.random":
                found.append(f"{name}.{function}")
            elif origin == "jax":
                found.append(f"{name}.random.{function}")
    scopes = [each for each in module.scopes[at].chain() if each.node is not module.tree]
    free = [each for each in found if not any(each.partition(".")[0] in scope.bindings for scope in scopes)]
    return min(free, key=len, default=None)


def split_first(module: Module, mistake: Mistake) -> Fix | None:
    """Returns the edits that split a key before its first draw, which gets the new one."""
    first, name = mistake.first, mistake.name
    if first is None or first.inner or (mistake.use is not None and mistake.use.inner):
        return None
    if mistake.use is not None and not _is_name(mistake.use.argument, name):
        return None
    if not _is_name(first.argument, name) or not _same_place(module, first.node, mistake.node):
        return None
    return _split_before(module, first.argument, name)


def split_in_loop(module: Module, mistake: Mistake) -> Fix | None:
    """Returns the edits that split a key in the pass of a loop that draws from it."""
    use, name = mistake.use, mistake.name
    if use is None or use.inner or not _is_name(use.argument, name):
        return None
    loop = module.loop(use.node)
    if isinstance(loop, ast.For | ast.AsyncFor | ast.While):
        return _split_before(module, use.argument, name)
    return None


def unused_child(module: Module, mistake: Mistake) -> tuple[str, Fix | None]:
    """Returns the one new key of a split that is never used, and the edit that puts it where the old one stands."""
    assert mistake.first is not None
    use, split = mistake.use, mistake.first.node
    statement = module.parents.get(split)
    if use is None or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return "", None
    target = statement.targets[0]
    if not isinstance(target, ast.Tuple | ast.List) or not all(isinstance(each, ast.Name) for each in target.elts):
        return "", None
    unused = [each.id for each in target.elts if isinstance(each, ast.Name) and _is_unused(module, each)]
    if len(unused) != 1 or unused[0].startswith("_"):
        return "", None
    if use.inner or not _is_name(use.argument, mistake.name) or use.argument is None:
        return unused[0], None
    edit = module.replaced(use.argument, unused[0])
    return unused[0], Fix(f"Use `{unused[0]}` in place of `{mistake.name}`", (edit,), safe=False)


def folded_with_index(module: Module, mistake: Mistake) -> Fix | None:
    """Returns the edit that folds the index of a `fori_loop` into a key from outside."""
    use = mistake.use
    body = module.function(mistake.node)
    if use is None or body is None or use.argument is None or not _is_name(use.argument, mistake.name):
        return None
    call = _loop_of(module, body)
    if call is None or not body.args.args or body.args.defaults:
        return None
    index = body.args.args[0].arg
    fold = spelled(module, mistake.node, "fold_in")
    if fold is None or index in (each.id for each in ast.walk(use.argument) if isinstance(each, ast.Name)):
        return None
    if len(module.opened[body].bindings.get(index, ())) != 1:
        return None
    edit = module.replaced(use.argument, f"{fold}({mistake.name}, {index})")
    return Fix(f"Fold `{index}` into `{mistake.name}`", (edit,), safe=False)


def _loop_of(module: Module, body: ast.AST) -> ast.Call | None:
    """Returns the only call, one of `fori_loop`, that a function is given to."""
    name = getattr(body, "name", None)
    if isinstance(body, ast.Lambda):
        calls = [module.parents.get(body)]
    else:
        used = [
            each for each in module.nodes(ast.Name) if each.id == name and isinstance(each.ctx, ast.Load)
            and module.definition(each) is body
        ]  # fmt: skip
        calls = [module.parents.get(each) for each in used]
    if len(calls) == 1 and isinstance(calls[0], ast.Call) and module.called(calls[0]) == "jax.lax.fori_loop":
        return calls[0]
    return None


def _is_name(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_unused(module: Module, target: ast.Name) -> bool:
    """Returns whether a name is never read, other than where it is bound."""
    scope = module.scope_of(target)
    if scope is None or len(scope.bindings.get(target.id, ())) != 1:
        return False
    return not any(
        each.id == target.id and isinstance(each.ctx, ast.Load) and module.scope_of(each) is scope
        for each in module.nodes(ast.Name)
    )


def _same_place(module: Module, first: ast.AST, second: ast.AST) -> bool:
    """Returns whether a name that is bound before one place still stands at the other: same function, same loop."""
    return module.function(first) is module.function(second) and module.loop(first) is module.loop(second)


def _split_before(module: Module, argument: ast.expr | None, name: str) -> Fix | None:
    """Returns the edits that split a key in a statement of its own, and put the new one where it is drawn from."""
    if not isinstance(argument, ast.Name):
        return None
    statement = module.statement(argument)
    if not isinstance(statement, SIMPLE) or any(
        isinstance(each, (*FUNCTIONS, *COMPREHENSIONS)) for each in _between(module, argument, statement)
    ):
        return None
    start, _ = module.span(statement)
    line = module.text.rfind("\n", 0, start) + 1
    indent = module.text[line:start]
    split = spelled(module, statement, "split")
    scope = module.scopes[argument]
    if indent.strip() or split is None or name not in scope.bindings or name in scope.declared:
        return None
    if any(each.kind in ("import", "function", "class") for each in scope.bindings[name]):
        return None
    new = _free_name(module, argument, scope.bindings)
    edits = (Edit(start, start, f"{name}, {new} = {split}({name})\n{indent}"), module.replaced(argument, new))
    return Fix(f"Split `{name}` first, and use the new key here", edits, safe=False)


def _between(module: Module, node: ast.AST, statement: ast.AST) -> list[ast.AST]:
    found = []
    for each in module.around(node):
        if each is statement:
            break
        found.append(each)
    return found


def _free_name(module: Module, node: ast.AST, taken: dict[str, list[Binding]]) -> str:
    """Returns a name for a new key that means nothing yet."""
    used = module.shared("names", lambda one: {each.id for each in one.nodes(ast.Name)}) | set(taken)
    place = 1
    while (name := "subkey" if place == 1 else f"subkey_{place}") in used:
        place += 1
    return name
