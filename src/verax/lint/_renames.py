"""Reports on stale names, and the edits that write what took their place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from verax.lint._axes import is_flat, is_shape_lost
from verax.lint._imports import added_import
from verax.lint._module import Module, argument, has_stars
from verax.lint._replacements import ADVICE, VALUES, replacement
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found
from verax.lint._tables import ROOTS, table
from verax.lint._transforms import PARTIAL
from verax.lint._uses import Use, real_name, uses, visible
from verax.lint._versions import target

# Modules that are there once their package is imported.
LOADED = {
    "jax", "jax.numpy", "jax.numpy.linalg", "jax.numpy.fft", "jax.lax", "jax.nn", "jax.nn.initializers", "jax.random",
    "jax.tree", "jax.tree_util", "jax.scipy", "jax.core", "jax.debug", "jax.dtypes", "jax.sharding", "jax.export",
    "jax.image", "jax.ops", "jax.errors", "jax.stages", "jax.profiler", "optax", "optax.contrib", "optax.losses",
    "optax.second_order", "optax.tree_utils", "optax.projections", "optax.schedules", "flax", "flax.linen", "flax.core",
    "flax.nnx", "functools",
}  # fmt: skip
# The rule that reports a stale name, by how the name begins; the first that fits.
FAMILIES = {
    "VX401": r"jax\.(tree_(?!util\b)\w+|treedef_\w+|tree_util\.tree_multimap)$",
    "VX402": r"jax\.partial$",
    "VX403": r"jax\.ops\.(index(_\w+)?|scatter)$",
    "VX404": r"jax\.experimental\.",
    "VX409": r"jax\.numpy\.",
    "VX405": r"jax\.",
    "VX406": r"flax\.",
    "VX408": r"optax\.",
}
# Of functions that moved: what the places after the first are called in the new one, and its names of keywords.
PLACES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "jax.experimental.shard_map.shard_map": (
        ("mesh", "in_specs", "out_specs", "check_vma"),
        {"check_rep": "check_vma"},
    ),
    "jax.experimental.pjit.pjit": ((), {}),
}
# Of functions that take their arguments in the same places: what its names of keywords are called in the new one.
KEYWORDS: dict[str, dict[str, str]] = {"jax.numpy.in1d": {"ar1": "element", "ar2": "test_elements"}}
ASKED = re.compile(r"\b(?:used?|please|refer|replaced?|replacement)\b", re.I)  # of the sentence that helps
LONG = 160  # characters of what a release says, in a message of one line


def stale(module: Module, code: str) -> Iterator[Found]:
    """Yields the reports of one rule on stale names."""
    for use in uses(module):
        if rule_of_use(use) == code:
            yield stale_found(module, use)


def rule_of_use(use: Use) -> str:
    """Returns the code of the rule that a use belongs to."""
    dotted = use.dotted
    if use.way == "unknown":
        return "VX401" if moved_tree_name(dotted) else "VX411"
    for code, pattern in FAMILIES.items():
        if re.match(pattern, dotted):
            return code
    return "VX411"  # of libraries that have no rule of their own


def moved_tree_name(dotted: str) -> str | None:
    """Returns where a name is that `jax` never had, but `jax.tree_util` has: `jax.tree_all`."""
    package, _, name = dotted.rpartition(".")
    there = f"jax.tree_util.{name}"
    return there if package == "jax" and name.startswith("tree") and table("jax").added(there) else None


def stale_found(module: Module, use: Use) -> Found:
    """Returns the report on a stale name, with a fix where one name takes the place of the other."""
    if use.stale is None:
        new = moved_tree_name(use.dotted) or ""
        return Found(use.node, f"jax has no {use.dotted[4:]}. Use {new}.", renamed(module, use, new, safe=True))
    limits = target(module, use.package)
    new = replacement(use.dotted, use.stale, limits)
    message = f"{use.dotted} {use.since}."
    advice = ADVICE.get(use.dotted)
    if advice is None and new is not None:
        advice = f"Use {new[0]}."
    elif advice is None:
        advice = _advice(use.stale.said)
    fix = None
    if use.dotted in VALUES and isinstance(use.node, ast.Attribute):
        fix = _value(module, use.node, VALUES[use.dotted])
    elif new is not None:
        package = new[0].partition(".")[0]
        is_there = package not in ROOTS or limits.always_has(table(package).added(new[0]) or limits.oldest)
        is_same = new[1] or (use.dotted == "jax.numpy.in1d" and _is_any_shape(module, use.node))
        fix = renamed(module, use, new[0], safe=is_same and is_there)
    return Found(use.node, f"{message} {advice}" if advice else message, fix, use.level)


def _is_any_shape(module: Module, node: ast.AST) -> bool:
    """Returns whether a call of `in1d` gives what `isin` gives: of one axis, or where its shape is lost."""
    call = module.parents.get(node)
    if not isinstance(call, ast.Call) or call.func is not node:
        return False
    first = argument(call, 0, "ar1")
    return (first is not None and is_flat(module, first)) or is_shape_lost(module, call)


def _advice(said: str) -> str | None:
    """Returns the sentence of a release's message that says what to do, short enough for a line."""
    sentence = next((each for each in re.split(r"(?<=[.;:]) ", said) if ASKED.search(each)), None)
    if sentence is None:
        return None
    text = sentence if sentence[:4] in ("jax.", "jnp.") else sentence[:1].upper() + sentence[1:]
    text = text if len(text) <= LONG else f"{text[:LONG].rpartition(' ')[0]} ..."
    return text.rstrip(";:") if text.endswith((".", ";", ":")) else f"{text}."


