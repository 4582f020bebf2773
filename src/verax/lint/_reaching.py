"""Which value a name has for certain where it is read, and whether a value is read at all."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Binding, Function

LOOPS = (ast.For, ast.AsyncFor, ast.While)
PARTIAL = ("functools.partial", "jax.tree_util.Partial", "jax.partial")
# What gives a function that returns what the function given to it returns, on more or fewer axes at most.
MAPPED = {
    "jax.jit", "jax.vmap", "jax.pmap", "jax.checkpoint", "jax.remat", "equinox.filter_jit", "equinox.filter_vmap",
    "flax.nnx.jit", "flax.nnx.vmap", "functools.cache", "functools.lru_cache",
}  # fmt: skip
JITTED = {
    "jax.jit", "jax.checkpoint", "jax.remat", "equinox.filter_jit", "equinox.filter_checkpoint", "flax.nnx.jit",
    "flax.nnx.remat", "haiku.remat", "jax.named_call", "chex.assert_max_traces", "functools.wraps",
}  # fmt: skip


def certain(module: Module, node: ast.expr) -> ast.expr:
    """Returns the expression that a node has the value of on every way to it; else the last node that is known.

    A name is looked through where its last binding stands in the same block or one around it, so that no way leads
    past it; one of an outer function where it is bound once.
    """
    seen: set[ast.AST] = set()
    while node not in seen:
        seen.add(node)
        if isinstance(node, ast.NamedExpr):
            node = node.value
        elif isinstance(node, ast.Name):
            binding = bound(module, node)
            if binding is None or binding.kind != "assign" or binding.value is None or binding.path is None:
                return node
            value = _unpacked(module, binding.value, binding.path)
            if value is None:
                return node
            node = value
        else:
            return node
    return node


def bound(module: Module, name: ast.Name) -> Binding | None:
    """Returns the binding that a name has on every way to it."""
    binding = module.binding(name)
    if binding is None:
        return None
    if module.function(binding.node) is not module.function(name) and not isinstance(binding.node, ast.arg):
        return binding if len(module.bindings(name)) == 1 else None
    if isinstance(binding.node, ast.arg):
        return binding if len(module.bindings(name)) == 1 or _owner(module, binding) is module.function(name) else None
    if binding.at > (name.lineno, name.col_offset):
        return None
    return binding if leads_to(module, binding.node, name) else None


def _owner(module: Module, binding: Binding) -> ast.AST | None:
    return module.parents.get(module.parents[binding.node])


def leads_to(module: Module, first: ast.AST, then: ast.AST) -> bool:
    """Returns whether no way within their function leads to the second node but past the first, which stands before."""
    block = module.parents.get(module.statement(first)) if not isinstance(first, ast.arg) else None
    return block is None or any(each is block for each in module.around(then))


def _unpacked(module: Module, value: ast.expr, path: tuple[int, ...]) -> ast.expr | None:
    for place in path:
        value = certain(module, value)
        if not isinstance(value, ast.Tuple | ast.List) or any(isinstance(each, ast.Starred) for each in value.elts):
            return None
        if not -len(value.elts) <= place < len(value.elts):
            return None
        value = value.elts[place]
    return value


def loads(module: Module) -> dict[str, list[ast.Name]]:
    """Returns where names are read, by name, in the order of the text."""
    return module.shared("loads", _loads)


def _loads(module: Module) -> dict[str, list[ast.Name]]:
    found: dict[str, list[ast.Name]] = defaultdict(list)
    for name in module.nodes(ast.Name):
        if isinstance(name.ctx, ast.Load):
            found[name.id].append(name)
    return found


def reads(module: Module, binding: Binding) -> list[ast.Name]:
    """Returns where the value of a binding may be read.

    What another binding always comes before is left out; a loop may lead back.
    """
    home = module.function(binding.node)
    found: list[ast.Name] = []
    for name in loads(module).get(binding.name, ()):
        every = module.bindings(name)
        if binding not in every:
            continue
        if module.function(name) is not home:
            found.append(name)
            continue
        at = (name.lineno, name.col_offset)
        rivals = [
            each
            for each in every
            if each is not binding and each.kind not in ("augmented", "param") and each.at <= at
            and leads_to(module, each.node, name)
        ]  # fmt: skip
        is_past = binding.at <= at and not module.apart(binding.node, name)
        if is_past and not any(each.at > binding.at for each in rivals):
            found.append(name)
            continue
        loop = _common_loop(module, binding.node, name)
        if loop is not None and not any(loop in module.around(each.node) for each in rivals):
            found.append(name)
    return found


def is_read(module: Module, binding: Binding) -> bool:
    """Returns whether the value of a binding may be read."""
    if any(each.kind == "augmented" for each in _siblings(module, binding)):
        return True
    scope = module.scopes[binding.node]
    return binding.name in scope.declared or bool(reads(module, binding))


def _siblings(module: Module, binding: Binding) -> list[Binding]:
    for scope in module.scopes[binding.node].chain():
        every = scope.bindings.get(binding.name, [])
        if binding in every:
            return every
    return []


def _common_loop(module: Module, one: ast.AST, other: ast.AST) -> ast.AST | None:
    mine = [each for each in module.around(one) if isinstance(each, LOOPS)]
    return next((each for each in module.around(other) if each in mine), None)


def target_bindings(module: Module, statement: ast.stmt, target: ast.expr) -> Binding | None:
    """Returns the binding that an assignment makes of one of its targets."""
    if not isinstance(target, ast.Name):
        return None
    for scope in module.scopes[target].chain():
        for each in scope.bindings.get(target.id, ()):
            if each.node is statement:
                return each
    return None


def returned(module: Module, function: Function) -> list[ast.expr | None]:
    """Returns what a function returns: the expressions of its `return` statements, or the body of a lambda."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [each.value for each in module.shared("return statements", _returns).get(function, ())]


