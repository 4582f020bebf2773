"""What parameters of traced functions and fields of classes hold, by annotation and default."""

from __future__ import annotations

import ast

from verax.lint._annotations import unquoted
from verax.lint._module import Module
from verax.lint._scopes import Function
from verax.lint._taint_levels import ARRAY, FLAG, PLAIN, SEQUENCE, TREE, Env, Value, flat
from verax.lint._taint_names import ARRAY_TYPES, FLAG_NAMES, PLAIN_TYPES
from verax.lint._taint_syntax import is_none, last_part
from verax.lint._traced import Transform
from verax.lint._transforms import BODIES, JITS, KEEPS_PYTHON, PARTIAL, function_given

PYTREE_BASES = {"typing.NamedTuple", "flax.struct.PyTreeNode", "equinox.Module", "typing_extensions.NamedTuple"}
PYTREE_DECORATORS = {
    "flax.struct.dataclass", "chex.dataclass", "jax.tree_util.register_dataclass",
    "jax.tree_util.register_pytree_node_class",
    "jax.tree_util.register_static", "chex.mappable_dataclass", "jax_dataclasses.pytree_dataclass",
    "jax.tree_util.register_pytree_with_keys_class", "tjax.dataclasses.dataclass", "flax.nnx.dataclass",
    "flax.nnx.register_data_type", "simple_pytree.dataclass",
}  # fmt: skip


def params_of(module: Module, node: Function, transforms: list[Transform]) -> Env:
    """Returns what the parameters of a traced function are."""
    if any(each.name.endswith("pallas_call") for each in transforms):
        return {}  # references to memory, which a kernel writes
    static = frozenset[str]().union(*(each.static for each in transforms))
    keeps = any(each.name in KEEPS_PYTHON for each in transforms)
    jitted = all(each.name in JITS for each in transforms)
    body = any(each.name in BODIES for each in transforms)
    eager = all(each.way == "eager" for each in transforms)
    found: Env = {}
    by_place = [*node.args.posonlyargs, *node.args.args]
    defaults = dict(zip([each.arg for each in by_place[::-1]], node.args.defaults[::-1], strict=False))
    for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            defaults[each.arg] = default
    for place, each in enumerate([*by_place, *node.args.kwonlyargs]):
        if each.arg in static or (place == 0 and each.arg in ("self", "cls")):
            continue
        default = defaults.get(each.arg)
        is_given = default is None or (jitted and not isinstance(node, ast.Lambda))
        if each not in by_place and not jitted and not eager:
            is_given = False
        value = _parameter(module, each, default, jitted=jitted, body=body, keeps=keeps)
        if is_given or (isinstance(default, ast.Constant) and default.value is None and jitted):
            if flat(value) == FLAG and (eager or (default is not None and _is_partial(module, transforms))):
                continue
            if default is not None and flat(value) != FLAG:
                unseen = is_none(default) or not static  # who names what is static gives nothing else like it
                if not _is_passed(module, node, each.arg, place, unseen):
                    continue  # the default stays, a Python value
            found[each.arg] = value
    if not keeps and node.args.vararg is not None and not static:
        found[node.args.vararg.arg] = SEQUENCE
    return found


def _is_partial(module: Module, transforms: list[Transform]) -> bool:
    """Returns whether what is traced is made by `partial`, which gives what is meant to be static."""
    for each in transforms:
        given = function_given(module, each.call) if isinstance(each.call, ast.Call) else None
        if given is None or module.called(module.value(given)) not in PARTIAL:
            return False
    return True


def _is_passed(module: Module, function: Function, name: str, place: int, unseen: bool) -> bool:
    """Returns whether a call of this file may give a parameter that has a default; `unseen` where there is none."""
    if isinstance(function, ast.Lambda):
        return True
    calls: list[ast.Call] = module.shared("calls by name", _calls_by_name).get(function.name, [])
    if isinstance(module.parents.get(function), ast.ClassDef):
        place -= 1
    if not calls:
        return unseen
    return any(
        place < len(each.args)
        or any(isinstance(one, ast.Starred) for one in each.args)
        or any(one.arg in (None, name) for one in each.keywords)
        for each in calls
    )