def renamed(module: Module, use: Use, new: str, *, safe: bool) -> Fix | None:
    """Returns the edits that put a name in the place of one that is used; None where they are not known."""
    title = f"Replace by {new}"
    node = use.node
    calls = _calls(module, use) if use.dotted in PLACES else _keywords(module, use)
    if calls is None:
        return None  # it is used in a way that the other function has not
    if isinstance(node, ast.Attribute):
        text, edits = expression(module, node, new)
        return Fix(title, (module.replaced(node, text), *edits, *calls), safe)
    if isinstance(node, ast.alias):
        edits = _alias(module, node, new)
        return None if edits is None else Fix(title, (*edits, *calls), safe)
    if isinstance(node, ast.ImportFrom):
        return _import_from(module, node, use.dotted, new, safe=safe)
    if isinstance(node, ast.Import):
        return _import(module, node, use, new, safe=safe)
    return None


def expression(module: Module, node: ast.expr, new: str) -> tuple[str, tuple[Edit, ...]]:
    """Returns how a name is written where a node stands, and the imports that it needs.

    As much as possible of what the node itself is written with is kept.
    """
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        inner = inner.value
        base = real_name(module, inner)
        if base is not None and new.startswith(f"{base}.") and _is_loaded(new, base):
            return module.source(inner) + new[len(base) :], ()
    package, _, name = new.rpartition(".")
    top = module.opened[module.tree].bindings
    for local, bindings in top.items():
        base, at = bindings[0].origin or "", (node.lineno, node.col_offset)
        if bindings[0].kind == "import" and f"{new}.".startswith(f"{base}.") and _is_loaded(new, base):
            is_before = bindings[0].at < at or module.function(node) is not None
            if is_before and visible(module, node, local) == base:
                return local + new[len(base) :], ()
    root = package.partition(".")[0]
    if root in ROOTS and table(root).module(new) is not None and new not in LOADED:
        return added_import(module, new)
    if package not in LOADED or "." not in package:
        local, edits = added_import(module, package)
        return f"{local}.{name}", edits
    local, edits = added_import(module, root)
    return local + new[len(root) :], edits


def _is_loaded(new: str, base: str) -> bool:
    """Returns whether a name is reached from a module that is imported, without another import."""
    package = new.rpartition(".")[0]
    return base == new or package == base or package in LOADED


def _value(module: Module, node: ast.Attribute, template: str) -> Fix:
    text = template.format(module.source(node.value))
    parent = module.parents.get(node)
    if isinstance(parent, ast.BinOp | ast.UnaryOp | ast.Attribute | ast.Subscript) and text.startswith("-"):
        text = f"({text})"
    return Fix(f"Replace by {text}", (module.replaced(node, text),), safe=True)


def _calls(module: Module, use: Use) -> tuple[Edit, ...] | None:
    """Returns the edits of the calls of a function whose arguments the new one takes by name only; or None."""
    names, renamed_to = PLACES[use.dotted]
    edits: list[Edit] = []
    for node in places(module, use):
        call = module.parents.get(node)
        if not isinstance(call, ast.Call) or has_stars(call):
            return None
        given = call.args
        if call.func is not node:
            if module.dotted(call.func) not in PARTIAL or given[0] is not node:
                return None
            given = given[1:]
        if len(given) > len(names) + 1 or any(each.arg == "auto" for each in call.keywords):
            return None
        edits += [Edit(module.span(each)[0], module.span(each)[0], f"{name}=") for name, each in
                  zip(names, given[1:], strict=False)]  # fmt: skip
        edits += _renamed_keywords(module, call, renamed_to)
    return tuple(edits)