def _returns(module: Module) -> dict[Function, list[ast.Return]]:
    found: dict[Function, list[ast.Return]] = defaultdict(list)
    for each in module.nodes(ast.Return):
        function = module.function(each)
        if function is not None:
            found[function].append(each)
    return found


def is_plain(module: Module, function: Function) -> bool:
    """Returns whether a call of a function gives what its `return` says: no generator, and no unknown decorator."""
    if isinstance(function, ast.Lambda):
        return True
    if isinstance(function, ast.AsyncFunctionDef) or function in module.shared("generators", _generators):
        return False
    for each in function.decorator_list:
        name = module.dotted(each)
        if name is None and isinstance(each, ast.Call):
            name = module.dotted(each.func)
            if name in PARTIAL and each.args:
                name = module.dotted(each.args[0])
        if name not in JITTED and name not in ("builtins.staticmethod", "builtins.classmethod"):
            return False
    return True


def _generators(module: Module) -> set[Function | None]:
    return {module.function(each) for each in module.nodes(ast.Yield, ast.YieldFrom)}


def callee(module: Module, call: ast.Call) -> str | None:
    """Returns the dotted name of what a call calls, through `partial`, `jit`, `vmap` and names of these."""
    return function_name(module, call.func)


def function_name(module: Module, node: ast.expr) -> str | None:
    """Returns the dotted name of a function, through `partial`, `jit`, `vmap` and names of these."""
    for _ in range(8):
        name = module.dotted(node)
        if name is not None:
            return name
        node = certain(module, node)
        if isinstance(node, ast.Call) and node.args and module.dotted(node.func) in (*PARTIAL, *MAPPED):
            node = node.args[0]
        elif not isinstance(node, ast.Attribute | ast.Name):
            return None
    return None


def attribute_values(module: Module, node: ast.Attribute) -> list[ast.expr]:
    """Returns what `self.name` is assigned in the class around, and in the bases of it in this file."""
    if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls"):
        return []
    owner = module.class_around(node)
    return [] if owner is None else class_values(module, owner, node.attr)


def class_values(module: Module, owner: ast.ClassDef, name: str) -> list[ast.expr]:
    """Returns what an attribute of a class is assigned in its methods, and in its body."""
    known: dict[tuple[ast.ClassDef, str], list[ast.expr]] = module.shared("attributes", _attributes)
    found: list[ast.expr] = []
    left, seen = [owner], set()
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        found += known.get((each, name), [])
        left += [base for node in each.bases if isinstance(base := module.definition(node), ast.ClassDef)]
    return found


def _attributes(module: Module) -> dict[tuple[ast.ClassDef, str], list[ast.expr]]:
    found: dict[tuple[ast.ClassDef, str], list[ast.expr]] = defaultdict(list)
    for statement in module.nodes(ast.Assign, ast.AnnAssign, ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                owner = module.class_around(target)
                if owner is not None and statement.value is not None:
                    found[owner, target.attr].append(statement.value)
            elif isinstance(target, ast.Name) and statement.value is not None:
                owner = module.scopes[target].node
                if isinstance(owner, ast.ClassDef):
                    found[owner, target.id].append(statement.value)
            elif isinstance(target, ast.Tuple | ast.List):
                for each in target.elts:
                    if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self":
                        owner = module.class_around(each)
                        if owner is not None and statement.value is not None:
                            found[owner, each.attr] += [statement.value, statement.value]  # parts are not known
    return found


def is_same(one: ast.AST, other: ast.AST) -> bool:
    """Returns whether two expressions are spelled the same."""
    return type(one) is type(other) and ast.dump(one) == ast.dump(other)


def words(name: str) -> list[str]:
    """Returns the words of a name, in lower case: `evalStep_2` is eval, step, 2."""
    return [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def spelled(module: Module, dotted: str, at: ast.AST) -> str | None:
    """Returns how a module is spelled where a node stands, by what the file imports at its top; None if it is not."""
    top = module.opened[module.tree]
    found: list[str] = []
    for name, every in top.bindings.items():
        if len(every) != 1 or every[0].kind != "import" or module.parents.get(every[0].node) is not module.tree:
            continue
        origin = every[0].origin or ""
        hidden = any(name in scope.bindings for scope in module.scopes[at].chain() if scope is not top)
        if not hidden and (dotted == origin or dotted.startswith(f"{origin}.")):
            found.append(name + dotted[len(origin) :])
    return min(found, key=len) if found else None


def is_test(module: Module, node: ast.AST) -> bool:
    """Returns whether a node stands in a unit test: a function called `test...`, but not a step of a test loop."""
    return any(
        not isinstance(each, ast.Lambda)
        and each.name.startswith("test")
        and words(each.name)[1:2] not in (["step"], ["epoch"], ["loop"], ["batch"])
        and each.name != "test"
        for each in module.functions(node)
    )


def function_names(module: Module, node: ast.AST) -> list[str]:
    """Returns the names of the functions that a node stands in, from the innermost out."""
    return [each.name for each in module.functions(node) if not isinstance(each, (ast.Lambda))]


def inner_nodes(node: ast.AST) -> list[ast.AST]:
    """Returns a node and all below it, without the insides of functions and classes in it."""
    found, left = [], [node]
    while left:
        each = left.pop()
        found.append(each)
        if each is node or not isinstance(each, (*FUNCTIONS, ast.ClassDef)):
            left.extend(ast.iter_child_nodes(each))
    return found
