"""VX111: one key under two names of random streams."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._key_fixes import spelled
from verax.lint._key_names import MADE, key_like
from verax.lint._module import Module, keyword
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

FIRST = ("init", "init_with_output", "lazy_init")
RNGS = ("flax.nnx.Rngs",)


@rule("VX111", "same-key-for-two-streams", "warning")
def same_key_for_two_streams(module: Module) -> Iterator[Found]:
    """One key under several names of the streams that a Flax model draws from.

    `make_rng("params")` and `make_rng("dropout")` then give the same keys, so weights and masks are related.

    Bad:

        model.init({"params": key, "dropout": key}, x)

    Good:

        params_key, dropout_key = random.split(key)
        model.init({"params": params_key, "dropout": dropout_key}, x)

    Looked at are the first argument of `init`, `rngs=`, and the keywords of `nnx.Rngs`. The fix is unsafe, as it
    changes the numbers: it folds another number into the key of each further stream.
    """
    seen: set[ast.AST] = set()
    for call in module.nodes(ast.Call):
        for streams in _streams(module, call):
            first = streams[0][1]
            if first in seen:
                continue
            seen.add(first)
            yield from _same(module, streams)


def _streams(module: Module, call: ast.Call) -> Iterator[list[tuple[str, ast.expr]]]:
    """Yields the names and keys of each mapping of streams in a call."""
    rngs = keyword(call, "rngs")
    if rngs is not None:
        yield from _named(module, rngs.value)
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr in FIRST and call.args and module.dotted(func) is None:
        for found in _named(module, call.args[0]):
            if all(_is_key(module, each) for _, each in found):
                yield found
    elif len(call.keywords) + len(call.args) > 1 and module.dotted(func) in RNGS and len(call.args) < 2:
        found = [("default", each) for each in call.args]
        found += [(each.arg, each.value) for each in call.keywords if each.arg is not None]
        if found:
            yield found


def _named(module: Module, node: ast.expr) -> Iterator[list[tuple[str, ast.expr]]]:
    node = module.value(node)
    if isinstance(node, ast.Dict):
        found = [
            (str(name.value) if isinstance(name, ast.Constant) else ast.unparse(name), value)
            for name, value in zip(node.keys, node.values, strict=True)
            if name is not None
        ]
    elif isinstance(node, ast.Call) and module.dotted(node.func) == "builtins.dict":
        found = [(each.arg, each.value) for each in node.keywords if each.arg is not None]
    else:
        return
    if len(found) > 1:
        yield found


def _is_key(module: Module, node: ast.expr) -> bool:
    value = module.value(node)
    return key_like(ast.unparse(node)) or key_like(ast.unparse(value)) or module.called(value) in MADE


def _same(module: Module, streams: list[tuple[str, ast.expr]]) -> Iterator[Found]:
    found: dict[object, tuple[str, ast.expr]] = {}
    for place, (name, node) in enumerate(streams):
        identity = _identity(module, node)
        if identity is None:
            continue
        if identity not in found:
            found[identity] = (name, node)
            continue
        other = found[identity][0]
        message = (
            f"the streams `{other}` and `{name}` get the same key `{ast.unparse(node)}`, so draw the same numbers; "
            "split it, one key for each stream."
        )
        yield Found(node, message, _fix(module, node, place))
        return


def _identity(module: Module, node: ast.expr) -> object:
    """Returns what is equal for two expressions that are the same key; None where that is not known."""
    if isinstance(node, ast.Constant):
        return ("literal", node.value) if isinstance(node.value, int) else None
    if isinstance(node, ast.Call):
        plain = module.dotted(node.func) in ("jax.random.key", "jax.random.PRNGKey")
        return ast.unparse(node) if plain and not any(isinstance(each, ast.Call) for each in node.args) else None
    if isinstance(node, ast.Name):
        value = module.value(node)
        if isinstance(value, ast.Name):
            return module.binding(value) or value.id
        return value
    root = node
    while isinstance(root, ast.Attribute | ast.Subscript):
        if isinstance(root, ast.Subscript) and not isinstance(root.slice, ast.Constant | ast.Name):
            return None
        root = root.value
    return ast.unparse(node) if isinstance(root, ast.Name) else None


def _fix(module: Module, node: ast.expr, place: int) -> Fix | None:
    fold = spelled(module, node, "fold_in")
    if fold is None or isinstance(node, ast.Constant):
        return None
    new = f"{fold}({module.source(node)}, {place})"
    return Fix(f"Use {new}", (module.replaced(node, new),), safe=False)