def _calls_by_name(module: Module) -> dict[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = {}
    for each in module.nodes(ast.Call):
        last = last_part(each.func)
        if last is not None:
            found.setdefault(last, []).append(each)
    return found


def _parameter(
    module: Module, node: ast.arg, default: ast.expr | None, *, jitted: bool, body: bool, keeps: bool
) -> Value:
    """Returns what a parameter that is given as a traced value is."""
    kind = annotated(module, node.annotation)
    if keeps:
        return ARRAY if kind == ARRAY and _is_array_type(module, node.annotation) else PLAIN
    if kind == FLAG and body:
        return ARRAY
    if kind is not None:
        return kind
    if isinstance(default, ast.Constant):
        if isinstance(default.value, bool | str):
            return FLAG
        if default.value is None or isinstance(default.value, int | float):
            return TREE
        return PLAIN
    if default is not None:
        return TREE if isinstance(default, ast.UnaryOp) else PLAIN
    if jitted and (node.arg in FLAG_NAMES):
        return FLAG
    return TREE


def annotated(module: Module, node: ast.expr | None) -> Value | None:
    """Returns what an annotation says of a traced value; None where it says nothing."""
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        inner = unquoted(module, node)
        return None if inner is node else annotated(module, inner)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        kinds = {annotated(module, each) for each in (node.left, node.right) if not is_none(each)}
        return kinds.pop() if len(kinds) == 1 else TREE
    if isinstance(node, ast.Subscript):
        name = last_part(node.value)
        if name == "Optional":
            return annotated(module, node.slice)
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            return annotated(module, node.slice.elts[0])
        if name == "Literal":
            return FLAG
        if name in ARRAY_TYPES:
            return ARRAY
        if name in PLAIN_TYPES:
            return PLAIN
        return TREE
    name = last_part(node)
    if name in ("bool", "str"):
        return FLAG
    if name in ("int", "float", "complex") or name in ARRAY_TYPES:
        return ARRAY
    if name in PLAIN_TYPES or (name or "").endswith(("Config", "Module")):
        return PLAIN
    try:
        owner = module.definition(node) if node in module.scopes else None
    except KeyError:
        owner = None
    if isinstance(owner, ast.ClassDef):
        return owner if is_pytree(module, owner) else PLAIN
    return TREE


def fields_of(module: Module, owner: ast.ClassDef) -> Env:
    """Returns what the fields of a class of arrays are."""
    cache: dict[ast.ClassDef, Env] = module.shared("fields of classes", lambda module: {})
    if owner not in cache:
        cache[owner] = found = {}
        for each in owner.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                is_static = each.value is not None and any(
                    isinstance(one, ast.keyword) and one.arg in ("pytree_node", "static", "metadata")
                    for one in ast.walk(each.value)
                )
                kind = annotated(module, each.annotation)
                plain = kind is None or kind == FLAG or is_static or last_part(each.annotation) in ("Any", "object")
                found[each.target.id] = PLAIN if plain else kind  # type: ignore[assignment]
    return cache[owner]


def _is_array_type(module: Module, node: ast.expr | None) -> bool:
    node = unquoted(module, node)
    if isinstance(node, ast.Subscript):
        return last_part(node.value) in ARRAY_TYPES
    return last_part(node) in ARRAY_TYPES and last_part(node) not in ("ArrayLike", "Scalar")


def is_pytree(module: Module, owner: ast.ClassDef) -> bool:
    """Returns whether a class of this file is a tree of arrays for JAX, by a base or a decorator that says so."""
    if module.bases(owner) & PYTREE_BASES:
        return True
    for each in owner.decorator_list:
        name = module.dotted(each)
        if name is None and isinstance(each, ast.Call):
            name = module.dotted(each.func)
            if name in ("functools.partial",) and each.args:
                name = module.dotted(each.args[0])
        if name in PYTREE_DECORATORS:
            return True
    return False
