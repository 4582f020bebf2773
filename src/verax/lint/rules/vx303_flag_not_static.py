"""VX303: a flag that decides a branch has to be static."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._branches import branches
from verax.lint._imports import added_import
from verax.lint._module import Module, keyword
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function
from verax.lint._traced import traced
from verax.lint._transforms import JITS, transform_of


@rule("VX303", "flag-not-static", "error")
def flag_not_static(module: Module) -> Iterator[Found]:
    """A branch on a flag or a mode, which `jit` traces like any other argument.

    A `bool` that is passed to a jitted function becomes a traced array, and `if training:` raises
    TracerBoolConversionError; a string cannot be passed at all. As a static argument it stays a Python value, and the
    function is compiled once for each.

    Bad:

        @jax.jit
        def forward(params, x, training=False):
            if training: ...

    Good:

        @functools.partial(jax.jit, static_argnames=("training",))
        def forward(params, x, training=False):
            if training: ...

    A flag is a parameter whose default or annotation is a bool or a string, or that is compared with a string. The fix
    names it static: it is safe where the function has a decorator without static arguments, and unsafe where it adds to
    those there are or to a call of `jit` that other code may use with traced flags.
    """
    found = branches(module)
    wanted: dict[Function, list[str]] = {}
    owners: dict[ast.Name, Function | None] = {}
    for branch in found:
        for flag in branch.flags:
            owner = owners[flag] = _owner(module, flag)
            if owner is not None and flag.id not in wanted.setdefault(owner, []):
                wanted[owner].append(flag.id)
    for branch in found:
        if not branch.flags:
            continue
        flag = branch.flags[0]
        owner = owners[flag]
        fix = None if owner is None else _fix(module, owner, wanted[owner])
        message = f"`{flag.id}` is a flag, but it is traced like an array, so branching on it raises. Make it static."
        yield Found(branch.test, message, fix)


def _owner(module: Module, flag: ast.Name) -> Function | None:
    binding = module.binding(flag)
    if binding is None or binding.kind != "param":
        return None
    return module.parents[module.parents[binding.node]]  # type: ignore[return-value]


def _fix(module: Module, function: Function, names: list[str]) -> Fix | None:
    transforms = traced(module).of.get(function, [])
    if len(transforms) != 1 or transforms[0].name not in JITS - {"jax.pmap", "flax.nnx.pmap"}:
        return None
    if {each.arg for each in function.args.posonlyargs} & set(names):
        return None
    shown = "(" + ", ".join(f'"{each}"' for each in names) + ("," if len(names) == 1 else "") + ")"
    title = f"Make {', '.join(names)} static"
    place = transforms[0].call
    is_decorator = not isinstance(function, ast.Lambda) and place in function.decorator_list
    if is_decorator and not isinstance(place, ast.Call):
        if transform_of(module, place) is None or module.dotted(place) is None:
            return None
        name, edits = added_import(module, "functools")
        partial = f"{name}.partial"
        top = module.opened[module.tree].bindings
        for local, bindings in top.items():
            if len(bindings) == 1 and bindings[0].origin == "functools.partial" and edits:
                partial, edits = local, ()
        text = f"{partial}({module.source(place)}, static_argnames={shown})"
        return Fix(title, (*edits, module.replaced(place, text)), safe=True)
    if not isinstance(place, ast.Call):
        return None
    options = place if keyword(place, "static_argnames") or module.dotted(place.func) else place.func
    if not isinstance(options, ast.Call) or keyword(options, "static_argnums"):
        return None
    given = keyword(options, "static_argnames")
    if given is not None:
        return _extended(module, given.value, names, title)
    end = module.span(options)[1] - 1
    last = max(
        (module.span(each)[1] for each in [*options.args, *(one.value for one in options.keywords)]),
        default=module.span(options.func)[1] + 1,
    )
    comma = "" if not options.args and not options.keywords else ", "
    if module.text[last:end].strip():
        return None  # a trailing comma, a parenthesis or a comment
    return Fix(title, (Edit(last, last, f"{comma}static_argnames={shown}"),), safe=is_decorator)


def _extended(module: Module, node: ast.expr, names: list[str], title: str) -> Fix | None:
    added = ", ".join(f'"{each}"' for each in names)
    if isinstance(node, ast.Constant):
        return Fix(title, (module.replaced(node, f"({module.source(node)}, {added})"),), safe=False)
    if isinstance(node, ast.Tuple | ast.List) and node.elts:
        end = module.span(node.elts[-1])[1]
        return Fix(title, (Edit(end, end, f", {added}"),), safe=False)
    return None
