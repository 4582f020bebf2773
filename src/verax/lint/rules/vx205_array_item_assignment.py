"""VX205: JAX arrays cannot be written in place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._mutation import method_self
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import Binding
from verax.lint._taint import taint
from verax.lint._taint_levels import TREE, is_array
from verax.lint._taint_names import ARRAY_ATTRIBUTES, ARRAY_METHODS, SEVERAL_NUMPY, STATIC_NUMPY, TREE_LAX

NO_ARRAYS = STATIC_NUMPY | SEVERAL_NUMPY
RANDOM = {
    "normal", "uniform", "randint", "bernoulli", "permutation", "choice", "gumbel", "categorical", "truncated_normal",
    "exponential", "beta", "gamma", "laplace", "dirichlet", "poisson", "split",
}  # fmt: skip
LAX = {
    "dot",
    "dot_general",
    "conv",
    "reshape",
    "concatenate",
    "dynamic_slice",
    "dynamic_update_slice",
    "select",
    "iota",
}
OPERATIONS = {
    ast.Add: "add({})",
    ast.Sub: "add(-({}))",
    ast.Mult: "multiply({})",
    ast.Div: "divide({})",
    ast.Pow: "power({})",
}


@rule("VX205", "array-item-assignment", "error")
def array_item_assignment(module: Module) -> Iterator[Found]:
    """An element of a JAX array is assigned.

    JAX arrays are immutable: `x[0] = 1` raises TypeError. `x.at[0].set(1)` returns the changed array, and compiled code
    does it in place where it can.

    Bad:

        x = jnp.zeros(3)
        x[0] = 1.0

    Good:

        x = jnp.zeros(3)
        x = x.at[0].set(1.0)

    The fix is safe where a plain name is assigned. NumPy arrays, lists, dictionaries and references in Pallas kernels
    are fine. Not seen: arrays that come from functions of other files.
    """
    for kind in (ast.Assign, ast.AugAssign, ast.AnnAssign):
        for node in module.nodes(kind):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in [one for each in targets for one in _flat(each)]:
                if isinstance(target, ast.Subscript) and node.value is not None:
                    root = target.value
                    while isinstance(root, ast.Subscript):
                        root = root.value
                    if _is_jax(module, root, set()) or _is_parameter(module, root, target):
                        name = module.source(root)
                        text = f"`{name}` is a JAX array, whose elements cannot be assigned. "
                        yield Found(target, text + _advice(module, node, target), _fix(module, node, target))


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _flat(each)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def _is_jax(module: Module, node: ast.expr | None, seen: set[ast.AST]) -> bool:
    """Returns whether an expression is a JAX array for sure."""
    if node is None or node in seen:
        return False
    seen.add(node)
    if isinstance(node, ast.Name):
        return _is_bound_to_jax(module, node, seen)
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            values = _assigned(module, node)
            return bool(values) and all(_is_jax(module, each, seen) for each in values)
        return node.attr in ARRAY_ATTRIBUTES - {"at"} and _is_jax(module, node.value, seen)
    if isinstance(node, ast.Call):
        name = module.dotted(node.func)
        if name is not None:
            library, _, last = name.rpartition(".")
            if library == "jax.numpy":
                return last not in NO_ARRAYS and not last[0].isupper() and not (last == "where" and len(node.args) == 1)
            if library == "jax.random":
                return last in RANDOM
            if library == "jax.nn":
                return last not in ("make_initializer", "initializers")
            return library == "jax.lax" and last in LAX and last not in TREE_LAX
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Subscript) and isinstance(owner.value, ast.Attribute) and owner.value.attr == "at":
                return _is_jax(module, owner.value.value, seen)
            return node.func.attr in ARRAY_METHODS - {"nonzero"} and _is_jax(module, owner, seen)
        return False
    if isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        if any(isinstance(each, ast.List | ast.Tuple | ast.JoinedStr | ast.ListComp) for each in sides):
            return False
        return any(_is_jax(module, each, seen) for each in sides)
    if isinstance(node, ast.UnaryOp):
        return not isinstance(node.op, ast.Not) and _is_jax(module, node.operand, seen)
    if isinstance(node, ast.Subscript):
        return _is_jax(module, node.value, seen)
    if isinstance(node, ast.IfExp):
        return _is_jax(module, node.body, seen) and _is_jax(module, node.orelse, set(seen))
    return isinstance(node, ast.NamedExpr) and _is_jax(module, node.value, seen)


def _is_bound_to_jax(module: Module, node: ast.Name, seen: set[ast.AST]) -> bool:
    binding = module.binding(node)
    if binding is None:
        return False
    found = [binding]
    if _is_conditional(module, binding, node) or module.scope_of(node) is not module.scopes[node]:
        found = [each for each in module.bindings(node) if each.at <= (node.lineno, node.col_offset)]
        found = found or module.bindings(node)
    return all(_binds_jax(module, each, seen) for each in found)


def _binds_jax(module: Module, binding: Binding, seen: set[ast.AST]) -> bool:
    if binding.kind == "augmented":
        target = getattr(binding.node, "target", None)
        if isinstance(target, ast.Name) and target not in seen:
            seen.add(target)
            before = [each for each in module.bindings(target) if each.at < binding.at]
            return bool(before) and _binds_jax(module, before[-1], seen)
        return False
    if binding.kind != "assign" or binding.value is None:
        return False
    value = binding.value
    if binding.path == ():
        return _is_jax(module, value, seen)
    if binding.path and len(binding.path) == 1 and isinstance(value, ast.Tuple):
        place = binding.path[0]
        if -len(value.elts) <= place < len(value.elts) and not any(
            isinstance(each, ast.Starred) for each in value.elts
        ):
            return _is_jax(module, value.elts[place], seen)
    return False


def _is_conditional(module: Module, binding: Binding, node: ast.Name) -> bool:
    """Returns whether what binds a name may not have run where it is read."""
    around = set(module.around(node))
    for each in module.around(binding.node):
        if each in around:
            return False
        if isinstance(each, ast.If | ast.Try | ast.Match | ast.For | ast.While):
            return True
    return False


def _assigned(module: Module, node: ast.Attribute) -> list[ast.expr | None]:
    """Returns all that is assigned to an attribute of `self` in its class; one None where more is unknown."""
    method = method_self(module, node)
    if method is None or "?" in module.bases(method[1]) or any("nnx" in each for each in module.bases(method[1])):
        return [None]
    table: dict[tuple[ast.ClassDef, str], list[ast.expr | None]] = module.shared("self attributes", _attributes)
    return table.get((method[1], node.attr), [])


def _attributes(module: Module) -> dict[tuple[ast.ClassDef, str], list[ast.expr | None]]:
    found: dict[tuple[ast.ClassDef, str], list[ast.expr | None]] = {}
    for kind in (ast.Assign, ast.AnnAssign, ast.For, ast.AugAssign, ast.withitem):
        for node in module.nodes(kind):
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.withitem):
                targets = [] if node.optional_vars is None else [node.optional_vars]
            else:
                targets = [node.target]
            for target in [one for each in targets for one in _flat(each)]:
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    owner = module.class_around(node)
                    if owner is None or isinstance(node, ast.AugAssign):
                        continue
                    is_whole = isinstance(node, ast.Assign | ast.AnnAssign) and target in targets
                    value = node.value if is_whole and isinstance(node, ast.Assign | ast.AnnAssign) else None
                    found.setdefault((owner, target.attr), []).append(value)
    return found


def _is_parameter(module: Module, node: ast.expr, target: ast.Subscript) -> bool:
    """Returns whether a name is a parameter of a jitted function, or made from one, and an array."""
    if not isinstance(node, ast.Name) or node.id.endswith(("_ref", "_refs")):
        return False
    known = taint(module)
    level, index = known.of(node), target.slice
    if isinstance(index, ast.Constant) and index.value is Ellipsis:
        return False  # how the whole of a reference or of a variable of nnx is written
    if is_array(level):
        return not isinstance(index, ast.Constant) or not isinstance(index.value, str)
    is_place = isinstance(index, ast.Slice | ast.Tuple | ast.UnaryOp | ast.BinOp) or is_array(known.of(index))
    if isinstance(index, ast.Constant):
        is_place = isinstance(index.value, int)
    return level == TREE and is_place


def _advice(module: Module, node: ast.stmt, target: ast.Subscript) -> str:
    if not isinstance(target.value, ast.Name):
        return "Use .at[...].set(...), which returns the changed array."
    method = "set(...)"
    if isinstance(node, ast.AugAssign):
        method = OPERATIONS.get(type(node.op), "set(...)").replace("{}", "...").replace("-(...)", "-...")
    name, index = target.value.id, " ".join(module.source(target.slice).split())
    index = index if len(index) < 30 else "..."
    return f"Use {name} = {name}.at[{index}].{method}."


def _fix(module: Module, node: ast.stmt, target: ast.Subscript) -> Fix | None:
    name = target.value
    if not isinstance(name, ast.Name) or module.scope_of(name) is not module.scopes[name]:
        return None
    end = module.span(target)[1]
    index = module.text[module.span(name)[1] : end]
    if isinstance(node, ast.Assign) and node.targets == [target]:
        value, form = node.value, "set({})"
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATIONS:
        value, form = node.value, OPERATIONS[type(node.op)]
    else:
        return None
    source = module.source(value)
    last = module.span(node)[1]
    first = module.span(value)[0]
    between = module.text[end:first]
    if between.strip() not in ("=", "+=", "-=", "*=", "/=", "**=") or module.text[module.span(value)[1] : last].strip():
        return None  # parentheses or comments around the value
    if isinstance(value, ast.Tuple) and not source.startswith("("):
        source = f"({source})"
    new = f"{name.id} = {name.id}.at{index}.{form.format(source)}"
    return Fix(f"Use {name.id}.at[...]", (module.replaced(node, new),), safe=True)