def _keywords(module: Module, use: Use) -> tuple[Edit, ...]:
    """Returns the edits of the calls of a function that differs in the names of its keywords only."""
    names = KEYWORDS.get(use.dotted, {})
    calls = [module.parents.get(node) for node in places(module, use)] if names else []
    return tuple(
        edit for call in calls if isinstance(call, ast.Call) for edit in _renamed_keywords(module, call, names)
    )


def _renamed_keywords(module: Module, call: ast.Call, names: dict[str, str]) -> list[Edit]:
    edits: list[Edit] = []
    for each in call.keywords:
        if each.arg in names:
            start = module.span(each)[0]
            edits.append(Edit(start, start + len(each.arg), names[each.arg]))
    return edits


def places(module: Module, use: Use) -> list[ast.expr]:
    """Returns where a name is read: the attribute itself, or all that an import of it stands for."""
    if not isinstance(use.node, ast.alias):
        return [use.node] if isinstance(use.node, ast.Attribute) else []
    local = use.node.asname or use.node.name
    return [each for each in module.nodes(ast.Name) if each.id == local and real_name(module, each) == use.dotted]


# Imports.


def _alias(module: Module, alias: ast.alias, new: str) -> tuple[Edit, ...] | None:
    """Returns the edits of `from module import name` whose name moved or is called otherwise."""
    statement = module.parents[alias]
    assert isinstance(statement, ast.ImportFrom)
    local = alias.asname or alias.name
    package, _, name = new.rpartition(".")
    if package == "jax.tree":  # its names are short: `map`
        package, name = "jax.tree_util", f"tree_{name}"
    what = name if name == local else f"{name} as {local}"
    if package == statement.module:
        return (module.replaced(alias, what),)
    line = f"from {package} import {what}"
    if not package:
        return None
    if len(statement.names) == 1:
        return (module.replaced(statement, line),)
    start, _ = module.span(statement)
    before = module.text[module.offset(statement.lineno, 0) : start]
    if before.strip():  # behind another statement on its line
        return None
    return (Edit(start, start, f"{line}\n{before}"), without(module, statement, alias))


def without(module: Module, statement: ast.ImportFrom, alias: ast.alias) -> Edit:
    """Returns the edit that takes one name of several out of an import, with its comma; comments stay."""
    place = statement.names.index(alias)
    text, (start, end) = module.text, module.span(alias)
    is_last = place + 1 == len(statement.names)
    if is_last:
        before = module.span(statement.names[place - 1])[1]
        if "\n" not in text[before:start]:
            return Edit(before, end, "")
    comma = re.match(r"\s*,[ \t]*", text[end:])
    after = end + (comma.end() if comma else 0)
    line = module.offset(alias.lineno, 0)
    if text[after : after + 1] in "\r\n" and not text[line:start].strip():  # alone on its line
        newline = 2 if text[after : after + 2] == "\r\n" else 1
        return Edit(line, after + newline, "")
    return Edit(start, after, "")


def _import_from(module: Module, node: ast.ImportFrom, old: str, new: str, *, safe: bool) -> Fix | None:
    """Returns the fix of `from old import ...` where a module moved."""
    module_name = node.module or ""
    if not f"{module_name}.".startswith(f"{old}."):
        return None
    if old == "jax.config" and not all(each.name == "config" for each in node.names):
        return None
    moved = new + module_name[len(old) :]
    start, end = module.span(node)
    text = module.text[start:end]
    place = text.find(module_name)
    if place < 0:
        return None
    edit = Edit(start + place, start + place + len(module_name), moved)
    return Fix(f"Import from {moved}", (edit,), safe)


def _import(module: Module, node: ast.Import, use: Use, new: str, *, safe: bool) -> Fix | None:
    """Returns the fix of `import old` or `import old as name`, with all that is reached through it."""
    alias = next((each for each in node.names if f"{each.name}.".startswith(f"{use.dotted}.")), None)
    if alias is None or new in ROOTS:
        return None
    moved = new + alias.name[len(use.dotted) :]
    edits = [Edit(module.span(alias)[0], module.span(alias)[0] + len(alias.name), moved)]
    if alias.asname is None:
        root = alias.name.partition(".")[0]
        if moved.partition(".")[0] != root:
            return None
        edits += [module.replaced(each, f"{root}{new[len(root):]}") for each in use.rest
                  if module.source(each).startswith(f"{root}.")]  # fmt: skip
        if len(edits) != len(use.rest) + 1:
            return None
    return Fix(f"Import {moved}", tuple(edits), safe)
